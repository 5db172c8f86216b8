"""Writes the results of an evaluation (Parquet, JSON, Markdown, HTML) and shows the main ones."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from envs.judges.made_up import made_up_fields, made_up_line
from experiments.console.entry_point import NothingPlannedError
from experiments.evaluation.methods.baselines import (
    BEST_STATIC,
    BEST_STATIC_ALL,
    FULL,
    ORACLE,
    STATIC_SETS,
    VANILLA,
)
from experiments.evaluation.methods.compared_methods import CHOSEN, STORED
from experiments.evaluation.methods.models import Asked
from experiments.evaluation.methods.population_plans import POPULATION, POPULATION_ALL, cost_name
from experiments.evaluation.report import grids
from experiments.evaluation.report.about import About
from experiments.evaluation.report.drawings import ablation, forest, heat_map, pareto
from experiments.evaluation.report.findings import ablation_rows, findings, unscored_lines
from experiments.evaluation.report.first_screen import (
    TERMS,
    Held,
    extremes,
    held_against_all,
    in_sentences,
    key_facts,
)
from experiments.evaluation.report.method_figures import Comparison, MethodFigures
from experiments.evaluation.report.pairs import Pair, compare, difference_rows
from experiments.evaluation.report.plain_values import plain_json
from experiments.evaluation.report.published_claims import (
    SUMMARY,
    claims,
    claims_grid,
    held_out,
    is_published_of,
)
from experiments.evaluation.run import Evaluation
from experiments.evaluation.variations import robustness
from experiments.pages import Grid, markdown, page
from experiments.plots.svg import Drawing
from experiments.runs.summary import files_table

FILES = [
    ("report.html", "everything, with figures, in one file"),
    ("report.md", "the tables"),
    ("claims.md", "published claims beside what was measured"),
    (SUMMARY, "the figures of the run"),
    ("results.parquet", "one row a method, scenario and draw of the judge"),
    ("variations.parquet", "the same for the robustness checks"),
]


class Report:
    """An evaluation in tables, figures and files."""

    def __init__(self, found: Evaluation, about: About) -> None:
        self.found = found
        self.about = about
        self.comparison = self._compare(found.results)
        self.methods = {name: self.comparison.figures(name) for name in self.comparison.names}
        if all(figures.n_unscored == figures.n_rows for figures in self.methods.values()):
            message = ", ".join(f"{reason} {n:,}" for reason, n in found.unscored.items())
            raise NothingPlannedError(
                f"evaluation: none of {found.n_evaluations:,} evaluations has a score: {message}"
            )

    def _compare(self, results: pd.DataFrame) -> Comparison:
        return Comparison(results, self.about.seed, self.about.draws, self.about.level)

    def score(self, name: str) -> float:
        """Return the mean score of a method."""
        return self.methods[name].score.estimate

    @functools.cached_property
    def pairs(self) -> list[Pair]:
        """All comparisons."""
        return compare(self.comparison, CHOSEN, self.about.value_cost)

    @functools.cached_property
    def held(self) -> list[Held]:
        """The chosen policy against every other method, the least favourable comparison first."""
        return held_against_all(self.comparison, CHOSEN)

    @functools.cached_property
    def varied(self) -> list[dict[str, Any]]:
        """The robustness rows: variation, setting, method, and intervals of score, questions and share."""
        if self.found.varied is None:
            return []
        rows = []
        for (variation, setting), part in self.found.varied.groupby(["variation", "setting"], sort=False):
            comparison = self._compare(part.reset_index(drop=True))
            for name in comparison.names:
                m = comparison.figures(name)
                shown = {"score": m.score, "questions": m.questions, "share": m.share}
                rows.append({"variation": variation, "setting": setting, "method": name, **shown})
        return rows

    @functools.cached_property
    def sentences(self) -> list[str]:
        """What was found, in sentences."""
        found = in_sentences(self.methods, self.held, self.pairs, CHOSEN)
        found += findings(self.methods, self.pairs, CHOSEN, self.about.value_cost)
        trees = [self.about.about_trees] if self.about.about_trees else []
        asked = [f"{grids.asked_grid(self.about.asked).title}."] if self.about.asked else []
        missing = unscored_lines(self.found, self.comparison)
        return [*found, *asked, *missing, *self.found.overlap, *trees, *self.found.absent]

    @functools.cached_property
    def _summary(self) -> dict[str, Any]:
        about = asdict(self.about)
        simulated = about.pop("simulated")
        asked, invented = about.pop("asked"), about.pop("made_up_attributes")
        rows = self.comparison.rows
        summary = {
            **about,
            "judge_is_simulated": simulated,
            **made_up_fields(invented),
            "n_test": int(rows["scenario_id"].nunique()),
            "n_profiles": int(rows["profile"].nunique()),
            "model_seeds": sorted(int(seed) for seed in rows["model_seed"].unique()),
            "tables": list(self.found.sources),
            "n_rows_left_out": self.found.n_left_out,
            "n_queries_escalated": self.found.n_escalated,
            "n_queries_revealing": self.found.n_revealing,
            "n_evaluations": self.found.n_evaluations,
            "n_searched": self.found.n_searched,
            "n_evaluations_unscored": sum(self.found.unscored.values()),
            "unscored": dict(self.found.unscored),
            "model_questions": [Asked(*row)._asdict() for row in asked],
            "chosen": CHOSEN,
            "abstention_only": f"random order + value {self.about.value_cost:g}",
            "findings": self.sentences,
            "methods": {name: asdict(figures) for name, figures in self.methods.items()},
            "pairs": [pair.to_json() for pair in self.pairs],
            "held_against": [held._asdict() for held in self.held],
            "variations": self.varied,
            "understanding": [asdict(row) for row in self.found.understood],
        }
        return dict(plain_json(summary))

    def summary(self) -> dict[str, Any]:
        """Return the content of `summary.json`; None where nothing was scored or nothing is reached."""
        return dict(self._summary)

    def headline(self) -> dict[str, Any]:
        """Return the few figures that a tracker logs."""
        found = {"n_test": self._summary["n_test"], "judge_is_simulated": self.about.simulated}
        for name in (VANILLA, CHOSEN, BEST_STATIC_ALL, BEST_STATIC, FULL):
            if name in self.methods:
                key = name.replace(" ", "_")
                found[f"score_{key}"] = self.methods[name].score.estimate
                found[f"questions_{key}"] = self.methods[name].questions.estimate
        return found

    def tables(self) -> dict[str, tuple[Sequence[str], Sequence[Any]]]:
        """Return the tables of a tracker: name -> columns, rows."""
        parts = {
            "methods": self._grids()[0],
            "comparisons": grids.pairs_grid(self.pairs, self.about.simulated),
        }
        return {name: (list(grid.columns), [list(row) for row in grid.rows]) for name, grid in parts.items()}

    def _few(self) -> list[MethodFigures]:
        cost = self.about.value_cost
        names = [VANILLA, *(f"{a} + value {cost:g}" for a in ("random order", "nearest", "vote"))]
        names += [f"llm + value {cost:g}", *(f"{a} + scale 4" for a in ("random order", "vote", "llm"))]
        names += [f"conditional + value {cost:g}", f"{STORED} + value", CHOSEN]
        names += [*STATIC_SETS, BEST_STATIC_ALL, BEST_STATIC]
        names += [cost_name(POPULATION_ALL, cost), cost_name(POPULATION, cost), ORACLE, FULL]
        return [self.methods[name] for name in names if name in self.methods]

    def _grids(self) -> list[Grid]:
        simulated = self.about.simulated
        parts = [
            grids.methods_grid(self.methods.values(), simulated),
            grids.domains_grid(self._few(), simulated, "By domain"),
            grids.dimensions_grid(self._few(), simulated, "By dimension"),
            grids.pairs_grid(self.pairs, simulated),
        ]
        if self.about.asked:
            parts.append(grids.asked_grid(self.about.asked))
        if self.found.understood:
            parts.append(grids.understanding_grid(self.found.understood))
        if self.varied:
            parts.append(
                grids.variations_grid(self.varied, simulated, "Other answers, fewer plans, unknown domains")
            )
        return parts

    @functools.cached_property
    def _drawings(self) -> list[Drawing]:
        simulated = self.about.simulated
        steps = ablation_rows(self.methods, CHOSEN, self.about.value_cost)
        parts = [
            *([ablation(steps, simulated)] if is_published_of(self.about.names) else []),
            pareto(self.methods, CHOSEN, simulated),
            forest(difference_rows(self.pairs), simulated),
            heat_map(CHOSEN, self.comparison.asked(CHOSEN), self.about.names, self.about.budget),
        ]
        return [*parts, *robustness(self.varied, simulated)]

    def drawings(self) -> dict[str, str]:
        """Return {key: SVG} of the figures, for a tracker."""
        return {drawing.key: drawing.svg for drawing in self._drawings}

    def write(self, folder: Path, summary: Mapping[str, Any]) -> None:
        """Write all files into `folder`."""
        self.found.results.to_parquet(folder / "results.parquet", index=False)
        if self.found.varied is not None:
            self.found.varied.to_parquet(folder / "variations.parquet", index=False)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        found = claims(summary)
        claimed = [claims_grid(found)] if found else []
        parts = self._grids()
        if claimed:
            (folder / "claims.md").write_text(markdown(claimed[0]), encoding="utf-8")
        text = [
            f"# {self._title()}\n",
            f"{self._notice()}\n",
            "".join(f"- {line}\n" for line in self.sentences),
        ]
        text += [f"## {grid.title}\n\n{grid.note}\n\n{markdown(grid)}" for grid in (*claimed, *parts)]
        (folder / "report.md").write_text("\n".join(text), encoding="utf-8")
        (folder / "report.html").write_text(self._page(summary, [*claimed, *parts]), encoding="utf-8")

    def _page(self, summary: Mapping[str, Any], tables: Sequence[Grid]) -> str:
        return page(
            self._title(),
            self.sentences,
            self._notice(),
            [*self._drawings, *map(Grid.offered, tables)],
            facts=key_facts(self.methods, self.held, CHOSEN, summary, self.about.policy),
            cards=extremes(self.methods, self.held, self.pairs, CHOSEN, self.about.simulated),
            terms=[term for term in TERMS if self.about.simulated or term != "SIMULATED"],
        )

    def _title(self) -> str:
        chosen, vanilla = self.methods[CHOSEN], self.methods[VANILLA]
        return (
            f"The chosen policy scores {grids.number(chosen.score.estimate)} after "
            f"{chosen.questions.estimate:.1f} questions, {grids.number(vanilla.score.estimate)} without any"
        )

    def _notice(self) -> str:
        rows = self._summary
        draws = len(rows["model_seeds"])
        target = "" if self.about.target is None else f", answers by the target model {self.about.target}"
        of = (
            f"Judge: {self.about.judge}, {draws} draw{'s' if draws > 1 else ''} of it{target}. At most "
            f"{self.about.budget} questions. Scenarios: {self.about.scenarios}, {held_out(rows)}."
        )
        if rows["n_profiles"] == 1:
            of += " One person was tested: nothing has an interval."
        if not self.about.simulated:
            return of
        invented = made_up_line(self.about.made_up_attributes)
        said = "SIMULATED scores: a formula judged, no person and no language model."
        return " ".join(filter(None, [said, invented, of]))

    def show(self, console: Console, folder: Path, summary: Mapping[str, Any]) -> None:
        """Print the main table, the findings and where the files are."""
        grid = grids.methods_grid(self._few(), self.about.simulated, self._title())
        table = Table(
            title=grid.title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False
        )
        keep = [0, 2, 3, 5, 6]
        for k in keep:
            table.add_column(grid.columns[k], justify="right" if k > 1 else "left")
        for row in grid.rows:
            table.add_row(*(row[k] for k in keep))
        console.print(table)
        for line in (self._notice(), *self.sentences):
            console.print(f"- {line}", highlight=False, markup=False)
        sent = f"{summary['requests']:,} requests, " if summary["requests"] else ""
        console.print(f"{sent}{summary['wall_s']:.1f} s", highlight=False)
        console.print(files_table(folder, FILES), highlight=False, markup=False, soft_wrap=True)
