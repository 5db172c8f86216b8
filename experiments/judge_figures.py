"""Print the figures of a judge: `python -m experiments.judge_figures judge=simulated_varied`.

Every set of every scenario is scored, 2^n judge calls for each: made for judges that cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from omegaconf import DictConfig
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from envs import Judge, Scenario
from envs.judges.protocol import describe
from envs.judges.simulated.parameters import PUBLISHED_GAINS
from experiments.comparison.enumeration import BUDGETS, Figures, figures
from experiments.console.entry_point import entry_point
from experiments.runs import build

_DIMENSIONS = ("risk sensitivity", "emotional empathy", "personalization")


def report(judge: Judge, scenarios: Sequence[Scenario]) -> Group:
    """Return all figures of `judge` over `scenarios`, to print.

    Raises
    ------
    UserError
        several lists of attributes, too many attributes to score all sets, or a judge without scores.
    """
    found = figures(judge, scenarios)
    seed = describe(judge).model_seed
    name = found.judge if seed is None else f"{found.judge} (model seed {seed})"
    title = f"Judge {name} over {found.n_scenarios:,} scenarios"
    if found.simulated:
        title += ": SIMULATED scores"
    parts: list[RenderableType] = [Text(title, style="bold")]
    if found.n_unscored:
        parts.append(Text(f"{found.n_unscored:,} more are left out: some set of theirs has no score"))
    parts += [_levels(found), _singles(found), _sentences(found), _regret(found)]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=i > 0)
    return table


def _levels(found: Figures) -> Table:
    table = _table("Mean score (1-5)", "", "nothing known", "everything known", "gain")
    empty, full = found.dimensions_empty, found.dimensions_full
    for name, low, high in zip(_DIMENSIONS, empty, full, strict=True):
        table.add_row(name, f"{low:.2f}", f"{high:.2f}", f"{high - low:+.2f}")
    table.add_section()
    gain = f"{found.full - found.empty:+.2f} (sd {found.gain_sd:.2f})"
    table.add_row("score", f"{found.empty:.2f}", f"{found.full:.2f}", gain)
    return table


def _singles(found: Figures) -> Table:
    table = _table("Mean gain of one attribute alone", "attribute", "gain", "published", "difference")
    for name, gain in found.singles.items():
        published = PUBLISHED_GAINS.get(name, math.nan)
        difference = "-" if math.isnan(published) else f"{gain - published:+.2f}"
        message = "-" if math.isnan(published) else f"{published:+.2f}"
        table.add_row(name, f"{gain:+.2f}", message, difference)
    return table


def _sentences(found: Figures) -> Text:
    lines = [
        f"Adding some attribute to some set costs over 0.05 points in {found.harmful:.1%} of scenarios.",
        f"Everything known scores below nothing known in {found.n_below:,} of {found.n_scenarios:,}.",
        f"Best first question: {found.first} in {found.first_share:.0%} of scenarios.",
    ]
    if not math.isnan(found.shares[0]):
        parts = ", ".join(f"{share:.1%}" for share in found.shares)
        lines.insert(0, f"The best three questions bring {parts} of their gain after 1, 2, 3.")
    return Text("\n".join(lines))


def _regret(found: Figures) -> Table:
    title = "Share of the possible gain that is lost, by questions that may be asked"
    table = _table(title, "chosen", *[str(budget) for budget in BUDGETS])
    for name, by_budget in found.regret.items():
        if by_budget:
            cells = [f"{by_budget[b]:.1%}" if b in by_budget else "-" for b in BUDGETS]
            table.add_row(name, *cells)
    return table


def show(cfg: DictConfig) -> None:
    """Print the report on the judge of `cfg`.

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    loaded = build.build_scenarios(cfg)
    console = Console(highlight=False)
    console.print(report(build.build_judge(cfg), loaded.scenarios))
    if loaded.n_bad:
        console.print(f"{loaded.n_bad:,} records of the file could not be used.")


main = entry_point("judge_figures")(show)

if __name__ == "__main__":
    main()
