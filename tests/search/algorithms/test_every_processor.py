"""The same rows whatever the processor: BLAS and NumPy are told that they run on others."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEW = {"OPENBLAS_CORETYPE": "Haswell"}
OLD = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3"}
"""What OpenBLAS and NumPy read at start-up; where they know no such processor, the rows are equal anyhow."""


def rows_on(processor):
    environment = {**os.environ, **processor, "PYTHONPATH": str(HERE.parents[2])}
    command = [sys.executable, str(HERE / "processor_rows.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_every_search_plans_the_same_on_every_processor():
    with ThreadPoolExecutor() as both:  # each is a process of its own
        new, old = both.map(rows_on, (NEW, OLD))
    assert len(new) > 60
    assert [name for name in new if json.dumps(old[name]) != json.dumps(new[name])] == []
