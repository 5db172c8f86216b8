"""Print what a judge is like: `python -m experiments.judge_figures judge=simulated_varied seeds=20`.

Every set of every scenario is scored, 2^n judge calls for each: made for judges that cost nothing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

from omegaconf import DictConfig
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from envs import Judge, Scenario, UserError
from envs.judges.simulated.parameters import PUBLISHED_GAINS
from experiments.judging.judge_promises import BUNDLED, PROMISES, Promise, PromiseCheck, checks
from experiments.judging.judge_statistics import BUDGETS, Figures, figures
from experiments.runs import build
from experiments.runs.entry_point import entry_point
from experiments.runs.progress import Progress

_DIMENSIONS = ("risk sensitivity", "emotional empathy", "personalization")


def report(judge: Judge, scenarios: Sequence[Scenario]) -> Group:
    """Return all figures of `judge` over `scenarios`, to print.

    Raises
    ------
    UserError
        several lists of attributes, too many attributes to score all sets, or a judge without scores.
    """
    found = figures(judge, scenarios)
    seed = getattr(judge, "model_seed", None)
    name = found.judge if seed is None else f"{found.judge} (model seed {seed})"
    title = f"Judge {name} over {found.n_scenarios:,} scenarios"
    if found.simulated:
        title += ": SIMULATED scores"
    parts: list[RenderableType] = [Text(title, style="bold")]
    if found.n_unscored:
        parts.append(Text(f"{found.n_unscored:,} more are left out: some set of theirs has no score"))
    parts += [_levels(found), _singles(found), _sentences(found), _regret(found)]
    kept = checks(found)
    return Group(*parts, *([_promises(kept)] if kept else []))


def seeds_report(judges: Sequence[Judge], scenarios: Sequence[Scenario]) -> Table:
    """Return in how many of `judges`, the same judge with different model seeds, each promise holds."""
    rows = []
    with Progress("scored", "judges", len(judges)) as progress:
        for judge in judges:
            rows.append(checks(figures(judge, scenarios)))
            progress.advance()
    table = _table(f"Promises over {len(rows)} model seeds", "promised", "range", "met in", "values found")
    for column in zip(*rows, strict=True):
        values = [check.value for check in column]
        spread = f"{_number(min(values))} to {_number(max(values))}"
        met = sum(check.met for check in column)
        table.add_row(column[0].promise.what, _range(column[0].promise), f"{met} of {len(rows)}", spread)
    together = sum(all(check.met for check in row) for row in rows)
    table.add_section()
    table.add_row("all of them together", "", f"{together} of {len(rows)}", "")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=i > 0)
    return table


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}".rstrip("0").rstrip(".")


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


def _promises(kept: Sequence[PromiseCheck]) -> Table:
    title = f"Promised over the {BUNDLED} bundled scenarios"
    table = _table(title, "promised", "range", "found", "")
    for check in kept:
        table.add_row(
            check.promise.what, _range(check.promise), _number(check.value), "met" if check.met else "not met"
        )
    return table


def _range(promise: Promise) -> str:
    return f"{_number(promise.low)} to {_number(promise.high)}"


def show(cfg: DictConfig) -> None:
    """Print the report on the judge of `cfg`, and the count over `cfg.seeds` model seeds from its own on.

    Raises
    ------
    UserError
        a mistake in the configuration or a file, or `seeds` for a judge that promises nothing.
    """
    if cfg.seeds < 0:
        raise UserError(f"seeds: found {cfg.seeds}, expected a number of model seeds >= 0")
    loaded = build.build_scenarios(cfg)
    judge = build.build_judge(cfg)
    if cfg.seeds and (getattr(judge, "name", None) not in PROMISES or "model_seed" not in cfg.judge):
        raise UserError(f"seeds: found {cfg.seeds} for a judge that promises nothing, expected 0")
    console = Console(highlight=False)
    console.print(report(judge, loaded.scenarios))
    if loaded.bad:
        console.print(f"{len(loaded.bad):,} records of the file could not be used.")
    if cfg.seeds:
        judges = [_seeded(cfg, cfg.judge.model_seed + i) for i in range(cfg.seeds)]
        console.print(seeds_report(judges, loaded.scenarios))


def _seeded(cfg: DictConfig, model_seed: int) -> Judge:
    other = copy.deepcopy(cfg)
    other.judge.model_seed = model_seed
    return build.build_judge(other)


main = entry_point("judge_figures")(show)

if __name__ == "__main__":
    main()
