"""Progress bar of an evaluation, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """Progress over planning and talking, for each draw of the judge."""

    def __init__(self, bar: Progress, n_judges: int) -> None:
        self._bar = bar
        self._judges = n_judges
        self._plans = 0
        self._done = 0
        self._task = bar.add_task("evaluating", total=n_judges)

    def plans(self, n: int) -> None:
        """Say how many plans each draw takes."""
        self._plans = n
        self._bar.update(self._task, total=self._judges * (n + 1))

    def __call__(self, what: str, steps: int) -> None:
        """Advance by `steps` of `what`."""
        self._bar.update(self._task, description=what, advance=steps)


@contextmanager
def progress_bar(n_judges: int) -> Iterator[Bar]:
    """Yield a bar on standard error, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield Bar(bar, n_judges)
