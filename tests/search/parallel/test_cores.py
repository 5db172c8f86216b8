"""Cores this process may use: affinity and control groups of both versions, from files laid out as theirs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.parallel.cores import available_cores

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def laid_out(root, files):
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


V1 = "sys/fs/cgroup/cpu"
V2 = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n"}, 8),
        ({"proc/self/cgroup": ""}, 8),
        # version 2: a container sees its own group at the mount
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "20000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "1600000 100000\n"}, 8),
        # a batch system's job: the quota stands above the process's own group
        ({"proc/self/cgroup": "0::/job/step\n", f"{V2}/job/cpu.max": "200000 50000\n"}, 4),
        (
            {
                "proc/self/cgroup": "0::/job/step\n",
                f"{V2}/job/cpu.max": "400000 100000\n",
                f"{V2}/job/step/cpu.max": "200000 100000\n",
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/job\n", f"{V2}/other/cpu.max": "100000 100000\n"}, 8),
        # version 1
        (
            {
                "proc/self/cgroup": "4:memory:/a\n1:cpu,cpuacct:/docker/abc\n",
                f"{V1}/cpu.cfs_quota_us": "250000\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/job\n",
                f"{V1}/job/cpu.cfs_quota_us": "500000\n",
                f"{V1}/job/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": "3:cpuset:/\n1:cpu:/\n0::/\n",
                f"{V1}/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_quotas(tmp_path, eight_cores, files, expected):
    assert available_cores(laid_out(tmp_path, files)) == expected


def test_affinity_is_obeyed():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from search.parallel.cores import available_cores; print(available_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
