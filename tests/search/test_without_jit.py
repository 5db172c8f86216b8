"""The kernels as plain Python: what the compiler does must not be what makes them right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ["test_kernels_against_naive.py", "test_golden.py", "test_path_rule.py", "test_population_mcts.py"]


@pytest.mark.slow
def test_kernels_golden_trees_and_path_rule_hold_with_the_jit_off():
    root = HERE.parents[1]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(str(HERE / f) for f in FILES),
    ]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(root)}
    check = "import search.kernels as k; assert not hasattr(k.select, 'py_func')"
    subprocess.run([sys.executable, "-c", check], env=environment, cwd=root, check=True)
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
