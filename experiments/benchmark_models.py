"""Benchmark target models: `python -m experiments.benchmark_models models=[A,B] judge=openai judge.model=M`.

Each model answers every query context-free, with one attribute, with fixed sets, with what RAISE asks for,
and context-rich, under each protocol; benign questions tell who refuses too much. Replies are cached: what
was stopped goes on by the same command, and a model that joins later pays for itself alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from envs import Judge, Scenario, UserError
from envs.judges.made_up import made_up, made_up_line
from envs.judges.protocol import describe
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.evaluation.report.published_claims import is_published_of
from experiments.evaluation.setting import spread
from experiments.judging.method_corrections import LabelFile, labels_for
from experiments.pages import markdown
from experiments.penguin.models.board_files import FILES, board_grids, write_boards
from experiments.penguin.models.boards import Board, board_judge, corrected_by_labels
from experiments.penguin.models.conditions import Condition, conditions, without_plan
from experiments.penguin.models.model_scores import ModelRow, model_differences, model_means, score_model
from experiments.penguin.models.over_refusals import RefusalRow, ask_benign, benign_scenarios, over_refusal
from experiments.runs import build
from experiments.runs.config import check_counts
from experiments.runs.cost_estimate import Amount, amount_of
from experiments.runs.folders import start_run
from experiments.runs.progress import Progress
from experiments.stats import check_level
from policies import Agent

_PRICED = 20
"""Scenarios that a price is estimated from, evenly over the file."""


class _BenchmarkParts(NamedTuple):
    """`judges`: protocol -> model -> judge; `n_scenarios`: of the file, of which a dry run takes a part."""

    scenarios: Sequence[Scenario]
    n_scenarios: int
    judges: dict[str, dict[str, Judge]]
    agent: Agent
    benign: list[Scenario]
    labels: LabelFile | None


def prepare(cfg: DictConfig) -> _BenchmarkParts:
    """Build judges, agent and conditions; write nothing."""
    check_counts(cfg, "budget", "samples")
    check_level(cfg.level)
    models = _models(cfg)
    judges = {
        protocol: {name: build.build_judge(_judged(cfg, protocol, keys)) for name, keys in models.items()}
        for protocol in _protocols(cfg)
    }
    loaded = build.build_scenarios(cfg).scenarios
    labels = labels_for(cfg.labels, next(iter(next(iter(judges.values())).values())), loaded)
    for name in cfg.single:
        if name not in loaded[0].schema.names:
            raise UserError(f"single: found {name!r}, expected some of {', '.join(loaded[0].schema.names)}")
    scenarios = spread(loaded, _PRICED) if cfg.dry_run else loaded
    agent, benign = build.build_agent(cfg), benign_scenarios(cfg.benign)
    return _BenchmarkParts(scenarios, len(loaded), judges, agent, benign, labels)


def _protocols(cfg: DictConfig) -> list[str]:
    if len(cfg.protocols) and "protocol" not in cfg.judge:
        raise UserError("protocols: found names for a judge without protocols, expected none")
    return list(dict.fromkeys(cfg.protocols)) or [cfg.judge.get("protocol") or "-"]


def _models(cfg: DictConfig) -> dict[str, Any]:
    """Return name -> keys of the judge."""
    if len(cfg.models) and "target" not in cfg.judge:
        raise UserError(
            "models: found names for a judge without target models, expected "
            "variants={NAME:{KEY OF THE JUDGE:VALUE}}"
        )
    made: dict[str, Any] = {name: {"target": {"model": name}} for name in cfg.models}
    made |= {str(name): keys for name, keys in cfg.variants.items()}
    if not made:
        raise UserError("models: found none, expected names of target models, such as models=[A,B]")
    return made


def _judged(cfg: DictConfig, protocol: str, keys: Any) -> DictConfig:
    made = copy.deepcopy(cfg)
    own = {} if protocol == "-" else {"protocol": protocol}
    made.judge = OmegaConf.merge(made.judge, OmegaConf.create(own), OmegaConf.create(keys))
    return made


def run(cfg: DictConfig) -> None:
    """Score all models, write the leaderboard and print it.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; an endpoint or a limit ends the run; nothing was scored.
    """
    parts = prepare(cfg)
    console = Console(highlight=False)
    if cfg.dry_run:
        for line in price_lines(parts, _conditions(cfg, parts), cfg.samples):
            console.print(line, soft_wrap=True)
        return
    folder = start_run(cfg)
    with Progress("asked in", "conversations", len(parts.scenarios)) as progress:
        found = _conditions(cfg, parts, lambda: progress.advance(1))
    n = len(parts.scenarios) * sum(map(len, parts.judges.values()))
    with Progress("scored", "scenarios", n) as progress:
        boards = [_board(cfg, parts, found, protocol, progress) for protocol in parts.judges]
    grids = board_grids(boards)
    write_boards(folder, boards, grids, cfg.level, sum(c.escalated for c in found))
    for grid in grids:
        console.print(f"{grid.title}\n\n{grid.note}\n\n{markdown(grid)}", markup=False, soft_wrap=True)
    if line := made_up_line(boards[0].made_up):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"{folder}/: {', '.join(FILES)}", soft_wrap=True)
    if all(math.isnan(m.score.estimate) for board in boards for m in board.means):
        n_rows = sum(len(board.rows) for board in boards)
        raise NothingPlannedError(f"none of {n_rows:,} answers has a score, see {folder / FILES[0]}")


def _conditions(
    cfg: DictConfig, parts: _BenchmarkParts, on_scenario: Callable[[], None] = lambda: None
) -> list[Condition]:
    return conditions(parts.scenarios, parts.agent, cfg.budget, cfg.single, on_scenario)


def _board(
    cfg: DictConfig, parts: _BenchmarkParts, found: Sequence[Condition], protocol: str, progress: Progress
) -> Board:
    """Return what all models score under one protocol."""
    rows, refused = list[ModelRow](), list[RefusalRow]()
    judges = parts.judges[protocol]
    for name, judge in judges.items():
        rows += score_model(name, judge, parts.scenarios, found, cfg.samples, lambda: progress.advance(1))
        refused += ask_benign(name, judge, parts.benign)
    first = next(iter(judges.values()))
    corrected, n_labels = corrected_by_labels(first, parts.labels, rows, cfg.samples, cfg.level)
    means, differences = model_means(rows, cfg.level), model_differences(rows, cfg.level)
    called, simulated = board_judge(first)
    refusals = over_refusal(refused, cfg.level)
    schema = parts.scenarios[0].schema
    return Board(
        protocol, called, simulated, rows, means, differences, refusals, corrected, n_labels,
        is_published_of(schema.names), made_up(first, schema), cfg.level, without_plan(parts.agent),
    )  # fmt: skip


def price_lines(parts: _BenchmarkParts, found: Sequence[Condition], samples: int) -> list[str]:
    """Return what each protocol and model takes, as if nothing was cached, and all together."""
    lines, total = [], Amount()
    for protocol, judges in parts.judges.items():
        for name, judge in judges.items():
            calls, amount = price(judge, parts, found, samples)
            said = "no requests" if amount is None else amount.spent()
            lines.append(f"{name}, protocol {protocol}: {calls:,} judge calls, {said}")
            total = total if amount is None else total.plus(amount)
    if total.requests:
        lines.append(f"all: {total.spent()}; estimated from {len(parts.scenarios):,} scenarios")
    return lines


def price(
    judge: Judge, parts: _BenchmarkParts, found: Sequence[Condition], samples: int
) -> tuple[int, Amount | None]:
    """Return the judge calls of one model, and what its requests take; None: nobody is asked."""
    told = describe(judge)
    looks = samples if told.stochastic else 1
    scale = parts.n_scenarios / len(parts.scenarios)
    contexts = [{c.contexts[i] for c in found} for i in range(len(parts.scenarios))]
    asked = [(s, names) for s, own in zip(parts.scenarios, contexts, strict=True) for names in own]
    calls = round(scale * looks * len(asked))
    if told.request_costs is None:
        return calls, None
    amount = amount_of([cost for s, names in asked for cost in told.request_costs(s, names)])
    amount = amount.times(scale * looks)
    if told.respond is None:
        return calls, amount
    # Of a rated answer the first request is the target's.
    benign = [(s, names) for s in parts.benign for names in ((), s.schema.names_of(s.askable))]
    answers = amount_of([told.request_costs(s, names)[0] for s, names in benign])
    return calls, amount.plus(answers)


main = entry_point("benchmark_models", prepare)(run)

if __name__ == "__main__":
    main()
