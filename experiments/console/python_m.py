"""Check for shadowing modules before `python -m experiments.MODULE` does its slow import."""

from __future__ import annotations

import sys

from experiments.console.import_path import refuse_what_is_in_the_way
from experiments.console.lost_readers import readers_may_leave


def before_the_module() -> None:
    """Refuse what is in the way of our packages, and answer `--help`; without `python -m` do nothing."""
    if sys.argv[:1] != ["-m"]:  # what it is while Python looks for the module
        return
    refuse_what_is_in_the_way()
    readers_may_leave()
    arguments = sys.argv[1:]
    name = sys.orig_argv[-1 - len(arguments)].removeprefix("-m")

    from experiments.console.help.help_text import gives_help

    if gives_help(name.removeprefix("experiments."), arguments):
        sys.exit(0)
