"""Share this machine among the jobs of a sweep that run at the same time."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from search.parallel.cores import available_cores


def workers_of_a_job() -> int | None:
    """Return how many workers a job may have where a sweep runs several at once, None where it runs alone.

    A launcher with `n_jobs` (joblib's) runs so many jobs at once; -1 is one a core, as joblib counts.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    at_once = HydraConfig.get().launcher.get("n_jobs", 1)
    cores = available_cores()
    if at_once < 0:
        at_once = max(1, cores + 1 + at_once)
    return None if at_once == 1 else max(1, cores // at_once)
