"""What every entry point shares: Hydra composes, a user's mistake is one line, exit codes mean something.

Exit 0: done; 1: nothing could be planned; 2: a wrong command or file; 3: a limit on spending; 4: something
outside failed (endpoint, node, disk); 130: interrupted (Ctrl-C or SIGTERM).
"""

from __future__ import annotations

import errno
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

from envs import OutsideError, UserError
from experiments.console import command_line
from experiments.console.help_text import gives_help
from experiments.console.keys import check_config
from experiments.console.signals import sigterm_interrupts
from experiments.runs.config import register
from experiments.runs.folders import closed_log


class NothingPlannedError(UserError):
    """Everything failed, each part for a reason of its own that was told."""

    exit_code = 1


_NOISE = re.compile(
    r",? ?set env var HYDRA_FULL_ERROR=1 [^.]*\.?|full_key: *$|Check that it's in your config search path\.?"
    r"|To append to your default list use \S+",
    re.IGNORECASE | re.MULTILINE,
)


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
        @functools.wraps(task)
        def one_line_errors(cfg: DictConfig) -> Any:
            # Before Hydra sees it: Hydra would print the overrides first, a second line.
            with mistakes_in_one_line("resume" in cfg), closed_log():
                check_config(cfg)
                return task(cfg)

        def main() -> None:
            if gives_help(config_name, sys.argv[1:]):
                return
            register()
            # Hydra would print its own errors, with and without tracebacks; with this it raises them.
            os.environ["HYDRA_FULL_ERROR"] = "1"
            with mistakes_in_one_line():
                _refuse_secrets(sys.argv[1:])
                options = command_line.parse(sys.argv[1:])
                if options.cfg or not command_line.only_shows(options):
                    command_line.run(one_line_errors, config_name, options)
                if command_line.only_shows(options):
                    hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)(task)()

        return main

    return decorate


@contextmanager
def mistakes_in_one_line(resumable: bool = False) -> Iterator[None]:
    """Turn a user's mistake into one line and an exit code; a programmer's mistake keeps its traceback.

    `resumable`: `resume=true` goes on with what was stopped, so that messages may say so.
    """
    try:
        with sigterm_interrupts():
            yield
    except UserError as error:
        message = str(error) if resumable else _RESUMES.sub("", str(error))
        _stop(message, error.exit_code)
    except (HydraException, OmegaConfBaseException) as error:
        _stop(one_line(error), UserError.exit_code)
    except KeyboardInterrupt:
        _stop("interrupted" + (f"; {_GOES_ON}" if resumable else ""), 130)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _stop(f"{place}{error.strerror}" + (f"; {_GOES_ON}" if resumable else ""), OutsideError.exit_code)


_GOES_ON = "what was finished is saved, resume=true goes on from there"
_RESUMES = re.compile(r";[^;]*\bresume=true\b[^;]*")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE)
"""What a disk says that is full or gone."""


def _stop(message: str, code: int) -> NoReturn:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)
