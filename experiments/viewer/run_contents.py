"""What is in the folder of a run, read with patience: what is damaged is one line, and the rest is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml

from envs import UserError
from experiments.evaluation.results import COLUMNS
from experiments.runs.folders import CONFIG, HISTORY, HYDRA, OVERRIDES, SUBFOLDER
from experiments.runs.plan_journal import FILE_NAME as PLANS
from experiments.runs.plan_journal import segments
from experiments.viewer.line_index import LineIndex
from search.path_table import FILE_NAME as PATHS
from search.path_table import PathRecord, PathTable
from search.population.policy_tree import PolicyTree
from search.population.policy_tree_file import FILE_NAME as TREES
from search.population.policy_tree_file import load_trees

SUMMARY, FAILURES, RESULTS, TRANSCRIPTS = (
    "summary.json",
    "failures.jsonl",
    "results.parquet",
    "transcripts.jsonl",
)


@dataclass(frozen=True)
class ListedScenario:
    """One line of the list. `state`: `planned`, `failed` or `evaluated`; `gain`: score less nothing known."""

    scenario_id: str
    domain: str
    query: str
    state: str
    path: tuple[str, ...] = ()
    score: float | None = None
    gain: float | None = None
    judge_calls: int | None = None
    reason: str = ""


@dataclass
class RunContents:
    """A run's folder in memory; `problems`: one line for each file that could not be read whole."""

    folder: Path
    problems: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    run_folder: Path | None = None
    records: dict[str, PathRecord] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    results: pd.DataFrame | None = None
    trees: tuple[PolicyTree, ...] = ()
    plans: LineIndex = field(init=False)
    transcripts: LineIndex = field(init=False)
    scenarios: list[ListedScenario] = field(default_factory=list)

    @property
    def simulated(self) -> bool:
        """Tell whether no person and no model judged, as the run's own files say."""
        if "judge_is_simulated" in self.summary:
            return bool(self.summary["judge_is_simulated"])
        return any(record.judge.startswith("simulated") for record in self.records.values())

    @property
    def reports(self) -> list[str]:
        """Names of the HTML files in the folder."""
        return sorted(path.name for path in self.folder.glob("*.html") if path.is_file())


def read_run(folder: Path) -> RunContents:
    """Read what there is.

    Raises
    ------
    UserError
        no such folder, or one that no run has left.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected the folder of a run")
    run = RunContents(folder)
    known = (PATHS, PLANS, RESULTS, TREES, SUMMARY, FAILURES, SUBFOLDER)
    if not any((folder / name).exists() for name in known) and not run.reports:
        raise UserError(f"{folder}: holds no run, expected one of {', '.join(known)}")
    run.summary = _mapping(run, SUMMARY, json.loads)
    _read_configuration(run)
    _read_tables(run)
    run.plans = LineIndex(folder / PLANS, segments(folder))
    run.transcripts = LineIndex(folder / TRANSCRIPTS)
    run.problems += [index.problem for index in (run.plans, run.transcripts) if index.problem]
    run.scenarios = _listed(run, _failures(run))
    return run


def _text(run: RunContents, name: str) -> str | None:
    """Return the text of a file, None where there is none; what cannot be read is noted."""
    try:
        return (run.folder / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        run.problems.append(f"{name}: is not UTF-8 text")
    except OSError as error:
        run.problems.append(f"{name}: {error.strerror}, expected a file that can be read")
    return None


def _parsed(run: RunContents, name: str, parse: Any, kind: type) -> Any:
    text = _text(run, name)
    if text is None:
        return kind()
    try:
        found = parse(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        run.problems.append(f"{name}: not readable ({type(error).__name__})")
        return kind()
    if found is None:
        return kind()
    if not isinstance(found, kind):
        run.problems.append(f"{name}: found {type(found).__name__}, expected {kind.__name__}")
        return kind()
    return found


def _mapping(run: RunContents, name: str, parse: Any) -> dict[str, Any]:
    found: dict[str, Any] = _parsed(run, name, parse, dict)
    return found


def _lines(run: RunContents, name: str) -> list[dict[str, Any]]:
    """Return the objects of a small JSON Lines file; lines that are none are counted."""
    found, bad = [], 0
    for line in (_text(run, name) or "").split("\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            found.append(row)
        else:
            bad += 1
    if bad:
        run.problems.append(f"{name}: {bad:,} line{'s are' if bad > 1 else ' is'} no JSON object")
    return found


def _read_configuration(run: RunContents) -> None:
    run.config = _mapping(run, f"{SUBFOLDER}/{CONFIG}", yaml.safe_load)
    run.overrides = [str(one) for one in _parsed(run, f"{SUBFOLDER}/{OVERRIDES}", yaml.safe_load, list)]
    run.history = _lines(run, f"{SUBFOLDER}/{HISTORY}")
    hydra = _mapping(run, f"{SUBFOLDER}/{HYDRA}", yaml.safe_load).get("hydra")
    runtime = hydra.get("runtime") if isinstance(hydra, Mapping) else None
    cwd = runtime.get("cwd") if isinstance(runtime, Mapping) else None
    run.run_folder = Path(cwd) if isinstance(cwd, str) else None


def _read_tables(run: RunContents) -> None:
    if (run.folder / PATHS).exists():
        try:
            table = PathTable.load(run.folder)
            run.records = {record.scenario_id: record for record in table.records()}
            run.provenance = table.provenance
        except UserError as error:
            run.problems.append(_without_folder(run, error))
    if (run.folder / RESULTS).exists():
        try:
            found = pd.read_parquet(run.folder / RESULTS)
            missing = [name for name in COLUMNS if name not in found]
            if missing:
                run.problems.append(f"{RESULTS}: has no column {missing[0]}, expected those of an evaluation")
            else:
                run.results = found
        except (OSError, pa.ArrowException, ValueError) as error:
            run.problems.append(f"{RESULTS}: not readable ({type(error).__name__})")
    if (run.folder / TREES).exists():
        try:
            run.trees = tuple(load_trees(run.folder / TREES).trees.values())
        except (UserError, OSError, UnicodeDecodeError) as error:
            run.problems.append(_without_folder(run, error))


def _without_folder(run: RunContents, error: Exception) -> str:
    return " ".join(str(error).replace(f"{run.folder}/", "").split())


def _failures(run: RunContents) -> list[ListedScenario]:
    return [
        ListedScenario(
            str(row.get("scenario_id") or row.get("place") or "unknown"),
            "",
            "",
            "failed",
            reason=f"{row.get('stage', 'unknown stage')}: {row.get('reason', 'no reason told')}",
        )
        for row in _lines(run, FAILURES)
    ]


def _listed(run: RunContents, failures: Sequence[ListedScenario]) -> list[ListedScenario]:
    planned = [
        ListedScenario(r.scenario_id, r.domain, r.query, "planned", r.path, r.score, _gain(r), r.judge_calls)
        for r in run.records.values()
    ]
    if run.results is None:
        return [*planned, *failures]
    return [*planned, *_evaluated(run.results, run.summary.get("chosen")), *failures]


def _gain(record: PathRecord) -> float | None:
    first = record.path_scores[0] if record.path_scores else None
    return None if first is None else record.score - first


def _evaluated(results: pd.DataFrame, chosen: object) -> list[ListedScenario]:
    """Return a line for each test scenario: what the chosen policy asked there, under the first draw."""
    names = results["method"].unique()
    method = chosen if chosen in names else names[0] if len(names) else None
    rows = results[results["method"] == method].drop_duplicates("scenario_id")
    columns = ("scenario_id", "domain", "asked", "score", "score_empty")
    found = []
    for scenario_id, domain, asked, score, empty in zip(*(rows[c].tolist() for c in columns), strict=True):
        known = score == score
        gain = score - empty if known and empty == empty else None
        path = tuple(str(name) for name in asked) if asked is not None else ()
        found.append(
            ListedScenario(
                str(scenario_id), str(domain), "", "evaluated", path, score if known else None, gain
            )
        )
    return found
