"""Schemas of the configuration: what exists, of which type, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from envs import UserError
from experiments.comparison.settings_schema import CompareConfig, SearchClaimsConfig

DEFAULT_BUDGET = 4
FREE = "vars"
"""A mapping at the top of every configuration for helpers of interpolation, which nobody reads."""


@dataclass
class ScenariosConfig:
    """Which scenarios; `path=null` is the bundled set, `attributes=null` the ten of PENGUIN."""

    path: str | None = None
    attributes: str | None = None
    limit: int | None = None
    split: str = "all"
    test_fraction: float = 0.2
    split_seed: int = 0


@dataclass
class TrainConfig:
    """Configuration of `python -m experiments.train_mcts`.

    `budget` is MISSING here, not 4: only so do `+budget=4` and `budget=4` both work.
    """

    budget: int = MISSING
    seed: int = 0
    output_dir: str = "${hydra:runtime.output_dir}"
    resume: bool = False
    dry_run: bool = False
    cost_weight: float = 0.0
    report_samples: int = 8
    scenarios: ScenariosConfig = field(default_factory=ScenariosConfig)
    judge: Any = MISSING
    prior: Any = MISSING
    search: Any = MISSING
    parallel: Any = MISSING
    tracking: Any = MISSING


@dataclass
class JudgeFiguresConfig:
    """Configuration of `python -m experiments.judge_figures`.

    `seeds`: over how many model seeds, from the judge's own on, to count which promises hold.
    """

    seed: int = 0
    seeds: int = 0
    scenarios: ScenariosConfig = field(default_factory=ScenariosConfig)
    judge: Any = MISSING


@dataclass
class PlanPopulationConfig:
    """Configuration of `python -m experiments.plan_population`.

    `min_profiles`: a branch of the written trees stands for at least so many people; people of other domains
    count `other_domains` each (0: not at all, 1: as the domain's own). `solver`: `exact` or
    `mcts` (with `num_simulations`). `folds`: held-out parts, 0 = none. `seeds`: over how many model seeds of
    a simulated judge, from its own on, gains are reported; the trees are those of the first. `samples`: looks
    at each set of a noisy judge. `pictures`: png, svg or none. `beside`: run folder of `train_mcts`, beside
    whose path table the trees are stored too.
    """

    budget: int = MISSING
    seed: int = 0
    output_dir: str = "${hydra:runtime.output_dir}"
    dry_run: bool = False
    cost_weight: float = 0.0
    decline_rate: float = 0.0
    min_profiles: int = 10
    other_domains: float = 0.3
    solver: str = "exact"
    num_simulations: int = 10_000
    folds: int = 5
    seeds: int = 1
    samples: int = 1
    pictures: str = "png"
    beside: str | None = None
    scenarios: ScenariosConfig = field(default_factory=ScenariosConfig)
    judge: Any = MISSING


@dataclass
class EvaluateConfig:
    """Configuration of `python -m experiments.evaluate`.

    `paths`: a run folder or Parquet file (null: the table of the package where it was planned under this
    judge, else planned here on the train side, for each draw of the judge). Rows about test people are left
    out. `folds`: 1 = one split; more: every person is asked once, by plans made for those of other folds.
    `model_seeds`: how many draws of a simulated judge, from its own on; `variation_seeds`: how many of
    these are varied too. `table_size`, `test_size`: plan for and test so many scenarios at most, evenly
    taken. `value_costs`: cost weights of stopping, its operating points; `value_cost`: the one that stands
    for it. `unit_costs`: every question costs the same, so that stopping is held against questions; false:
    the attributes' own costs. `min_profiles`: where fewer train people agree with the answers, policy trees
    go on with the best fixed path; in a domain's tree people of other domains count `other_domains` each.
    `variations`: which robustness checks. `draws`, `level`: of the bootstrap. `dry_run`: say what it would
    spend, and do nothing.
    """

    budget: int = MISSING
    seed: int = 0
    output_dir: str = "${hydra:runtime.output_dir}"
    paths: str | None = None
    model_seeds: int = 1
    folds: int = 1
    variation_seeds: int = 1
    table_size: int | None = None
    test_size: int | None = None
    report_samples: int = 8
    value_costs: list[float] = field(default_factory=lambda: [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9])
    value_cost: float = 0.1
    unit_costs: bool = True
    min_profiles: float = 10.0
    other_domains: float = 0.3
    variations: list[str] = field(default_factory=lambda: ["domains", "unanswered", "answers", "table_sizes"])
    draws: int = 2000
    level: float = 0.95
    dry_run: bool = False
    scenarios: ScenariosConfig = field(default_factory=ScenariosConfig)
    judge: Any = MISSING
    search: Any = MISSING
    parallel: Any = MISSING
    policy: Any = MISSING
    chat: Any = MISSING
    embedding: Any = MISSING
    users: Any = MISSING
    tracking: Any = MISSING


@dataclass
class BenchmarkConfig:
    """Configuration of `python -m experiments.benchmark`; `simulations` of one repeat, of each row."""

    simulations: int = 20_000
    repeats: int = 5
    seed: int = 0
    output_dir: str = "${hydra:runtime.output_dir}"


@dataclass
class AskConfig:
    """Configuration of `python -m experiments.ask`.

    `paths`: a run folder or a Parquet file, null = the table that ships with the package. `index`: a file to
    keep the queries' vectors in. `crisis`, `reading`: files in place of those in `policies/data`. `scenario`:
    the id of one whose profile answers (users=profile, users=scripted). `store_answers`: write the
    conversation to `output_dir` when it ends; nothing is written otherwise.
    """

    paths: str | None = None
    index: str | None = None
    query: str | None = None
    scenario: str | None = None
    crisis: str | None = None
    reading: str | None = None
    store_answers: bool = False
    output_dir: str = "outputs/conversations"
    seed: int = 0
    scenarios: ScenariosConfig = field(default_factory=ScenariosConfig)
    policy: Any = MISSING
    embedding: Any = MISSING
    users: Any = MISSING
    target: Any = MISSING


@dataclass
class BenchmarkAgentConfig:
    """Configuration of `python -m experiments.benchmark_agent`: sizes of the table, decisions of each."""

    rows: list[int] = field(default_factory=lambda: [14_000])
    decisions: int = 1000
    seed: int = 0
    output_dir: str = "${hydra:runtime.output_dir}"
    policy: Any = MISSING
    embedding: Any = MISSING


@dataclass
class BenchmarkLlmConfig:
    """Configuration of `python -m experiments.benchmark_llm`.

    `n_scenarios` are planned with `judge_calls` calls a search and `report_samples` samples a report; their
    judge is the scripted server, which answers after `latency_s` seconds, `in_flight` requests at once.
    """

    n_scenarios: int = 100
    in_flight: int = 64
    latency_s: float = 1.0
    mode: str = "direct"
    judge_calls: int = 60
    report_samples: int = 8
    budget: int = 4
    seed: int = 0
    output_dir: str = "${hydra:runtime.output_dir}"


class _Store:
    """Stores schemas in Hydra, each with the mapping `vars`."""

    def store(self, name: str, node: type[Any], group: str | None = None) -> None:
        if group is None:
            free: Any = field(default_factory=dict)
            node = make_dataclass(node.__name__, [(FREE, dict[str, Any], free)], bases=(node,))
        ConfigStore.instance().store(name=name, node=node, group=group)


def register() -> None:
    """Make the schemas known to Hydra, as bases of the YAML files in `conf/`."""
    store = _Store()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="judge_figures_schema", node=JudgeFiguresConfig)
    store.store(name="plan_population_schema", node=PlanPopulationConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="benchmark_schema", node=BenchmarkConfig)
    store.store(name="benchmark_agent_schema", node=BenchmarkAgentConfig)
    store.store(name="ask_schema", node=AskConfig)
    store.store(name="benchmark_llm_schema", node=BenchmarkLlmConfig)
    store.store(name="compare_schema", node=CompareConfig)
    store.store(name="search_claims_schema", node=SearchClaimsConfig)
    store.store(group="scenarios", name="scenarios_schema", node=ScenariosConfig)


def budget_of(cfg: DictConfig) -> int:
    """Return the budget, 4 where none was given.

    Raises
    ------
    UserError
        a budget below 1.
    """
    budget = DEFAULT_BUDGET if OmegaConf.is_missing(cfg, "budget") else int(cfg.budget)
    if budget < 1:
        raise UserError(f"budget: found {budget}, expected an integer >= 1 (questions that may be asked)")
    return budget
