"""Evaluations of several judges and target models as one table.

python -m experiments.evaluate -m judge=openai judge.model=M,N judge.target.model=S,T paths=DIR
python -m experiments.by_model multirun/DATE/TIME      reads what such a sweep has left
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs import UserError
from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.evaluation.methods.baselines import FULL, STATIC_SETS, VANILLA
from experiments.evaluation.methods.compared_methods import CHOSEN, STORED
from experiments.evaluation.report.grids import SIMULATED, number, with_interval
from experiments.evaluation.report.published_claims import SUMMARY, read_summary
from experiments.evaluation.results import DIMENSIONS
from experiments.pages import Grid, markdown, page
from experiments.stats import Interval

PAGE, TABLE = "by_model.html", "by_model.md"
_SAME = ("scenarios", "budget", "seed", "n_test", "n_profiles")


def read_runs(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the summaries of all evaluations in or below `folders`, in the order of their names.

    Raises
    ------
    UserError
        there is none, or two that are not of the same people and budget.
    """
    files = [file for folder in folders for file in _summaries(folder)]
    runs = [read_summary(file) for file in files]
    for file, run in zip(files, runs, strict=True):
        for key in _SAME:
            if run.get(key) != runs[0].get(key):
                raise UserError(
                    f"{file}: {key} is {run.get(key)!r}, in {files[0]} it is {runs[0].get(key)!r}; "
                    f"expected evaluations that differ in their models alone"
                )
    return runs


def _summaries(folder: Path) -> list[Path]:
    found = sorted(folder.rglob(SUMMARY), key=lambda path: [part.zfill(8) for part in path.parts])
    if not found:
        raise UserError(f"{folder}: found no {SUMMARY}, expected the folder of an evaluation or of a sweep")
    return found


def by_model_grid(runs: Sequence[Mapping[str, Any]]) -> Grid:
    """Return a row for each run: judge, target model, and the chosen policy beside nothing known."""
    rows = [
        (*_models(run), _shown(run, VANILLA), _shown(run, CHOSEN), *_gain(run), _unscored(run))
        for run in runs
    ]
    note = "Mean score with its interval; gain: chosen policy minus vanilla, paired by person. Unscored: "
    note += "evaluations without a score, which no figure counts."
    title = "By judge and target model" + (SIMULATED if _any_simulated(runs) else "")
    columns = ("judge", "target model", VANILLA, CHOSEN, "gain", "questions", "unscored")
    return Grid(title, columns, rows, note, 2)


def methods_grid(runs: Sequence[Mapping[str, Any]]) -> Grid:
    """Return the mean scores of the methods that all runs have."""
    rule = f"value {runs[0]['value_cost']:g}"
    wanted = [f"{a} + {r}" for a in ("random order", "vote", "llm") for r in (rule, "scale 4")]
    wanted += [f"{STORED} + value", *STATIC_SETS, FULL]
    names = [name for name in wanted if all(name in run["methods"] for run in runs)]
    rows = [(name, *(_shown(run, name) for run in runs)) for name in names]
    title = "The same beside other methods" + (SIMULATED if _any_simulated(runs) else "")
    columns = ("method", *(" / ".join(_models(run)) for run in runs))
    return Grid(title, columns, rows, "Mean score with its interval, by judge / target model.")


def dimensions_grid(runs: Sequence[Mapping[str, Any]]) -> Grid:
    """Return the chosen policy's scores by dimension, beside those of nothing known."""
    rows = []
    for run in runs:
        for name in (VANILLA, CHOSEN):
            found = run["methods"][name]["dimensions"]
            shown = [with_interval(Interval.from_json(found[d])) for d in DIMENSIONS]
            rows.append((*_models(run), name, *shown))
    columns = ("judge", "target model", "method", *(d.replace("_", " ") for d in DIMENSIONS))
    title = "By judge, target model and dimension" + (SIMULATED if _any_simulated(runs) else "")
    return Grid(title, columns, rows, "Mean score with its interval.", 3)


def _any_simulated(runs: Sequence[Mapping[str, Any]]) -> bool:
    return any(run["judge_is_simulated"] for run in runs)


def _models(run: Mapping[str, Any]) -> tuple[str, str]:
    return str(run["judge"]), str(run.get("target") or "-")


def _shown(run: Mapping[str, Any], name: str) -> str:
    return with_interval(Interval.from_json(run["methods"][name]["score"]))


def _gain(run: Mapping[str, Any]) -> tuple[str, str]:
    """Return the chosen policy's gain over vanilla, and its questions."""
    pair = next((p for p in run["pairs"] if (p["name"], p["other"]) == (CHOSEN, VANILLA)), None)
    gain = "-" if pair is None else with_interval(Interval.from_json(pair["interval"]), signed=True)
    return gain, number(Interval.from_json(run["methods"][CHOSEN]["questions"]).estimate, 1)


def _unscored(run: Mapping[str, Any]) -> str:
    evaluations = run.get("n_evaluations", 0)
    return f"{run.get('n_evaluations_unscored', 0):,} of {evaluations:,}" if evaluations else "-"


def lead(runs: Sequence[Mapping[str, Any]]) -> str:
    """Say for how many models the chosen policy is surely better than asking nothing."""
    pairs = [next(p for p in r["pairs"] if (p["name"], p["other"]) == (CHOSEN, VANILLA)) for r in runs]
    sure = sum(Interval.from_json(pair["interval"]).low > 0 for pair in pairs)
    return f"The chosen policy scores surely higher than without questions under {sure} of {len(runs)} models"


def write(runs: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Write all tables as HTML and Markdown into `folder`; return the Markdown.

    Raises
    ------
    UserError
        the folder cannot be written.
    """
    grids = [by_model_grid(runs), dimensions_grid(runs), methods_grid(runs)]
    text = "\n".join(f"## {grid.title}\n\n{grid.note}\n\n{markdown(grid)}" for grid in grids)
    one = runs[0]
    notice = (
        f"{one['n_test']:,} held-out scenarios of {one['n_profiles']:,} people, budget {one['budget']}, "
        f"scenarios {one['scenarios']}."
    )
    if _any_simulated(runs):
        notice = f"SIMULATED scores: a formula judged, no person and no language model. {notice}"
    try:
        (folder / TABLE).write_text(f"# {lead(runs)}\n\n{notice}\n\n{text}", encoding="utf-8")
        (folder / PAGE).write_text(page(lead(runs), (), notice, grids), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write and print the tables; exit 2 on a mistake."""
    chosen = parser("by_model").parse_args(arguments)
    with mistakes_in_one_line():
        text = write(read_runs(chosen.folders), chosen.folders[0])
    print(text, end="")
    print(f"\n{chosen.folders[0] / TABLE}, {chosen.folders[0] / PAGE}")


if __name__ == "__main__":
    main()
