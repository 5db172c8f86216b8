"""Experiment trackers: Weights & Biases, TensorBoard, yours, or none.

What is logged: configuration, figures, attribute names, ids of scenarios; no query, no value of a profile.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from envs import UserError
from envs.checking.extras import check_installed
from search.path_table import PathTable

TableRows = tuple[Sequence[str], Sequence[Any]]
"""Column names, and rows of as many cells."""
Drawings = Callable[[], Mapping[str, str | Path]]
"""Gives name -> SVG, or the file of a picture, when called: who logs nothing has nothing drawn."""
Files = Callable[[], Mapping[str, Path]]
"""Gives name -> file to keep with the run, when called: who keeps none has none written."""

MODES = ("online", "offline", "disabled")


class TrackerError(Exception):
    """A tracker cannot go on, for a reason outside the program; the run goes on without it."""


def nothing() -> dict[str, Any]:
    """Return no drawings, or no files."""
    return {}


class Tracker(Protocol):
    """Follows one run from its configuration to its figures.

    A `TrackerError` or `OSError` of `progress` and `finish` ends the tracking and not the run. Results are on
    disk before `finish`.
    """

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Begin a run, whose results go to `folder`; a `UserError` refuses to."""
        ...

    def progress(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures of the run so far. `step`: what is finished (scenarios, say), rising."""
        ...

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = nothing,
        files: Files = nothing,
    ) -> None:
        """Log numbers, tables (name -> columns, rows), drawings and files, and end the run."""
        ...


class NoTracker:
    """Logs nowhere."""

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Do nothing."""

    def progress(self, figures: Mapping[str, float], step: int) -> None:
        """Do nothing."""

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = nothing,
        files: Files = nothing,
    ) -> None:
        """Do nothing."""


class FailSafe:
    """A tracker that is given up, with one line on standard error, when it fails: the run goes on."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker: Tracker = tracker

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Begin a run; a `UserError` is the user's to mend, before anything is spent."""
        with self._given_up():
            self._tracker.start(config, folder)

    def progress(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures of the run so far."""
        with self._given_up():
            self._tracker.progress(figures, step)

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = nothing,
        files: Files = nothing,
    ) -> None:
        """Log what the run has found, and end it."""
        with self._given_up():
            self._tracker.finish(summary, tables, drawings, files)

    @contextmanager
    def _given_up(self) -> Iterator[None]:
        try:
            yield
        except (OSError, TrackerError) as error:
            name = type(self._tracker).__name__
            said = " ".join(str(error).split()) or type(error).__name__
            self._tracker = NoTracker()
            print(f"warning: tracking: {name} failed ({said}); the run goes on without it", file=sys.stderr)


class WandbTracker:
    """Weights & Biases.

    `mode`: online, offline (no account needed; files in the run's folder) or disabled; None = what the
    environment variable WANDB_MODE says, else online.
    """

    def __init__(
        self,
        project: str = "raise-planner",
        entity: str | None = None,
        name: str | None = None,
        mode: str | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        if mode is not None and mode not in MODES:
            raise UserError(f"tracking.mode: found {mode!r}, expected {', '.join(MODES)} or null")
        self.options: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "name": name,
            "mode": mode,
            "tags": list(tags),
        }
        self._run: Any = None

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Begin a run in `folder`.

        Raises
        ------
        UserError
            no account, no connection, or a WANDB_MODE that is none.
        """
        import wandb
        from pydantic import ValidationError

        try:
            settings = wandb.Settings(silent=True)
            self._run = wandb.init(**self.options, dir=str(folder), config=dict(config), settings=settings)
        except ValidationError as error:  # a variable of the environment; what it holds is not repeated
            wrong = error.errors(include_input=False)[0]
            name = "_".join(["WANDB", *map(str, wrong["loc"])]).upper()
            raise UserError(f"tracking=wandb: the environment variable {name}: {wrong['msg']}") from None
        except wandb.errors.Error as error:  # no key, no such entity, no answer from the server
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"tracking=wandb: {said}; tracking.mode=offline needs no account and no network"
            ) from None

    def progress(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures of the run so far."""
        self._log({f"progress/{name}": value for name, value in figures.items()}, step)

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = nothing,
        files: Files = nothing,
    ) -> None:
        """Log numbers, tables and drawings, each file as an artifact, and end the run."""
        import wandb

        logged: dict[str, Any] = {
            key: wandb.Table(columns=list(c), data=[list(r) for r in rows])
            for key, (c, rows) in tables.items()
        }
        for key, drawn in drawings().items():
            # SVG goes as HTML: the tracker's own image type takes pixels only.
            logged[key] = (
                wandb.Html(drawn, inject=False) if isinstance(drawn, str) else wandb.Image(str(drawn))
            )
        self._log({**summary, **logged}, None)
        with _wandb_errors():
            for key, path in files().items():
                artifact = wandb.Artifact(key, type=key)
                # "immutable": no copy in a folder of the library's, the run's folder has the file.
                artifact.add_file(str(path), policy="immutable")
                self._run.log_artifact(artifact)
            self._run.summary.update(dict(summary))
            self._run.finish()

    def _log(self, figures: Mapping[str, Any], step: int | None) -> None:
        with _wandb_errors():
            self._run.log(dict(figures), step=step)


@contextmanager
def _wandb_errors() -> Iterator[None]:
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        raise TrackerError(str(error)) from error


class TensorBoardTracker:
    """TensorBoard, as event files in the folder `tensorboard` of the run's: `tensorboard --logdir RUNS`.

    Curves of the progress, figures, tables as text, pictures of pixels; it has no place for SVG or files.
    """

    def __init__(self) -> None:
        check_installed("tracking=tensorboard", "tensorboard", "tensorboardX")
        self._writer: Any = None

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Begin a run in `folder`."""
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(logdir=str(folder / "tensorboard"), flush_secs=10)
        self._writer.add_text("config", _as_code(config))

    def progress(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures of the run so far, a curve each."""
        for name, value in figures.items():
            self._writer.add_scalar(f"progress/{name}", value, step)
        self._writer.flush()  # the page shows a run that is under way

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = nothing,
        files: Files = nothing,
    ) -> None:
        """Log numbers, tables and pictures, and end the run."""
        for name, value in summary.items():
            if isinstance(value, int | float):  # True and False as 1 and 0
                self._writer.add_scalar(f"summary/{name}", value)
        self._writer.add_text("summary", _as_code(summary))
        for name, (columns, rows) in tables.items():
            self._writer.add_text(name, _markdown(columns, rows))
        for name, drawn in drawings().items():
            if isinstance(drawn, Path):
                from matplotlib.image import imread

                self._writer.add_image(name, imread(drawn), dataformats="HWC")
        self._writer.close()


def _as_code(values: Mapping[str, Any]) -> str:
    """Return `values` as indented JSON in Markdown."""
    return "".join(f"    {line}\n" for line in json.dumps(values, indent=2, default=str).splitlines())


def _markdown(columns: Sequence[str], rows: Sequence[Any]) -> str:
    cells = [list(map(str, columns)), ["---"] * len(columns)]
    cells += [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def paths_without_queries(table: PathTable, folder: Path) -> Path:
    """Write `table` without its queries, which no tracker gets, into `folder`; return the file."""
    path = folder / "paths_without_queries.parquet"
    pq.write_table(table.table.drop_columns(["query"]), path)
    return path
