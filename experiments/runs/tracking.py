"""Experiment trackers. What is logged: configuration, figures, attribute names; no query, no value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from envs import UserError

TableRows = tuple[Sequence[str], Sequence[Any]]
"""Column names, and rows of as many cells."""
Drawings = Callable[[], Mapping[str, str | Path]]
"""Gives name -> SVG, or the file of a picture, when called: who logs nothing has nothing drawn."""


def no_drawings() -> Mapping[str, str | Path]:
    """Return nothing."""
    return {}


class Tracking(Protocol):
    """Follows one run from its configuration to its figures."""

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Begin a run."""
        ...

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = no_drawings,
    ) -> None:
        """Log numbers, tables (name -> columns, rows) and drawings, and end the run."""
        ...


class NoTracking:
    """Logs nowhere."""

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Do nothing."""

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = no_drawings,
    ) -> None:
        """Do nothing."""


class WandbTracking:
    """Weights & Biases. `mode`: online, offline (no account needed; files in the run's folder), disabled."""

    def __init__(
        self,
        project: str = "raise-planner",
        entity: str | None = None,
        name: str | None = None,
        mode: str = "online",
        tags: Sequence[str] = (),
    ) -> None:
        if mode not in ("online", "offline", "disabled"):
            raise UserError(f"tracking.mode: found {mode!r}, expected online, offline or disabled")
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
            no account, or no connection.
        """
        import wandb

        try:
            self._run = wandb.init(
                **self.options, dir=str(folder), config=dict(config), settings=wandb.Settings(silent=True)
            )
        except wandb.errors.Error as error:  # no key, no such entity, no answer from the server
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"tracking=wandb: {said}; tracking.mode=offline needs no account and no network"
            ) from None

    def finish(
        self,
        summary: Mapping[str, Any],
        tables: Mapping[str, TableRows],
        drawings: Drawings = no_drawings,
    ) -> None:
        """Log numbers, tables and drawings, and end the run."""
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
        self._run.log({**summary, **logged})
        self._run.summary.update(dict(summary))
        self._run.finish()
