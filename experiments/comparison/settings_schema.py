"""Schemas of the commands that compare searches and hold one to its claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.runs.schema_fields import key, output_dir

_CUSTOM = "searches of yours: name -> _target_ and keyword arguments"
_SCHEDULED = (
    "searches that spread their simulations over rounds, and get as many as judge calls; "
    "the others get ten times as many, so that the calls are the limit"
)


@dataclass
class CompareConfig:
    """Configuration of `python -m experiments.compare_search`; `conf/preset/` fills it."""

    searches: list[str] = key("members of the group search, names of custom, best_static, or all")
    custom: dict[str, Any] = key(_CUSTOM, {})
    scheduled: list[str] = key(_SCHEDULED, ["gumbel"])
    landscapes: list[str] = key("kinds of judges: presets of the simulated one, families of landscapes")
    n_attributes: list[int] = key("attributes of a scenario, each number of them in turn")
    noise_std: list[float] = key("standard deviations of the score's noise, each in turn")
    calls: list[int] = key("limits on judge calls, each in turn")
    model_seeds: int = key("judges of each kind")
    problems: int = key("people for each judge")
    budget: int = key("questions that may be asked", 4)
    seed: int = key("seed of the searches", 0)
    report_samples: int = key("fresh samples of a noisy judge that a path is reported on", 8)
    static_people: int = key("people a domain from whom the best static set is learned", 15)
    default_search: str = key("the search that the others are held against, beside greedy")
    shown_calls: int = key("judge calls of the tables on the terminal", 60)
    shown_noise: float = key("noise of the figure", 0.3)
    shown_searches: list[str] | None = key("searches of the figure; null: all", None)
    bootstrap: int = key("resamples of the intervals", 2000)
    output_dir: str = output_dir()
    resume: bool = key("go on with the stopped run in output_dir", False)
    parallel: Any = key("how the plans are shared out")
    tracking: Any = key("where figures are logged beside the folder")


@dataclass
class SearchClaimsConfig:
    """Configuration of `python -m experiments.search_claims`."""

    subject: str = key("the search that is held to its claims, by name as in searches of compare")
    custom: dict[str, Any] = key(_CUSTOM, {})
    scheduled: list[str] = key(_SCHEDULED, ["gumbel"])
    model_seeds: int = key("judges of each kind", 10)
    problems: int = key("people for each judge", 10)
    seed: int = key("seed of the searches", 0)
    needle_searches: list[str] = key("who has to be no better than chance on needles, or all", [])
    wave: int = key("people of a domain before a search with fit may learn; as many more follow", 50)
    learning_landscapes: list[str] = key("kinds of judges on which it is seen what learning brings", [])
    learning_calls: list[int] = key("limits on judge calls there", [])
    bootstrap: int = key("resamples of the intervals", 2000)
    output_dir: str = output_dir()
    resume: bool = key("go on with the stopped run in output_dir", False)
    parallel: Any = key("how the plans are shared out")
