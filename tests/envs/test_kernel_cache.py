"""Whoever waits for the compiler is told so, once, and not where the code is kept."""

import subprocess
import sys

import pytest

SCRIPT = """
import envs.kernel_cache as kernel_cache
kernel_cache._PATIENCE_S = -1.0  # whatever is compiled has taken too long
import kernels
print(kernels.one(1.0) + kernels.two(1.0))
"""
KERNELS = """
from numba import njit

@njit("float64(float64)", cache=True)
def one(x):
    return x + 1.0

@njit("float64(float64)", cache=True)
def two(x):
    return one(x) + 1.0
"""


@pytest.mark.slow
def test_compiling_is_told_once_and_loading_is_not(tmp_path, monkeypatch):
    (tmp_path / "kernels.py").write_text(KERNELS)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SCRIPT}"
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout == "5.0\n"
    assert len(first.stderr.splitlines()) == 1
    assert second.stderr == ""
