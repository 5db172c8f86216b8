"""A conversation in the terminal: `python -m experiments.ask`, or `paths=DIR` for the table of a run."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from envs import Scenario, UserError
from envs.llm.endpoint import DEFAULT_URL
from envs.users import PersonUser, User, read_line
from experiments.console.entry_point import entry_point
from experiments.runs import build
from experiments.runs.folders import output_folder
from policies import Agent, Turn

COMMANDS = (
    "An empty line declines. /neighbours shows where the question comes from, /answer ends the questions, "
    "/quit leaves."
)

_COMMAND = re.compile(r"/[a-z]+")
"""A slash and one word: anything longer may be an answer, and is read as one."""


def ask(cfg: DictConfig) -> None:
    """Hold one conversation.

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of few letters shows the others as "?"
    console = Console(highlight=False, soft_wrap=True)
    user, scenario = build.build_users(cfg), _scenario(cfg)
    agent = build.build_agent(cfg)
    _notice(console, agent, cfg)
    try:
        turn = _converse(agent, user, scenario, cfg.query, console)
    except EOFError:
        console.print("\nYou have left. Nothing was kept.")
        return
    except KeyboardInterrupt:
        console.print("\nYou have left. Nothing was kept.")
        sys.exit(130)
    if turn is None:
        console.print("You have left. Nothing was kept.")
        return
    _show_end(turn, console)
    if cfg.store_answers:
        console.print(f"Stored: {escape(str(_store(agent, Path(cfg.output_dir))))}")


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
    models = endpoints({key: OmegaConf.to_container(cfg[key]) for key in ("policy", "embedding", "target")})
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


def _converse(
    agent: Agent, user: User, scenario: Scenario | None, query: str | None, console: Console
) -> Turn | None:
    """Return the last turn, None when the person quits."""
    if query is None and scenario is not None:
        query = scenario.query
    if query is None:
        query = _asked(console)
        if query is None:
            return None
    else:
        console.print(f"[italic]{escape(query)}[/italic]")
    turn = agent.start(query)
    if turn.kind == "ask" and isinstance(user, PersonUser):
        console.print(COMMANDS)
    while turn.kind == "ask":
        console.print(f"\n[dim]{escape(turn.attribute or '')}: {escape(turn.why)}[/dim]")
        text = user.answer(scenario, turn.attribute or "", turn.question)
        if not isinstance(user, PersonUser):
            console.print(f"{escape(turn.question)}\n> {escape(text or '')}")
        command = (text or "").strip().lower()
        if command == "/quit":
            return None
        if command == "/neighbours":
            console.print(_neighbours(agent))
        elif command == "/answer":
            turn = agent.answer_now()
        elif _COMMAND.fullmatch(command) and isinstance(user, PersonUser):
            console.print(COMMANDS)
        else:
            turn = agent.reply(text)
    return turn


def _asked(console: Console) -> str | None:
    """Return the person's query, None when the person quits."""
    while True:
        console.print("What would you like to ask?")
        query = read_line("> ").strip()
        if query.lower() == "/quit":
            return None
        if query and not _COMMAND.fullmatch(query.lower()):
            return query
        console.print("A question in your own words comes first; /quit leaves.")


def _neighbours(agent: Agent) -> Table:
    found = agent.neighbours
    table = Table("similarity", "domain", "stored query", "its path")
    names = agent.plan_index.schema.names
    for i, query in enumerate(agent.plan_index.queries(found.rows)):
        path = ", ".join(names[a] for a in found.paths[i].tolist() if a >= 0)
        table.add_row(f"{found.similarity[i]:.2f}", found.domains[i], escape(query), path)
    return table


def _show_end(turn: Turn, console: Console) -> None:
    if turn.kind == "escalate":
        console.print(f"\n[bold]{escape(turn.message)}[/bold]\n")
        for resource in turn.resources:
            who = f"{escape(resource.where)}: {escape(resource.name)}"
            console.print(f"  {who}, [bold]{escape(resource.contact)}[/bold]")
        return
    asked = f"{len(turn.path)} question{'' if len(turn.path) == 1 else 's'} asked"
    console.print(f"\n{asked}; {escape(turn.reason)}.")
    console.print("[bold]Known when answering:[/bold]" if turn.context else "Nothing is known of you.")
    for name, value in turn.context.items():
        message = " (from the query)" if name in turn.revealed else ""
        console.print(f"  {escape(name)}: {escape(value)}{message}")
    if turn.response is not None:
        console.print(f"\n{escape(turn.response)}")


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
