"""A conversation in the terminal: `python -m experiments.ask`, or `paths=DIR` for the table of a run."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from envs import Scenario, UserError
from envs.judges.made_up import made_up_line
from envs.llm.endpoint import DEFAULT_URL
from envs.users import PersonUser
from experiments.console.entry_point import entry_point
from experiments.runs import build
from experiments.runs.folders import output_folder
from experiments.talk.terminal_talk import TerminalTalk
from policies import Agent


def ask(cfg: DictConfig) -> None:
    """Hold one conversation.

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of few letters shows the others as "?"
    # Words are wrapped at spaces for a terminal; what is piped on keeps its lines.
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    user, scenario = build.build_users(cfg), _scenario(cfg)
    agent, target = build.build_agent(cfg), build.build_target(cfg)
    _notice(console, agent, cfg)
    talk = TerminalTalk(console, agent, target, user, scenario)
    exit_code = 0
    try:
        talk.hold(scenario.query if cfg.query is None and scenario is not None else cfg.query)
    except EOFError:
        console.print()
    except KeyboardInterrupt:
        console.print()
        exit_code = 130
    if cfg.store_answers and talk.reached_end:
        console.print(f"Stored: {escape(str(_store(agent, Path(cfg.output_dir))))}")
    elif isinstance(user, PersonUser):
        console.print("You have left. Nothing was kept.")
    if exit_code:
        sys.exit(exit_code)


def _scenario(cfg: DictConfig) -> Scenario | None:
    if cfg.scenario is None:
        return None
    for scenario in build.build_scenarios(cfg).scenarios:
        if scenario.id == cfg.scenario:
            return scenario
    raise UserError(f"scenario: no scenario {cfg.scenario!r}, expected an id of the scenario file")


def endpoints(node: Any) -> list[str]:
    """Return where the models of a configuration are, "model at URL", each once."""
    if not isinstance(node, Mapping):
        return []
    own = []
    if node.get("model") and "base_url" in node:
        url = node["base_url"] or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL
        own = [f"{node['model']} at {url}"]
    return list(dict.fromkeys([*own, *(found for part in node.values() for found in endpoints(part))]))


def _notice(console: Console, agent: Agent, cfg: DictConfig) -> None:
    store, folder = cfg.store_answers, cfg.output_dir
    kept = f"and is written to {folder} when the conversation ends" if store else "and is forgotten"
    models = endpoints(OmegaConf.to_container(cfg, resolve=True))
    if models:
        console.print(f"[bold]What you write is sent to {escape(', '.join(models))}[/bold].")
        kept = f"otherwise {kept}"
    console.print(
        f"[bold]What you write stays in the memory of this process[/bold] {escape(kept)}. This is a research "
        f"tool, not a counsellor: in an emergency call your local emergency number. It reads English, and it "
        f"may miss signs of danger, in other languages above all."
    )
    if agent.plan_index.simulated:
        console.print("The stored plans were made with SIMULATED scores; no person and no model judged them.")
    if line := made_up_line(agent.plan_index.made_up):
        console.print(line, highlight=False, markup=False)


def _store(agent: Agent, folder: Path) -> Path:
    """Write the conversation, readable by its owner alone, and return the file."""
    folder = output_folder(folder)
    path = folder / f"conversation-{datetime.now():%Y%m%d-%H%M%S-%f}.json"
    text = json.dumps(json.loads(agent.to_json()), indent=2, ensure_ascii=False)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return path


main = entry_point("ask")(ask)

if __name__ == "__main__":
    main()
