"""The kernels as plain Python: what the compiler does must not be what makes them right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = (
    "core/test_kernels_against_naive.py",
    "core/test_golden.py",
    "core/test_linear_algebra.py",
    "test_path_rule.py",
    "test_batch_planning.py",
    "population/test_tree_search.py",
)


@pytest.mark.slow
def test_kernels_golden_trees_and_path_rule_hold_with_the_jit_off():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(f"tests/search/{name}" for name in FILES),
    ]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    check = "import search.core.kernels as k; assert not hasattr(k.select, 'py_func')"
    subprocess.run([sys.executable, "-c", check], env=environment, cwd=ROOT, check=True)
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
