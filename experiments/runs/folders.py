"""The folder of a run: results, composed configuration, overrides, versions and log, all in one."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from envs import UserError
from experiments.runs.config import with_budget
from experiments.runs.provenance import versions

SUBFOLDER = ".hydra"
CONFIG, HYDRA, OVERRIDES = "config.yaml", "hydra.yaml", "overrides.yaml"
HISTORY = "history.jsonl"
"""One line for each time that the run was started or resumed: when, overrides, versions."""


def output_folder(output_dir: str | Path) -> Path:
    """Return `output_dir` as a folder that exists, made now if need be.

    Raises
    ------
    UserError
        it cannot be made. Called before the work, so that nothing computed is lost to it.
    """
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{_key_of(folder)}={folder}: found {error.strerror}, expected a folder that can be written"
        ) from None
    return folder


def refuse_no_folder(cfg: DictConfig) -> None:
    """Raise `UserError` where `output_dir` cannot become a folder: it is empty, a file, or below a file."""
    if "output_dir" not in cfg:
        return
    folder = Path(cfg.output_dir)
    if not str(cfg.output_dir).strip():
        raise UserError("output_dir: found nothing, expected a folder")
    first = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if first is not None and not first.is_dir():
        raise UserError(f"{_key_of(folder)}={folder}: {first} is a file, expected a folder")


def _key_of(folder: Path) -> str:
    """Return the key that names the folder: `output_dir`, or Hydra's where that follows it."""
    follows = HydraConfig.initialized() and Path(HydraConfig.get().run.dir).absolute() == folder
    return "hydra.run.dir" if follows else "output_dir"


def is_finished(folder: Path) -> bool:
    """Tell whether a run has come to its end in `folder`: its figures are the last that it writes."""
    return any((folder / name).exists() for name in ("summary.json", "summary.csv"))


def start_run(cfg: DictConfig, resumed: bool = False) -> Path:
    """Make the folder of the run that Hydra has begun, record in it what runs, open its log, and return it.

    Called when all else is checked: a command that is refused leaves nothing. `resumed`: the run in the
    folder goes on; its configuration and overrides stay, and the new overrides are appended to the history.

    Raises
    ------
    UserError
        the folder cannot be written.
    """
    folder = output_folder(cfg.output_dir)
    if not HydraConfig.initialized():
        return folder  # called from Python, with a configuration of the caller's own
    if resumed and is_finished(folder):
        print(f"{folder}: the run here is finished; its tables are written again from what it has kept")
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    line = {"started": _now(), "command": hydra.job.name, "overrides": overrides, **versions()}
    try:
        (folder / SUBFOLDER).mkdir(exist_ok=True)
        if not (resumed and (folder / SUBFOLDER / OVERRIDES).exists()):
            OmegaConf.save(with_budget(cfg), folder / SUBFOLDER / CONFIG)
            OmegaConf.save(OmegaConf.create({"hydra": hydra}), folder / SUBFOLDER / HYDRA)
            OmegaConf.save(OmegaConf.create(overrides), folder / SUBFOLDER / OVERRIDES)
        with (folder / SUBFOLDER / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        _open_log(folder / f"{hydra.job.name}.log", " ".join(overrides))
    except OSError as error:
        raise UserError(
            f"output_dir={folder}: found {error.strerror}, expected a folder that can be written"
        ) from None
    return folder


class RunLog(logging.FileHandler):
    """The log of a run: what libraries report, and when the run began and ended."""

    def note(self, text: str) -> None:
        """Write a line of our own, which the terminal does not need."""
        self.emit(logging.LogRecord("run", logging.INFO, "", 0, "%s", (text,), None))


def _open_log(path: Path, overrides: str) -> None:
    handler = RunLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    logging.getLogger().addHandler(handler)
    handler.note(f"started in {os.getcwd()}: {overrides or 'no overrides'}")


@contextlib.contextmanager
def closed_log() -> Iterator[None]:
    """Note in the log of the run that is started meanwhile, if any, how it ended, and close it."""
    try:
        yield
    finally:
        error = sys.exc_info()[1]
        # A plug-in's own error may hold a value of somebody's profile: its kind alone is told.
        told = " ".join(str(error).split()) if isinstance(error, UserError) else type(error).__name__
        for handler in [h for h in logging.getLogger().handlers if isinstance(h, RunLog)]:
            handler.note("finished" if error is None else f"stopped: {told}")
            logging.getLogger().removeHandler(handler)
            handler.close()


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
