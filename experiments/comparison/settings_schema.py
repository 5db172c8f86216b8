"""Schema of the configuration of `python -m experiments.compare_search`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.runs.schema_fields import key, output_dir

_CUSTOM = "searches of yours: name -> _target_ and keyword arguments; botorch needs the extra of that name"
_BOTORCH = {"_target_": "experiments.comparison.botorch_search.BoTorchSearch", "num_simulations": 60}
_SCHEDULED = (
    "searches that spread their simulations over rounds, and get as many as judge calls; "
    "the others get ten times as many, so that the calls are the limit"
)

_LANDSCAPES = ("published", "varied", "additive", "pair_complement", "coverage", "needle", "sketch")


@dataclass
class CompareConfig:
    """Configuration of `python -m experiments.compare_search`; `conf/preset/` fills it."""

    searches: list[str] = key("members of the group search, names of custom, best_static, or all", ["all"])
    custom: dict[str, Any] = key(_CUSTOM, {"botorch": _BOTORCH})
    scheduled: list[str] = key(_SCHEDULED, ["gumbel"])
    landscapes: list[str] = key(
        "kinds of judges: presets of the simulated one, families of landscapes", list(_LANDSCAPES)
    )
    n_attributes: list[int] = key("attributes of a scenario, each number of them in turn", [10])
    noise_std: list[float] = key("standard deviations of the score's noise, each in turn", [0.0, 0.3])
    calls: list[int] = key("limits on judge calls, each in turn", [20, 35, 60, 120])
    model_seeds: int = key("judges of each kind", 4)
    problems: int = key("people for each judge", 4)
    budget: int = key("questions that may be asked", 4)
    seed: int = key("seed of the searches", 0)
    report_samples: int = key("fresh samples of a noisy judge that a path is reported on", 8)
    static_people: int = key("people a domain from whom the best static set is learned", 15)
    default_search: str = key("the search that the others are held against, beside greedy", "bayes")
    shown_calls: int = key("judge calls of the tables on the terminal", 60)
    shown_noise: float = key("noise of the figure", 0.3)
    shown_searches: list[str] | None = key("searches of the figure; null: all", None)
    bootstrap: int = key("resamples of the intervals", 2000)
    output_dir: str = output_dir()
    resume: bool = key("go on with the stopped run in output_dir", False)
    parallel: Any = key("how the plans are shared out")
    tracking: Any = key("where figures are logged beside the folder")
