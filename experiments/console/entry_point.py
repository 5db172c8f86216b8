"""What every entry point shares: Hydra composes, a user's mistake is one line, exit codes mean something.

Exit 0: done; 1: nothing could be planned; 2: a wrong command or file; 3: a limit on spending; 4: something
outside failed (endpoint, node, disk); 130: interrupted (Ctrl-C or SIGTERM).
"""

from __future__ import annotations

import errno
import functools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from envs import OutsideError, UserError, interrupts
from experiments.console import command_line
from experiments.console.help.help_text import gives_help
from experiments.console.keys import check_config
from experiments.console.plain_errors import plain
from experiments.runs.config import register
from experiments.runs.folders import closed_log


class NothingPlannedError(UserError):
    """Everything failed, each part for a reason of its own that was told."""

    exit_code = 1


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


def entry_point(
    config_name: str, prepare: command_line.Task = check_config
) -> Callable[[command_line.Task], Callable[[], None]]:
    """Return a decorator that makes a task of a composed config into a program's `main`.

    `prepare`: builds and checks all that the task needs and writes nothing; of a sweep it is called with the
    configuration of every job before the first is run.
    """

    def decorate(task: command_line.Task) -> Callable[[], None]:
        @functools.wraps(task)
        def one_line_errors(cfg: DictConfig) -> Any:
            # Before Hydra sees it: Hydra would print the overrides first, a second line.
            with mistakes_in_one_line("resume" in cfg), closed_log():
                check_config(cfg)
                return task(cfg)

        def main() -> None:
            if gives_help(config_name, sys.argv[1:]):
                return
            # Hydra would print its own errors, with and without tracebacks; with this it raises them.
            os.environ["HYDRA_FULL_ERROR"] = "1"
            with mistakes_in_one_line():
                _refuse_secrets(sys.argv[1:])
                options = command_line.parse(sys.argv[1:])
                own = options.config_dir or options.config_path
                register("" if own else options.config_name or config_name)
                if not command_line.only_shows(options):
                    command_line.run(one_line_errors, prepare, config_name, options)
                else:
                    hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)(task)()

        return main

    return decorate


@contextmanager
def mistakes_in_one_line(resumable: bool = False) -> Iterator[None]:
    """Turn a user's mistake into one line and an exit code; a programmer's mistake keeps its traceback.

    `resumable`: `resume=true` goes on with what was stopped, so that messages may say so.
    """
    try:
        with signals_interrupt():
            yield
    except UserError as error:
        message = str(error) if resumable else _RESUMES.sub("", str(error))
        _stop(message, error.exit_code)
    except (HydraException, OmegaConfBaseException) as error:
        _stop(plain(error), UserError.exit_code)
    except (KeyboardInterrupt, SystemError) as error:
        # A compiled call that a signal comes into ends by SystemError, for which the interrupt is the cause.
        if isinstance(error, SystemError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        _stop("interrupted" + (f"; {_GOES_ON}" if resumable else ""), 130)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _stop(f"{place}{error.strerror}" + (f"; {_GOES_ON}" if resumable else ""), OutsideError.exit_code)


_GOES_ON = "what was finished is saved, resume=true goes on from there"
_RESUMES = re.compile(r";[^;]*\bresume=true\b[^;]*")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
"""What a disk says that is full or gone."""


def _stop(message: str, code: int) -> NoReturn:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGINT and SIGTERM (batch systems, `docker stop`, `kill`) in the block.

    So finished work is saved; batches, which take hours, are not waited for.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread hears signals
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    interrupts.let_go()
    raise KeyboardInterrupt
