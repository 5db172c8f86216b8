"""What every entry point shares: Hydra composes, a user's mistake is one line, exit codes mean something.

Exit 0: done; 1: nothing could be done; 2: a wrong command; 130: interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from envs import UserError
from experiments.config import register


class NothingPlannedError(UserError):
    """Everything failed, each part for a reason of its own that was told."""

    exit_code = 1


def one_line(error: BaseException) -> str:
    """Return what `error` and its causes say, in one line without Hydra's list of search paths."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        text = str(current).split("Config search path")[0]
        line = " ".join(part.strip() for part in text.splitlines() if part.strip())
        if line and line not in parts:
            parts.append(line)
        current = current.__cause__
    return ": ".join(parts)


def entry_point(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Return a decorator that makes a task of a composed config into a program's `main`."""

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def main() -> None:
            register()
            # Hydra would print its own errors, with and without tracebacks; with this it raises them.
            os.environ["HYDRA_FULL_ERROR"] = "1"
            run = hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)(task)
            try:
                run()
            except UserError as error:
                _stop(str(error), error.exit_code)
            except (HydraException, OmegaConfBaseException) as error:
                _stop(one_line(error), UserError.exit_code)
            except KeyboardInterrupt:
                _stop("interrupted; what was finished is saved, resume=true goes on from there", 130)

        return main

    return decorate


def _stop(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
