"""Find out whether a judge can be trusted: `python -m experiments.audit judge=openai judge.model=M`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario
from envs.judges.asking import check_rates
from envs.judges.llm import LLMJudge
from envs.judges.llm.protocols import PROTOCOLS
from envs.judges.protocol import describe
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.evaluation.report.grids import SIMULATED
from experiments.evaluation.setting import spread
from experiments.judging.auditing.audit_checks import LEVEL, Check, all_checks, counted
from experiments.judging.auditing.audit_scores import Related, ask, n_requests
from experiments.pages import Grid, KeyFact, markdown, page
from experiments.runs import build
from experiments.runs.config import check_counts
from experiments.runs.cost_estimate import amount_of
from experiments.runs.folders import start_run
from experiments.runs.provenance import config_dict, part_provenance, versions

PAGE, TABLE, FIGURES = "audit.html", "audit.md", "audit.json"


class _AuditParts(NamedTuple):
    judge: Judge
    scenarios: list[Scenario]
    related: Related


def prepare(cfg: DictConfig) -> _AuditParts:
    """Build all that an audit needs, and write nothing.

    Raises
    ------
    UserError
        a mistake in the configuration or a file, or a judge that rates no answers.
    """
    check_counts(cfg, "n_scenarios", least=2)
    judge = build.build_judge(cfg)
    check_rates(describe(judge))
    scenarios = list(spread(build.build_scenarios(cfg).scenarios, cfg.n_scenarios))
    return _AuditParts(judge, scenarios, related_to(judge))


def related_to(judge: Judge) -> Related:
    """Return a language model's other protocols and modes; nothing for any other judge."""
    if not isinstance(judge, LLMJudge) or judge.rating.prompts is not None:
        return Related()
    own = judge.rating.protocol
    protocols = {name: judge if name == own else judge.variant(protocol=name) for name in PROTOCOLS}
    ours = protocols["ours"]
    return Related(protocols, {mode: ours.variant(mode=mode) for mode in ("response", "direct")})


def audit(cfg: DictConfig) -> None:
    """Audit the judge of `cfg`; write `audit.html`, `audit.md` and `audit.json`, and print the page.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when nothing was scored.
    """
    console = Console(highlight=False)
    judge, scenarios, related = prepare(cfg)
    n, costs = n_requests(judge, scenarios, related)
    takes = "nobody is asked for it"
    if n:
        free = "what is cached is free; what cannot be read is asked again"
        takes = f"expected {amount_of(costs).spent()} ({free})"
    console.print(f"spending: {len(scenarios):,} scenarios, {takes}", soft_wrap=True)
    if cfg.dry_run:
        return
    folder = start_run(cfg)
    told = describe(judge)
    if told.preflight is not None:
        told.preflight(folder, scenarios[0])
    checks = all_checks(ask(judge, scenarios, related))
    simulated = describe(judge).simulated  # an endpoint that is a script says so in its replies
    spent = told.spent()
    about = {
        "judge": told.name,
        "judge_is_simulated": simulated,
        "n_scenarios": len(scenarios),
        "requests": 0 if spent is None else spent.requests,
        "checks": [check.to_json() for check in checks],
        "config": config_dict(cfg),
        "provenance": part_provenance(judge),
        **versions(),
    }
    text = write(folder, told.name, simulated, scenarios, checks, about)
    console.print(text, markup=False, soft_wrap=True)
    console.print(f"{folder / PAGE}, {folder / TABLE}, {folder / FIGURES}", markup=False, soft_wrap=True)
    if all(check.n == 0 for check in checks if check.name != "unscored"):
        raise NothingPlannedError(f"the judge scored nothing, see {folder / TABLE}")


def write(
    folder: Path,
    judge: str,
    simulated: bool,
    scenarios: Sequence[Scenario],
    checks: Sequence[Check],
    about: dict[str, Any],
) -> str:
    """Write the page as HTML, Markdown and JSON into `folder`; return the Markdown."""
    found = counted(checks)
    kinds = ("fault", "undecided", "passed", "not run")
    shares = ", ".join(f"{found[kind]} {kind}" for kind in kinds if found[kind])
    title = f"Audit of {judge}{SIMULATED if simulated else ''}: {shares}"
    people = len({scenario.profile for scenario in scenarios})
    about_scores = "SIMULATED scores: a formula or a script judged. " if simulated else ""
    notice = (
        f"{about_scores}Intervals of {LEVEL:.0%} over {people:,} people. A fault: the whole interval lies "
        f"beyond the limit; passed: it lies within; undecided: neither."
    )
    rows = [(c.name, c.outcome, c.question, c.evidence) for c in checks]
    grid = Grid("Checks", ("check", "verdict", "question", "evidence"), rows, "", 4)
    text = f"# {title}\n\n{notice}\n\n{markdown(grid)}"
    (folder / TABLE).write_text(text, encoding="utf-8")
    facts, cards = first_screen(judge, simulated, len(scenarios), checks)
    shown = page(title, (), notice, [grid], facts, cards, ("score", "check", "interval"))
    (folder / PAGE).write_text(shown, encoding="utf-8")
    (folder / FIGURES).write_text(json.dumps(about, indent=2, default=str) + "\n", encoding="utf-8")
    return text


_OPEN_CARDS = 3
"""Checks left open that have a card; the table has all."""


def first_screen(
    judge: str, simulated: bool, n: int, checks: Sequence[Check]
) -> tuple[list[KeyFact], list[KeyFact]]:
    """Return what a reader asks first of an audit, and a card for each fault.

    Where there is none, cards of the first checks that are left open: a judge that fails those is no use.
    """
    faults = [check for check in checks if check.outcome == "fault"]
    undecided = [check for check in checks if check.outcome == "undecided"]
    ran = sum(check.outcome != "not run" for check in checks)
    trusted = f"As far as {ran} checks can tell: none found a fault."
    if faults:
        trusted = f"No: {len(faults)} of {ran} checks found a fault."
    elif undecided:
        trusted = f"Not told: {len(undecided)} of {ran} checks are undecided; more scenarios would tell."
    real = (
        "SIMULATED: the judge is a formula or a script." if simulated else "Every score is the judge's own."
    )
    facts = [
        KeyFact("What was audited?", f"The judge {judge}."),
        KeyFact("On what?", f"{n:,} scenarios, answers written for the audit, one thing changed at a time."),
        KeyFact("Can it be trusted?", trusted),
        KeyFact(
            "What is not told?",
            "Whether people agree with it, and what it thinks of its own model's style: only human labels "
            f"tell (raise-planner calibrate). {real}",
        ),
    ]
    cards = [
        KeyFact(
            f"{check.outcome.capitalize()}: {check.name}",
            f"{check.question} {'No' if check.outcome == 'fault' else 'Not told'}: {check.evidence}.",
        )
        for check in faults or undecided[:_OPEN_CARDS]
    ]
    return facts, cards


main = entry_point("audit", prepare)(audit)

if __name__ == "__main__":
    main()
