"""Check a scenario file: `python -m experiments.check_scenarios scenarios.path=FILE`.

Value sets, the six consistency rules, queries that tell an attribute or come twice, balance, and what is
wrong with which record. Rules speak of attributes that the schema has as PENGUIN has them. The file is read
as a stream: of a query its hash is kept, of a person an id and ten codes.
"""

from __future__ import annotations

from omegaconf import DictConfig
from rich.console import Console

from envs.loading import ScenarioStream
from envs.loading.layouts import FLAT
from experiments.console.entry_point import entry_point
from experiments.pages import markdown
from experiments.penguin.file_checks import MAX_COMPARED, check_file, grids
from experiments.runs import build


def check(cfg: DictConfig) -> None:
    """Print the figures of the file.

    Raises
    ------
    UserError
        the file cannot be read.
    """
    reading = ScenarioStream(cfg.scenarios.path, build.build_schema(cfg), cfg.scenarios.mapping)
    found = check_file(reading, build.build_embedding(cfg))
    console = Console(highlight=False)
    console.print(
        f"{reading.source}: read as {reading.layout}; {found.scenarios:,} scenarios of {found.people:,} "
        f"people, {found.bad:,} records that cannot be used",
        markup=False,
        soft_wrap=True,
    )
    if reading.layout == FLAT and found.beside:
        console.print(
            f"No attributes, so nobody is asked for them: {', '.join(found.beside)}; "
            f"scenarios.attributes=FILE says what may be asked.",
            markup=False,
            soft_wrap=True,
        )
    if found.scenarios > found.looked_at or found.compared == MAX_COMPARED:
        console.print(f"Leaks and near-duplicates: among the first {MAX_COMPARED:,} queries.")
    for grid in grids(found):
        console.print(f"\n{grid.title}\n\n{markdown(grid)}", markup=False, soft_wrap=True)


main = entry_point("check_scenarios")(check)

if __name__ == "__main__":
    main()
