"""Argument parser of commands that take plain arguments; errors in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from experiments.console.help_text import program


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, exit 2, as everywhere."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave."""
        self.exit(2, f"error: {message} ({self.prog} --help)\n")


def parser(module: str, description: str | None) -> Parser:
    """Return the parser of the command in `experiments.MODULE`."""
    return Parser(
        prog=program(module),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
