"""Commands that take plain arguments: their parsers, which import nothing slow, so that help is quick."""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from experiments.console.help.help_text import program
from experiments.console.import_path import ROOT

_ARGUMENTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "by_model": {
        "folders": {
            "nargs": "+",
            "type": Path,
            "metavar": "FOLDER",
            "help": "of a sweep of experiments.evaluate, or of single runs; the files go into the first",
        }
    },
    "claims": {
        "runs": {
            "nargs": "+",
            "type": Path,
            "metavar": "RUN",
            "help": "output folder of experiments.evaluate, benchmark_models or sensitivity",
        }
    },
    "compare_models": {
        "run": {"type": Path, "metavar": "RUN", "help": "output folder of experiments.benchmark_models"},
        "other": {"type": Path, "metavar": "OTHER", "help": "another one, of the same or other models"},
    },
    "collect": {
        "folder": {"type": Path, "help": "a folder that a sweep (--multirun) has left"},
        "--objective": {
            "default": "mean_score_path",
            "help": "key of summary.json to sort by, default %(default)s",
        },
    },
    "show": {
        "paths": {"type": Path, "help": "a run folder or a Parquet file"},
        "scenario_id": {"nargs": "?", "help": "a scenario of that table, by its id; none: what there is"},
    },
    "view": {
        "folder": {"type": Path, "metavar": "FOLDER", "help": "output folder of a run of any command"},
        "--port": {"type": int, "default": 0, "help": "on this machine (default: a free one)"},
        "--values": {
            "action": "store_true",
            "help": "show values of profiles and what models wrote too",
        },
    },
    "train_understanding": {
        "folder": {"nargs": "?", "type": Path, "metavar": "FOLDER", "help": "where the coefficients go"},
        "--leave-one-out": {
            "action": "store_true",
            "help": "print what is read as an answer by classifiers that never met its author",
        },
    },
    "train_domain": {
        "scenarios": {
            "type": Path,
            "metavar": "SCENARIOS",
            "help": "a scenario file whose domains are known",
        },
        "file": {"nargs": "?", "type": Path, "metavar": "FILE", "help": "where the coefficients go (.npz)"},
        "--folds": {"type": int, "help": "print the held-out shares of right domains over so many folds"},
    },
    "benchmark_serve": {
        "--conversations": {"type": int, "default": 200, "help": "that run at once (default: 200)"},
        "--rate": {"type": float, "default": 40.0, "help": "turns a second of all together (default: 40)"},
        "--seconds": {"type": float, "default": 60.0, "help": "that turns are sent for (default: 60)"},
        "--workers": {"type": int, "default": 1, "help": "processes of the service (default: 1)"},
        "--kill": {"action": "store_true", "help": "kill one of several workers half way"},
    },
    "serve_conversations": {
        "--local": {"action": "store_true", "help": "over the small model of upstream=local, too"},
    },
    "train_gate": {
        "scenarios": {"type": Path, "metavar": "SCENARIOS", "help": "a scenario file: its queries are risky"},
        "file": {"nargs": "?", "type": Path, "metavar": "FILE", "help": "where the coefficients go (.npz)"},
        "--folds": {"type": int, "help": "print the held-out shares that get questions over so many folds"},
    },
}
"""Command -> its arguments, by name, as argparse takes them."""


@contextmanager
def mistakes_in_one_line() -> Iterator[None]:
    """Say a user's mistake in one line and leave, with its exit code."""
    from envs import UserError  # slow, and help does without it

    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, exit 2, as everywhere."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave."""
        self.exit(2, f"error: {message} ({self.prog} --help)\n")


def has_arguments(module: str) -> bool:
    """Tell whether the command in `experiments.MODULE` takes plain arguments that are known here."""
    return module in _ARGUMENTS


def parser(module: str) -> Parser:
    """Return the parser of the command in `experiments.MODULE`."""
    source = (ROOT / "experiments" / f"{module}.py").read_text(encoding="utf-8")
    own = Parser(
        prog=program(module),
        description=ast.get_docstring(ast.parse(source)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, options in _ARGUMENTS.get(module, {}).items():
        own.add_argument(name, **options)
    return own
