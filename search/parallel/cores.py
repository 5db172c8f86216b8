"""How many cores this process may use: its affinity, and the CPU quota of its control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def available_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use, at least 1; a quota of 1.5 cores counts as 2.

    `root`: below it lie `sys/fs/cgroup` and `proc/self/cgroup`. A quota may stand at the process's own group
    or at any above it (cgroup v1 `cpu.cfs_quota_us`, v2 `cpu.max`); the smallest counts.
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    allowed = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield every CPU quota that holds for this process, in cores."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _words(root / "proc" / "self" / "cgroup", "\n"):
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        version_1 = bool(controllers)
        base = mounted / "cpu" if version_1 else mounted
        relative = PurePosixPath(group.lstrip("/"))
        # In a container without a namespace of its own the path is the host's; the mount is then the group.
        for folder in (base / relative, *(base / above for above in relative.parents), base):
            if version_1:
                limits = [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
            else:
                limits = _words(folder / "cpu.max")
            if len(limits) == 2 and limits[0] not in ("max", "-1"):
                yield int(limits[0]) / int(limits[1])


def _words(file: Path, separator: str | None = None) -> list[str]:
    """Return the words of `file`, none where there is no such file."""
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return []
    return text.split(separator) if text else []
