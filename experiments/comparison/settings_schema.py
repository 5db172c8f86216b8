"""Schema of the configuration of `python -m experiments.compare_search`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

_LANDSCAPES = ("published", "varied", "additive", "pair_complement", "coverage", "needle", "sketch")


@dataclass
class CompareConfig:
    """Configuration of `python -m experiments.compare_search`.

    `searches`: names of members of the group `search`, of `custom`, `best_static`, or `all`. `custom`:
    searches of yours, name -> `_target_` and keyword arguments. `scheduled`: those that spread their
    simulations over rounds, and get as many as judge calls (the others ten times as many, so that the calls
    are the limit). `problems`: people for each judge; `model_seeds`: judges for each landscape.
    `static_people`: people a domain from whom the best static set is learned. `default_search`: what the
    others are held against, beside greedy. `shown_calls`, `shown_noise`, `shown_searches`: the limit of the
    tables on the terminal, the noise of the figure and who is in it (null = all). `bootstrap`: resamples.
    """

    searches: list[str] = field(default_factory=lambda: ["all"])
    custom: dict[str, Any] = field(default_factory=dict)
    scheduled: list[str] = field(default_factory=lambda: ["gumbel"])
    landscapes: list[str] = field(default_factory=lambda: list(_LANDSCAPES))
    n_attributes: list[int] = field(default_factory=lambda: [10])
    noise_std: list[float] = field(default_factory=lambda: [0.0, 0.3])
    calls: list[int] = field(default_factory=lambda: [20, 35, 60, 120])
    model_seeds: int = 4
    problems: int = 4
    budget: int = 4
    seed: int = 0
    report_samples: int = 8
    static_people: int = 15
    default_search: str = "bayes"
    shown_calls: int = 60
    shown_noise: float = 0.3
    shown_searches: list[str] | None = None
    bootstrap: int = 2000
    output_dir: str = "${hydra:runtime.output_dir}"
    resume: bool = False
    parallel: Any = MISSING
    tracking: Any = MISSING
