"""Progress of a long command: a bar in a terminal, else a plain line on standard error now and then."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from envs.checking.declared import Declared
from envs.part_books import booked
from experiments.runs.tracking import NoTracker, Tracker

INTERVAL_S = 10.0
"""Seconds to the first line and between two; after 100 s a tenth of the time so far, at most a minute."""
_LONGEST_S = 60.0
_MARKS = 100
"""Times at which steps were done, a second apart or more, that tell the pace."""

Figures = Mapping[str, float]
"""Name -> number; what is counted is an int, a mean a float."""


class _ProgressState(NamedTuple):
    """One reading of a command's progress; replaced as a whole, for another thread shows it."""

    done: int
    stage: str
    figures: Figures


class Progress:
    """Counts finished steps of a command, shows them, and tells them to its tracker.

    The display is refreshed by a thread of its own, so that it goes on while a step takes long. The tracker
    is told by the caller's thread, at each further per cent of the steps.

    Parameters
    ----------
    verb, unit : what happens to what, as in "planned 3 of 10 scenarios"
    total, done : int, steps in all (`total` may be changed later), and those done by an earlier run
    live : figures that move within a step (requests, say), read at each refresh, over those of the steps
    requests : how many all the steps are expected to send; tells the time left before the first step is done
    stream : where to write; None = standard error
    clock, interval_s : seconds of a monotonic clock, and between two lines
    """

    def __init__(
        self,
        verb: str,
        unit: str,
        total: int,
        done: int = 0,
        *,
        tracker: Tracker | None = None,
        live: Callable[[], Figures] = dict,
        requests: float = 0.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float | None = None,
    ) -> None:
        self.total = total
        self._words = (verb, unit)
        self._tracker = NoTracker() if tracker is None else tracker
        self._live = live
        self._stream = stream
        self._clock = clock
        self._interval = INTERVAL_S if interval_s is None else interval_s
        self._requests = requests
        self._asked_before = live().get("requests", 0) if requests else 0
        self._state = _ProgressState(done, "", {})
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        self._started = clock()
        self._due = self._started + self._interval
        self._lines = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="progress", daemon=True)
        self._bar: RichProgress | None = None
        self._task: Any = None

    def advance(self, steps: int = 1, stage: str = "", **figures: float) -> None:
        """Count `steps` more; `stage` says what is done now, `figures` replace those of the same names."""
        before = self._state
        after = _ProgressState(before.done + steps, stage or before.stage, {**before.figures, **figures})
        self._state = after
        now = self._clock()
        if steps and (not self._marks or now >= self._marks[-1][0] + 1):
            self._marks.append((now, after.done))
        if _percent(after.done, self.total) > _percent(before.done, self.total):
            self._tracker.progress(self._figures(), after.done)

    def line(self) -> str:
        """Return the progress in words: steps, figures, time so far, time left."""
        verb, unit = self._words
        state, now = self._state, self._clock()
        stage = f" ({state.stage})" if state.stage else ""
        parts = [f"{verb} {state.done:,} of {self.total:,} {unit}{stage}"]
        parts += _in_words(self._figures())
        parts.append(duration(now - self._started))
        left = self._left(state, now)
        if left > 0:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    def _left(self, state: _ProgressState, now: float) -> float:
        """Return the seconds left by the pace of late, 0 where nothing tells.

        The first steps are no measure: code is compiled and models are loaded before they are done. Until
        there are later ones the requests tell, if their number is known.
        """
        since, before = self._marks[0] if self._marks else (now, state.done)
        made: float = state.done - before
        left: float = self.total - state.done
        if made == 0 and self._requests:
            since = self._started
            made = self._live().get("requests", 0) - self._asked_before
            left = math.ceil(self._requests - made)
        return (now - since) / made * max(0, left) if made > 0 else 0.0

    def tick(self) -> None:
        """Refresh what is shown; outside a terminal write a line if it is time for one."""
        if self._bar is not None:
            state = self._state
            left = self._left(state, self._clock())
            time_left = [f"about {duration(left)} left"] if left else []
            told = ", ".join([*filter(None, [state.stage]), *_in_words(self._figures()), *time_left])
            self._bar.update(self._task, completed=state.done, total=self.total, told=told)
            return
        now = self._clock()
        if now >= self._due:
            self._due = now + max(self._interval, min(_LONGEST_S, (now - self._started) / 10))
            self._write_line()

    def __enter__(self) -> Self:
        """Begin to show; a bar where the stream is a terminal."""
        console = Console(file=self._stream, stderr=self._stream is None)
        if console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
            self._bar = RichProgress(TextColumn("{task.description}"), *columns, console=console)
            self._task = self._bar.add_task(" ".join(self._words), total=self.total, told="")
            self._bar.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state, and end."""
        self._over.set()
        self._thread.join()
        if self._bar is not None:
            self.tick()
            self._bar.stop()
        elif self._lines and error is None:
            self._write_line()

    def _refresh(self) -> None:
        while not self._over.wait(min(1.0, self._interval)):
            self.tick()

    def _write_line(self) -> None:
        self._lines += 1
        with contextlib.suppress(OSError):  # nobody reads it: the run is worth more than its progress
            print(self.line(), file=self._stream or sys.stderr, flush=True)

    def _figures(self) -> dict[str, float]:
        return {**self._state.figures, **self._live()}


def usage(*parts: object) -> dict[str, float]:
    """Return requests, tokens and dollars that the models in `parts` have taken so far.

    In all workers and sessions of a run, where a part keeps books; dollars by model and kind where there are
    several.
    """
    found: dict[str, float] = {"requests": 0, "tokens": 0, "dollars": 0.0}
    by_kind: dict[str, float] = {}
    for (model, kind), account in booked(*parts).items():
        found["requests"] += account.requests
        found["tokens"] += account.input_tokens + account.output_tokens
        found["dollars"] += account.dollars or 0.0
        if account.dollars:
            by_kind[f"dollars_{kind}_{model}"] = account.dollars
    for part in parts:
        one = Declared(part, "model").any("spent")
        if one is not None and Declared(part, "model").any("books") is None:
            found["requests"] += one.requests
            found["tokens"] += one.input_tokens + one.output_tokens
            found["dollars"] += one.cost
    return {name: n for name, n in found.items() if n} | (by_kind if len(by_kind) > 1 else {})


def _percent(done: int, total: int) -> int:
    return 100 * done // max(1, total)


def _in_words(figures: Figures) -> list[str]:
    """Return "7,200 judge calls" for a count and "mean score 3.91" for a mean."""
    named = [(name.replace("_", " "), value) for name, value in figures.items()]
    return [f"{value:,} {name}" if isinstance(value, int) else f"{name} {value:.2f}" for name, value in named]


def duration(seconds: float) -> str:
    """Return seconds in words: s below 2 min, min below 2 h, else hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
