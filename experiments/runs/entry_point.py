"""What every entry point shares: Hydra composes, a user's mistake is one line, exit codes mean something.

Exit 0: done; 1: nothing could be done; 2: a wrong command; 130: interrupted.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from envs import UserError
from experiments.runs.config import register
from experiments.runs.help_text import gives_help


class NothingPlannedError(UserError):
    """Everything failed, each part for a reason of its own that was told."""

    exit_code = 1


_NOISE = re.compile(r",? ?set env var HYDRA_FULL_ERROR=1 [^.]*\.?|full_key: *$", re.IGNORECASE | re.MULTILINE)


def one_line(error: BaseException) -> str:
    """Return what `error` and its causes say, in one line without Hydra's list of search paths."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        text = _NOISE.sub("", str(current).split("Config search path")[0])
        line = " ".join(part.strip() for part in text.splitlines() if part.strip())
        if line and not any(line in part for part in parts):
            parts.append(line)
        current = current.__cause__
    return ": ".join(parts)


_SECRET = re.compile(
    r"[+~]*([\w.]*(?:api_?key|password|secret|(?:auth|access|bearer)_token))=.|[+~]*([\w.]+)=sk-\w"
    r"|[+~]*([\w.]*base_url)=.*[@?]"
    r"""|[+~]*([\w.]*headers\.[\w-]*(?:auth|key|token|secret|cookie)[\w-]*)=(?!["']?\\?\$)"""
    r"""|[+~]*([\w.]*headers)=\{.*(?:auth|key|token|secret|cookie)[\w-]*["']?\s*:\s*(?!["']?\\?\$|\s)""",
    re.I,
)
"""Overrides that hold a secret: Hydra would write them into the run's folder before anybody could say no."""


def _refuse_secrets(arguments: Sequence[str]) -> None:
    for argument in arguments:
        found = _SECRET.match(argument)
        if found:
            raise UserError(
                f"{found[found.lastindex or 0]}: a key does not belong into a configuration, which is saved; "
                f"put it into the environment variable OPENAI_API_KEY, or into another that "
                f"judge.key_variable names"
            )


def entry_point(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Return a decorator that makes a task of a composed config into a program's `main`."""

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        started = False

        @functools.wraps(task)
        def one_line_errors(cfg: DictConfig) -> Any:
            # Before Hydra sees it: Hydra would print the overrides first, a second line.
            nonlocal started
            started = True
            with mistakes_in_one_line():
                return task(cfg)

        def main() -> None:
            nonlocal started
            started = False
            if gives_help(config_name, sys.argv[1:]):
                return
            register()
            # Hydra would print its own errors, with and without tracebacks; with this it raises them.
            os.environ["HYDRA_FULL_ERROR"] = "1"
            with mistakes_in_one_line():
                _refuse_secrets(sys.argv[1:])
                try:
                    hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)(
                        one_line_errors
                    )()
                except OSError as error:
                    if started or isinstance(error, HydraException):
                        raise
                    raise UserError(
                        f"hydra.run.dir: {error.filename} cannot be made ({error.strerror}), "
                        f"expected a folder that can be written"
                    ) from None

        return main

    return decorate


@contextmanager
def mistakes_in_one_line() -> Iterator[None]:
    """Turn a user's mistake into one line and an exit code; a programmer's mistake keeps its traceback."""
    try:
        yield
    except UserError as error:
        _stop(str(error), error.exit_code)
    except (HydraException, OmegaConfBaseException) as error:
        _stop(one_line(error), UserError.exit_code)
    except KeyboardInterrupt:
        _stop("interrupted; what was finished is saved, resume=true goes on from there", 130)


def _stop(message: str, code: int) -> NoReturn:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)
