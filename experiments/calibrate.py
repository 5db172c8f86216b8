"""Hold a judge against what people said: `python -m experiments.calibrate labels=FILE judge.model=M`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario
from envs.judges.asking import check_rates
from envs.judges.protocol import Capabilities, describe
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.evaluation.report.grids import SIMULATED
from experiments.evaluation.report.plain_values import plain_json
from experiments.judging.answer_files import Answer, read_answers
from experiments.judging.calibration import figures, grids
from experiments.judging.calibration_page import TERMS, calibration_facts
from experiments.judging.labels import Labels, join, read_labels
from experiments.judging.ratings import cost, rate_all
from experiments.pages import Grid, KeyFact, markdown, page
from experiments.runs import build
from experiments.runs.config import check_counts
from experiments.runs.folders import start_run
from experiments.runs.provenance import config_dict, part_provenance, versions
from experiments.stats import check_level

PAGE, TABLE, FIGURES, FAILURES = "calibration.html", "calibration.md", "calibration.json", "failures.jsonl"


class _CalibrationParts(NamedTuple):
    judge: Judge
    scenarios: dict[str, Scenario]
    labels: Labels
    answers: list[Answer]
    bad: list[tuple[str, str | None, str]]
    hashes: dict[str, str]


def prepare(cfg: DictConfig) -> _CalibrationParts:
    """Build all that a calibration needs, and write nothing.

    Raises
    ------
    UserError
        a mistake in the configuration or a file, or a judge that rates no answers.
    """
    check_level(cfg.level)
    check_counts(cfg, "samples")
    loaded = build.build_scenarios(cfg).scenarios
    judge = build.build_judge(cfg)
    check_rates(describe(judge))
    labels, file = read_labels(cfg.labels, loaded)
    answers, bad, hashes = labels.answers, file.bad, {"labels": file.sha256}
    if cfg.answers is not None:
        found = read_answers(cfg.answers, "answers", loaded)
        answers, bad, hashes = found.answers, bad + found.bad, {**hashes, "answers": found.sha256}
    scenarios = {s.id: s for s in loaded}
    cost(judge, answers[:1], scenarios, cfg.samples)  # a judge that rates no answers says so
    return _CalibrationParts(judge, scenarios, labels, answers, bad, hashes)


def calibrate(cfg: DictConfig) -> None:
    """Rate the answers of `cfg`, and write and print how the judge stands to people.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when no labelled answer has a score.
    """
    console = Console(highlight=False)
    judge, scenarios, labels, answers, bad, hashes = prepare(cfg)
    takes = cost(judge, answers, scenarios, cfg.samples)
    said = "nobody is asked for it" if takes is None else f"expected {takes.spent()} (what is cached is free)"
    console.print(f"spending: {len(answers):,} answers to rate, {said}", soft_wrap=True)
    if cfg.dry_run:
        return
    folder = start_run(cfg)
    ratings = rate_all(judge, answers, scenarios, cfg.samples)
    judged = join(answers, ratings, labels, scenarios)
    found = figures(judged, labels, cfg.level)
    told, n_scored = describe(judge), sum(bool(rating.scored) for rating in ratings)
    notice = (
        f"{len(answers):,} answers, {len(answers) - n_scored:,} of them unscored and left out; "
        f"{len(labels.answers):,} labelled by {len(labels.raters)} raters. Right only where the labelled "
        f"answers are a random sample of all, and the judge was not tuned on these labels. Intervals: "
        f"{cfg.level:.0%}."
    )
    about = {
        "judge": told.name,
        "judge_is_simulated": told.simulated,
        "n_answers": len(answers),
        "n_unscored": len(answers) - n_scored,
        "n_labelled": len(labels.answers),
        "level": cfg.level,
        **found,
        "config": config_dict(cfg),
        "provenance": part_provenance(judge),
        "files": hashes,
        **versions(),
    }
    screen = calibration_facts(told.name, told.simulated, found, len(labels.answers))
    text = _write(folder, _title(told), notice, grids(found, len(labels.raters)), screen, about)
    rows = [{"place": p, "scenario_id": s, "stage": "load", "reason": r} for p, s, r in bad]
    (folder / FAILURES).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    console.print(text, markup=False, soft_wrap=True)
    console.print(f"{folder / PAGE}, {folder / TABLE}, {folder / FIGURES}", markup=False, soft_wrap=True)
    if not found["agreement"][-1]["n"]:
        raise NothingPlannedError(f"no labelled answer has a score, see {folder / TABLE}")


def _title(judge: Capabilities) -> str:
    return f"{judge.name}{SIMULATED if judge.simulated else ''} beside people"


def _write(
    folder: Path,
    title: str,
    notice: str,
    tables: list[Grid],
    screen: tuple[list[KeyFact], list[KeyFact]],
    about: dict[str, Any],
) -> str:
    body = "\n".join("\n\n".join(filter(None, (f"## {t.title}", t.note, markdown(t)))) for t in tables)
    text = f"# {title}\n\n{notice}\n\n{body}"
    (folder / TABLE).write_text(text, encoding="utf-8")
    (folder / PAGE).write_text(page(title, (), notice, tables, *screen, TERMS), encoding="utf-8")
    plain = json.dumps(plain_json(about), indent=2, default=str, allow_nan=False)
    (folder / FIGURES).write_text(plain + "\n", encoding="utf-8")
    return text


main = entry_point("calibrate", prepare)(calibrate)

if __name__ == "__main__":
    main()
