"""Generate scenarios in PENGUIN's shape: `python -m experiments.generate_scenarios people=1400 queries=10`.

Profiles are drawn from a seed along the published dependency graph, queries written by a grammar or a
model and checked; all published layouts, and a datasheet, are written.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
import time
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console

from envs.llm.costs import RequestCost, in_dollars
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.pages import markdown
from experiments.penguin.file_checks import check_file, grids
from experiments.penguin.generating.chi_square import chi_square
from experiments.penguin.generating.datasheet import FILE_NAME as DATASHEET
from experiments.penguin.generating.datasheet import chi_square_grid, datasheet
from experiments.penguin.generating.generation import Generated, draw_people, generate
from experiments.penguin.generating.profile_makers import GraphProfiles, ModelProfiles, ProfileMaker
from experiments.penguin.generating.profile_sampling import balanced_situations
from experiments.penguin.generating.query_writers import ModelWriter, QueryWriter
from experiments.penguin.generating.written_layouts import write_layouts
from experiments.runs import build
from experiments.runs.config import check_counts
from experiments.runs.folders import start_run
from experiments.runs.progress import Progress
from policies.understanding import RulesReader
from policies.understanding.reading import Reader

SUMMARY = "summary.json"
_MEASURED = 20
"""People whose prompts are measured for a price."""


class _GenerateParts(NamedTuple):
    maker: ProfileMaker
    writer: QueryWriter
    reader: Reader | None


def prepare(cfg: DictConfig) -> _GenerateParts:
    """Build and check what generating needs; write nothing."""
    check_counts(cfg, "people", "queries", "attempts")
    reader = build.build_reader(cfg)
    beside = None if isinstance(reader, RulesReader) else reader  # the rules look in any case
    return _GenerateParts(build.build_profiles(cfg), build.build_writer(cfg), beside)


def run(cfg: DictConfig) -> None:
    """Generate, check and write.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; no query could be had at all.
    """
    started = time.perf_counter()
    maker, writer, reader = prepare(cfg)
    console = Console(highlight=False)
    if cfg.dry_run:
        console.print(_takes(cfg, maker, writer, reader))
        return
    embedding = build.build_embedding(cfg)
    folder = start_run(cfg)
    with Progress("wrote for", "people", cfg.people) as progress:
        made = generate(
            *(cfg.people, cfg.queries, maker, writer, embedding),
            reader=reader,
            attempts=cfg.attempts,
            at_once=writer.limits.max_in_flight if isinstance(writer, ModelWriter) else 1,
            on_person=lambda: progress.advance(1),
        )
    if not any(made.queries):
        raise NothingPlannedError(f"none of {made.written:,} written queries could be used")
    figures = check_file(made.scenarios(), embedding)
    chi = chi_square(maker.tables, made.codes, made.situations) if isinstance(maker, GraphProfiles) else []
    names = write_layouts(folder, made)
    command = shlex.join(["python", "-m", "experiments.generate_scenarios", *sys.argv[1:]])
    sheet = datasheet(made, figures, chi, maker.origin, writer.origin, command)
    (folder / DATASHEET).write_text(sheet, encoding="utf-8")
    summary = _summary(made, maker, writer, time.perf_counter() - started)
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for grid in (*([chi_square_grid(chi)] if chi else []), *grids(figures)):
        console.print(f"{grid.title}\n\n{markdown(grid)}", markup=False, soft_wrap=True)
    console.print(
        f"{summary['queries']:,} queries of {len(made.people):,} people in {summary['wall_s']:.1f} s"
    )
    for what, reasons in (
        (f"{cfg.people:,} profiles", made.no_profile),
        (f"{made.written:,} queries", made.thrown_out),
    ):
        console.print(f"thrown out of {what}: {dict(reasons) or 'none'}", markup=False, soft_wrap=True)
    console.print(f"{folder}/: {', '.join([*names, DATASHEET, SUMMARY])}", soft_wrap=True)


def _summary(made: Generated, maker: ProfileMaker, writer: QueryWriter, wall_s: float) -> dict[str, Any]:
    spent = [part.spent for part in (maker, writer) if isinstance(part, ModelProfiles | ModelWriter)]
    return {
        "people": len(made.people),
        "queries": sum(map(len, made.queries)),
        "written": made.written,
        "thrown_out": dict(made.thrown_out),
        "profiles_thrown_out": dict(made.no_profile),
        "profiles": maker.origin,
        "origin": writer.origin,
        "synthetic": True,
        "requests": sum(part.requests for part in spent),
        "wall_s": round(wall_s, 3),
    }


def _takes(cfg: DictConfig, maker: ProfileMaker, writer: QueryWriter, reader: Reader | None) -> str:
    """Say what profiles and queries take, from the first people."""
    drawn, _, _, _ = draw_people(min(cfg.people, _MEASURED), GraphProfiles(None, cfg.seed))
    costs, again = list[RequestCost](), list[str]()
    if isinstance(maker, ModelProfiles):
        situations = balanced_situations(len(drawn)).tolist()
        costs += [maker.cost(person.number, s) for person, s in zip(drawn, situations, strict=True)]
        again.append("profiles")
    if isinstance(writer, ModelWriter):
        costs += [writer.cost(person, cfg.queries) for person in drawn]
        again.append("queries")
    n_queries = cfg.people * cfg.queries
    reads = "" if reader is None else f" The reader looks at {n_queries:,} queries, which is not in this."
    if not costs:
        return f"{cfg.people:,} people, {n_queries:,} queries, no requests.{reads}"
    scale = cfg.people / len(drawn)
    tokens = scale * sum(cost.tokens[0] for cost in costs)
    dollars = scale * sum(cost.dollars[0] for cost in costs)
    price = "price unknown" if math.isnan(dollars) else f"about {in_dollars(dollars)}"
    return (
        f"{scale * len(costs):,.0f} requests, {tokens:,.0f} tokens, {price}; more for {' and '.join(again)} "
        "that are thrown out. Replies are kept: what was stopped goes on by the same command."
        f"{reads}"
    )


main = entry_point("generate_scenarios", prepare)(run)

if __name__ == "__main__":
    main()
