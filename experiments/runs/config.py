"""Schemas of the configuration: which keys a command has, their types, defaults and meanings.

Hydra and OmegaConf are imported where they are needed: `--help` and completion read the schemas alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, make_dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.benchmark_keys import BenchmarkAgentConfig, BenchmarkConfig, BenchmarkLlmConfig
from experiments.comparison.settings_schema import CompareConfig
from experiments.judging.judging_schema import AuditConfig, CalibrateConfig, LabelConfig, RateConfig
from experiments.penguin.settings_schemas import (
    BenchmarkModelsConfig,
    CheckScenariosConfig,
    GenerateScenariosConfig,
    SensitivityConfig,
)
from experiments.runs.schema_fields import (
    DRY_RUN,
    JUDGE,
    SCENARIOS,
    AgentConfig,
    ScenariosConfig,
    StoredPlansConfig,
    key,
    output_dir,
)

if TYPE_CHECKING:
    from omegaconf import DictConfig

FREE = "vars"
"""A mapping at the top of every configuration for helpers of interpolation, which nobody reads."""
DEFAULT_BUDGET = 4
"""It is not in the schemas: only where a key is missing do `+budget=4` and `budget=4` both work."""

_BUDGET = "questions that may be asked"
_RESUME = "go on with the stopped run in output_dir"
_COST_WEIGHT = "score points a unit of cost: what asking takes off the objective"
_SEARCH, _TRACKING = "which sets are scored to plan a path", "where figures are logged beside the folder"
_PARALLEL = "how the plans are shared out"
_DROPOUT = "chance that a person stops answering before the next question"
_OTHER_DOMAINS = "how much a person of another domain counts; 0: not at all, 1: as the domain's own"


@dataclass
class TrainConfig:
    """Configuration of `python -m experiments.train_mcts`."""

    budget: int = key(_BUDGET, shown=str(DEFAULT_BUDGET))
    seed: int = key("seed of the run; a scenario's own follows from it and the scenario's id", 0)
    output_dir: str = output_dir()
    resume: bool = key(_RESUME, False)
    dry_run: bool = key(DRY_RUN, False)
    cost_weight: float = key(_COST_WEIGHT, 0.0)
    dropout: float = key(_DROPOUT, 0.1)
    report_samples: int = key("fresh samples of a noisy judge that a path is reported on", 8)
    scenarios: ScenariosConfig = key(SCENARIOS, ScenariosConfig)
    judge: Any = key(JUDGE)
    prior: Any = key("what is worth asking next, before any score is known; mcts reads it")
    search: Any = key(_SEARCH)
    parallel: Any = key(_PARALLEL)
    tracking: Any = key(_TRACKING)


@dataclass
class JudgeFiguresConfig:
    """Configuration of `python -m experiments.judge_figures`."""

    seed: int = key("seed of the judge's noise", 0)
    scenarios: ScenariosConfig = key(SCENARIOS, ScenariosConfig)
    judge: Any = key(JUDGE)


@dataclass
class PlanPopulationConfig:
    """Configuration of `python -m experiments.plan_population`."""

    budget: int = key(_BUDGET, shown=str(DEFAULT_BUDGET))
    seed: int = key("seed of folds, of solver=mcts and of the judge's noise", 0)
    output_dir: str = output_dir()
    resume: bool = key(_RESUME, False)
    dry_run: bool = key(DRY_RUN, False)
    cost_weight: float = key(_COST_WEIGHT, 0.0)
    decline_rate: float = key("chance that a question is declined", 0.0)
    dropout: float = key(_DROPOUT, 0.1)
    min_profiles: int = key("people a branch of a stored tree stands for, at least", 10)
    other_domains: float = key(_OTHER_DOMAINS, 0.3)
    solver: str = key("exact, or mcts (with num_simulations)", "exact")
    num_simulations: int = key("simulations of solver=mcts", 10_000)
    folds: int = key("held-out parts; 0: none", 5)
    seeds: int = key("model seeds of a simulated judge that gains are reported over; trees: the first's", 1)
    samples: int = key("evaluations of each set by a noisy judge", 1)
    pictures: str = key("png, svg or none: how each tree is drawn", "png")
    beside: str | None = key("run folder of train; the trees are stored beside its path table too", None)
    scenarios: ScenariosConfig = key(SCENARIOS, ScenariosConfig)
    judge: Any = key(JUDGE)
    tracking: Any = key(_TRACKING)


@dataclass
class EvaluateConfig(AgentConfig):
    """Configuration of `python -m experiments.evaluate`.

    With `paths=null` the table of the package is taken where it was planned under this judge; else paths are
    planned here on the train side, for each draw of the judge. Rows about test people are left out.
    """

    budget: int = key(_BUDGET, shown=str(DEFAULT_BUDGET))
    seed: int = key("seed of the split's draws, of the users and of the bootstrap", 0)
    output_dir: str = output_dir()
    paths: str | None = key("run folder or Parquet file; null: the package's table, or planned here", None)
    labels: str | None = key("what people said of answers (calibrate's file): corrects the means by it", None)
    model_seeds: int = key("draws of a simulated judge, from its own on", 1)
    folds: int = key("1: one split; more: each person is asked, by plans made for those of other folds", 1)
    variation_seeds: int = key("draws of the judge that are varied too", 1)
    table_size: int | None = key("plan for so many scenarios at most, evenly taken", None)
    test_size: int | None = key(
        "test on so many scenarios, evenly taken; a small file gives at most half", None
    )
    report_samples: int = key("fresh samples of a noisy judge that a score is reported on", 8)
    value_costs: list[float] = key(
        "cost weights of stopping, its operating points", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9]
    )
    value_cost: float = key("the cost weight that stands for stopping", 0.1)
    unit_costs: bool = key("each question costs the same; false: the attributes' own costs", True)
    min_profiles: float = key("people who agree with the answers, below which a tree's branch ends", 10.0)
    other_domains: float = key(_OTHER_DOMAINS, 0.3)
    variations: list[str] = key("robustness checks", ["domains", "unanswered", "answers", "table_sizes"])
    draws: int = key("resamples of the bootstrap", 2000)
    level: float = key("level of the intervals", 0.95)
    resume: bool = key(_RESUME, False)
    dry_run: bool = key(DRY_RUN, False)
    judge: Any = key(JUDGE)
    search: Any = key(_SEARCH)
    parallel: Any = key(_PARALLEL)
    chat: Any = key("a language model that chooses and rates: its methods join the others")
    users: Any = key("who answers the questions")
    tracking: Any = key(_TRACKING)


@dataclass
class AskConfig(StoredPlansConfig):
    """Configuration of `python -m experiments.ask`."""

    query: str | None = key("what is asked first; null: it is asked for", None)
    scenario: str | None = key("id of the scenario whose profile answers (users=profile, mixed, ...)", None)
    store_answers: bool = key("write the conversation to output_dir when it ends; else nothing is", False)
    output_dir: str = key("folder of stored conversations", "outputs/conversations")
    seed: int = key("seed of the users who answer in sentences", 0)
    users: Any = key("who answers the questions")
    target: Any = key("the model that answers the query in the end")


@dataclass
class ServeConfig(StoredPlansConfig):
    """Configuration of `python -m experiments.serve`."""

    host: str = key("address to listen at; for others than this machine: keys, or clients' own", "127.0.0.1")
    port: int = key("port to listen at", 8000)
    workers: int = key("processes that serve", 1)
    shutdown_s: int = key("seconds that streams may take to end when the service is stopped", 30)
    trusted_proxies: list[str] = key("addresses whose X-Forwarded headers are believed", ["127.0.0.1"])
    gate: Any = key("which messages may get questions before an answer")
    upstream: Any = key("the endpoint that answers")
    ask: Any = key("how questions are put")
    session: Any = key("where conversations of clients that send only their last message are kept")
    service: Any = key("who may speak to the service, its limits, its streams")


@dataclass
class ServeMcpConfig(StoredPlansConfig):
    """Configuration of `python -m experiments.serve_mcp`."""

    transport: str = key("stdio: the client starts this command; http: clients connect to a port", "stdio")
    host: str = key("address of transport=http", "127.0.0.1")
    port: int = key("port of transport=http", 8001)
    hosts: list[str] = key("names and ports clients call it by, NAME:PORT; none: this machine's own", [])
    keys_variable: str | None = key("environment variable with keys that outlive a restart; null: none", None)
    page: str | None = key("URL of raise-planner serve, for questions that no form may ask; null: none", None)
    session: Any = key("the session store of that service, where such questions wait")


@dataclass
class HarnessKeys:
    """Keys of every member of the group `search`: the harness enforces them, no constructor sees them."""

    max_judge_calls: int | None = key("judge calls that a search may spend; null: no limit", None)
    wave: int = key("scenarios after which a search that learns across them (fit) may do so", 50)


@dataclass
class AutoSearchKeys(HarnessKeys):
    """Keys of `search=auto`, which stands for another member."""

    num_simulations: int | None = key("simulations or judge calls of that search; null: its own", None)


SCHEMAS: dict[str, type] = {
    "generate_scenarios_schema": GenerateScenariosConfig,
    "check_scenarios_schema": CheckScenariosConfig,
    "sensitivity_schema": SensitivityConfig,
    "benchmark_models_schema": BenchmarkModelsConfig,
    "train_schema": TrainConfig,
    "judge_figures_schema": JudgeFiguresConfig,
    "rate_schema": RateConfig,
    "audit_schema": AuditConfig,
    "calibrate_schema": CalibrateConfig,
    "label_schema": LabelConfig,
    "plan_population_schema": PlanPopulationConfig,
    "evaluate_schema": EvaluateConfig,
    "benchmark_schema": BenchmarkConfig,
    "benchmark_agent_schema": BenchmarkAgentConfig,
    "ask_schema": AskConfig,
    "serve_schema": ServeConfig,
    "serve_mcp_schema": ServeMcpConfig,
    "benchmark_llm_schema": BenchmarkLlmConfig,
    "compare_schema": CompareConfig,
}
"""By the name that `conf/*.yaml` list first among their defaults."""


@functools.cache
def register(config_name: str = "") -> None:
    """Make the schemas known to Hydra, as bases of the YAML files in `conf/`.

    `config_name`: the file that is composed. Of one of ours its own schema is enough, and Hydra, which copies
    all that it knows again and again, is twice as fast.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    file = files("conf") / f"{config_name}.yaml"
    named = {line.strip(" -") for line in file.read_text("utf-8").splitlines()} if file.is_file() else SCHEMAS
    for name, schema in SCHEMAS.items():
        if name in named:
            free: Any = (FREE, dict[str, Any], field(default_factory=dict))
            store.store(name=name, node=make_dataclass(schema.__name__, [free], bases=(schema,)))
    store.store(group="scenarios", name="scenarios_schema", node=ScenariosConfig)


def budget_of(cfg: DictConfig) -> int:
    """Return the budget, 4 where none was given.

    Raises
    ------
    UserError
        a budget below 1.
    """
    from omegaconf import OmegaConf

    from envs import UserError

    budget = DEFAULT_BUDGET if OmegaConf.is_missing(cfg, "budget") else int(cfg.budget)
    if budget < 1:
        raise UserError(f"budget: found {budget}, expected an integer >= 1 (questions that may be asked)")
    return budget


def check_counts(cfg: DictConfig, *names: str, least: int = 1) -> None:
    """Raise `UserError` where one of the numbers `names` is below `least`; null is no number."""
    from envs import UserError

    for name in names:
        if cfg[name] is not None and cfg[name] < least:
            raise UserError(f"{name}: found {cfg[name]}, expected an integer >= {least}")


def with_budget(cfg: DictConfig) -> DictConfig:
    """Return `cfg` with the budget that it runs with, where it has that key."""
    found = cfg.copy()
    if "budget" in found.keys():  # noqa: SIM118 - `in` is False for a missing value as well
        found.budget = budget_of(cfg)
    return found
