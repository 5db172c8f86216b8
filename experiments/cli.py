"""The console command `raise-planner NAME ...`: every entry point of this package as a subcommand."""

from __future__ import annotations

import difflib
import pkgutil
import sys

from experiments.console.import_path import working_folder_last
from experiments.console.lost_readers import readers_may_leave

PROGRAM = "raise-planner"
COMMANDS = {
    "train": "train_mcts",
    "evaluate": "evaluate",
    "ask": "ask",
    "serve": "serve",
    "mcp": "serve_mcp",
    "show": "show",
    "view": "view",
    "collect": "collect",
    "population": "plan_population",
    "compare": "compare_search",
    "claims": "claims",
    "by-model": "by_model",
    "judge-figures": "judge_figures",
    "rate": "rate",
    "audit": "audit",
    "label": "label",
    "calibrate": "calibrate",
    "generate-scenarios": "generate_scenarios",
    "check-scenarios": "check_scenarios",
    "sensitivity": "sensitivity",
    "benchmark-models": "benchmark_models",
    "compare-models": "compare_models",
    "cache": "cache",
    "train-understanding": "train_understanding",
    "train-domain": "train_domain",
    "train-gate": "train_gate",
    "benchmark": "benchmark",
    "benchmark-agent": "benchmark_agent",
    "benchmark-llm": "benchmark_llm",
    "benchmark-serve": "benchmark_serve",
    "serve-conversations": "serve_conversations",
}
"""Name -> module of this folder."""


def main() -> None:
    """Run the subcommand that the command line names; without one list them all."""
    working_folder_last()
    readers_may_leave()
    match sys.argv[1:]:
        case [] | ["--help" | "-h"]:
            print(listing())
        case ["--completion", ("bash" | "zsh") as shell]:
            from experiments.console.help.completion import SHELLS

            print(SHELLS[shell], end="")
        case ["--complete", line]:
            from experiments.console.help.completion import candidates

            print("".join(f"{word}\n" for word in candidates(line, COMMANDS)), end="")
        case [name, *arguments] if name in COMMANDS:
            _run(name, arguments)
        case [name, *_]:
            print(f"error: {_unknown(name)}", file=sys.stderr)
            sys.exit(2)


def listing() -> str:
    """Return all subcommands, each with what its module says first."""
    from experiments.console.help.help_text import about

    longest = max(map(len, COMMANDS))
    lines = [f"  {name:{longest}}  {about(module)}" for name, module in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [GROUP=MEMBER ...] [KEY=VALUE ...]",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help describes each key; python -m experiments.MODULE is the same command.",
            f'Completion: eval "$({PROGRAM} --completion bash)", or zsh for bash, behind its compinit',
        ]
    )


def _unknown(name: str) -> str:
    modules = {module: command for command, module in COMMANDS.items()}
    near = difflib.get_close_matches(name, [*COMMANDS, *modules], 1)
    nearest = f", did you mean {modules.get(near[0], near[0])}?" if near else ""
    return f"{name}: there is no such command{nearest} ({PROGRAM} alone lists all)"


def _run(name: str, arguments: list[str]) -> None:
    from experiments.console.help.help_text import gives_help

    module = COMMANDS[name]
    sys.argv = [f"{PROGRAM} {name}", *arguments]
    if not gives_help(module, arguments):
        pkgutil.resolve_name(f"experiments.{module}:main")()


if __name__ == "__main__":
    main()
