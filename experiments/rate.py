"""Rate answers that somebody else wrote: `python -m experiments.rate FILE judge=openai judge.model=M`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario
from envs.judges.asking import check_rates
from envs.judges.panel import PanelJudge
from envs.judges.protocol import describe
from envs.part_books import booked, keep_books
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.judging.answer_files import AnswerSet, read_answers
from experiments.judging.panel_figures import panel_figures, panel_lines
from experiments.judging.ratings import DIMENSIONS, RatedAnswer, RatingJournal, as_table, cost, run, tasks
from experiments.runs import build
from experiments.runs.config import check_counts
from experiments.runs.folders import start_run
from experiments.runs.progress import Progress
from experiments.runs.provenance import config_dict, fingerprint, part_provenance, versions
from experiments.runs.summary import spent

TABLE, SUMMARY, FAILURES = "ratings.parquet", "summary.json", "failures.jsonl"


class _RateParts(NamedTuple):
    judge: Judge
    scenarios: dict[str, Scenario]
    scenarios_sha256: str
    found: AnswerSet


def prepare(cfg: DictConfig) -> _RateParts:
    """Build all that rating needs, and write nothing.

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    check_counts(cfg, "samples")
    loaded = build.build_scenarios(cfg)
    judge = build.build_judge(cfg)
    check_rates(describe(judge))
    found = read_answers(cfg.answers, "answers", loaded.scenarios)
    scenarios = {s.id: s for s in loaded.scenarios}
    cost(judge, found.answers[:1], scenarios, cfg.samples)  # a judge that rates no answers says so
    return _RateParts(judge, scenarios, loaded.sha256, found)


def rate(cfg: DictConfig) -> None:
    """Rate the answers of `cfg.answers`; write `ratings.parquet`, `summary.json` and `failures.jsonl`.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when no answer has a score.
    """
    started, console = time.perf_counter(), Console(highlight=False)
    judge, scenarios, sha256, found = prepare(cfg)
    answers, told, folder = found.answers, describe(judge), Path(cfg.output_dir)
    if cfg.dry_run:
        console.print(_spending(cost(judge, answers, scenarios, cfg.samples), len(answers)), soft_wrap=True)
        return
    config = {key: value for key, value in config_dict(cfg).items() if key != "answers"}
    requests = cache_hits = 0
    with RatingJournal(folder, fingerprint(config, sha256 + found.sha256, judge), cfg.resume) as journal:
        start_run(cfg, resumed=bool(journal.done))
        keep_books(folder, judge)
        done = {rating.number: rating for rating in journal.done.values()}
        todo = [answer for answer in answers if answer.number not in done]
        if (takes := cost(judge, todo, scenarios, cfg.samples)) is not None:
            console.print(_spending(takes, len(todo)), soft_wrap=True)
        progress = Progress("rated", "answers", len(answers), len(done))
        running = run(judge, tasks(judge, todo, scenarios, cfg.samples, cfg.rest))
        with closing(running), progress:
            for batch in running:
                for rating in batch.ratings:
                    journal.add(rating)
                    done[rating.number] = rating
                requests, cache_hits = requests + batch.requests, cache_hits + batch.cache_hits
                progress.advance(len(batch.ratings), requests=requests)
    ratings = [done[answer.number] for answer in answers]
    summary = _summary(judge, ratings, found)
    summary |= {"requests": requests, "cache_hits": cache_hits, **spent(booked(judge))}
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    table = as_table(ratings, answers, scenarios, told.name)
    about = {"config": config, "judge": part_provenance(judge), "answers": found.sha256, **versions()}
    _write(folder, table.replace_schema_metadata({"provenance": json.dumps(about)}), summary, found, ratings)
    _show(console, folder, summary)
    if not summary["n_rated"]:
        raise NothingPlannedError(f"none of {len(answers)} answers has a score, see {folder / FAILURES}")


def _spending(takes: Any, n: int) -> str:
    said = "nobody is asked for it" if takes is None else f"expected {takes.spent()} (what is cached is free)"
    return f"spending: {n:,} answers to rate, {said}"


def _summary(judge: Judge, ratings: list[RatedAnswer], found: AnswerSet) -> dict[str, Any]:
    told = describe(judge)
    values = np.array([rating.value for rating in ratings])
    scored = ~np.isnan(values)
    systems = {}
    for name in dict.fromkeys(answer.system for answer in found.answers):
        rows = np.array([a.system == name for a in found.answers]) & scored
        systems[name] = {"n": int(rows.sum()), "mean": float(values[rows].mean()) if rows.any() else None}
    levels = {d: [r.dimension(d) for r in ratings if r.scored] for d in DIMENSIONS}
    summary = {
        "judge": told.name,
        "judge_is_simulated": told.simulated,
        "n_answers": len(ratings),
        "n_rated": int(scored.sum()),
        "n_unscored": int((~scored).sum()),
        "n_bad_records": len(found.bad),
        "mean_score": float(values[scored].mean()) if scored.any() else None,
        "dimensions": {d: float(np.mean(found)) if found else None for d, found in levels.items()},
        "systems": systems,
    }
    if isinstance(judge, PanelJudge):
        summary["panel"] = panel_figures(judge.member_names, [r.samples[0] for r in ratings])
    return summary


def _write(
    folder: Path, table: Any, summary: dict[str, Any], found: AnswerSet, ratings: list[RatedAnswer]
) -> None:
    failures = [
        {"place": place, "scenario_id": scenario_id, "stage": "load", "reason": reason}
        for place, scenario_id, reason in found.bad
    ]
    failures += [
        {"place": a.place, "scenario_id": a.scenario_id, "stage": "judge", "reason": str(r.reason)}
        for a, r in zip(found.answers, ratings, strict=True)
        if not r.scored
    ]
    pq.write_table(table, folder / TABLE)
    lines = "".join(json.dumps(failure, ensure_ascii=False) + "\n" for failure in failures)
    (folder / FAILURES).write_text(lines, encoding="utf-8")
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _show(console: Console, folder: Path, summary: dict[str, Any]) -> None:
    simulated = " (SIMULATED scores)" if summary["judge_is_simulated"] else ""
    mean = "-" if summary["mean_score"] is None else f"{summary['mean_score']:.2f}"
    lines = [
        f"judge {summary['judge']}{simulated}: mean {mean} over {summary['n_rated']:,} answers, "
        f"{summary['n_unscored']:,} unscored, {summary['n_bad_records']:,} bad records, "
        f"{summary['requests']:,} requests, {summary['cache_hits']:,} from the cache",
        *(f"  {name or '-'}: {s['n']:,} rated" + ("" if s["mean"] is None else f", mean {s['mean']:.2f}")
          for name, s in summary["systems"].items() if len(summary["systems"]) > 1),
        *panel_lines(summary.get("panel")),
        f"{folder / TABLE}, {folder / SUMMARY}, {folder / FAILURES}",
    ]  # fmt: skip
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


_main = entry_point("rate", prepare)(rate)


def main() -> None:
    """Run the command; a first argument that is no override is the file."""
    if len(sys.argv) > 1 and not sys.argv[1].startswith(("-", "+", "~")) and "=" not in sys.argv[1]:
        sys.argv[1] = f"answers='{sys.argv[1]}'"
    _main()


if __name__ == "__main__":
    main()
