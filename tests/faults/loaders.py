"""Every file that the project reads: one that is whole, and what reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from envs import Schema, UserError, penguin_schema
from envs.judges.simulated import SimulatedJudge
from envs.llm import Limits, ReplyCache
from envs.llm.admission.ledger import FILE_NAME as LEDGER
from envs.llm.admission.ledger import Ledger
from envs.llm.books import Account, Books
from envs.llm.cache.reply_cache import ReplyKey
from envs.llm.costs import Bill, read_prices
from envs.loading import load_bundled, load_scenarios
from envs.schema.schema_file import read_schema, write_schema
from experiments.runs.plan_journal import Journal, read_plans
from policies import Agent
from search.algorithms.greedy import GreedySearch
from search.path_table import PathTable
from search.plan_lines import batch_of, rows_of
from search.population.history_values import load_histories
from search.population.policy_tree_file import load_trees
from search.rollouts import plan

PACKAGED = Path(__file__).parents[2] / "policies" / "data"


class Loader(NamedTuple):
    """A file's name, its whole content, and what reads it from a path."""

    file: str
    content: bytes
    read: Callable[[Path], Any]


def loaders(folder: Path) -> dict[str, Loader]:
    """Return all, by name; what is whole is made in `folder`."""
    scenarios = load_bundled()[:3]
    plans = list(plan(scenarios, SimulatedJudge(), GreedySearch(), budget=2, report_samples=1))
    with Journal(folder, "f", resume=False) as journal:
        journal.add(batch_of(plans))
    ledger = Ledger(Limits())
    ledger.keep(folder / LEDGER)
    ledger.settle(ledger.lease(Bill(1, 9.0, 0.5)), Bill(1, 3.0, 0.1))
    ledger.lease(Bill(1, 9.0, 0.5))
    ledger.close()
    books = Books()
    books.keep(folder, "judge")
    books.add("m", "judge", Account(requests=1, input_tokens=3))
    cache = ReplyCache(folder / "cache.sqlite")
    for key in ("a" * 64, "b" * 64):
        cache.put(ReplyKey(key, "e"), "m", 0, json.dumps({"text": "x", "finish_reason": "stop"}))
    cache.run("PRAGMA wal_checkpoint(TRUNCATE)")
    cache.close()
    write_schema(folder / "schema.yaml", Schema(penguin_schema().attributes[:2]))
    (folder / "prices.yaml").write_text(
        "m: {input: 1, output: 2, cached_input: 0.5}\nn: {input: 1, output: 2}\n"
    )
    rows = [
        {"id": s.id, "domain": s.domain, "query": s.query, "profile": dict(s.profile), "metadata": {"n": 1}}
        for s in scenarios
    ]
    (folder / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "s.json").write_text(json.dumps(rows))
    flat = pd.DataFrame(
        [{"id": r["id"], "domain": r["domain"], "query": r["query"], **r["profile"]} for r in rows]
    )
    flat.to_csv(folder / "s.csv", index=False)
    flat.to_parquet(folder / "s.parquet", index=False)
    agent = Agent.load(PACKAGED)
    agent.start("Should I leave my job after I lost my mother?")
    agent.reply("I am 40")
    (folder / "conversation.json").write_text(agent.to_json())
    table = PathTable.load(PACKAGED)
    PathTable(table.table.slice(0, 4), table.provenance).save(folder / "paths.parquet")
    trees = (PACKAGED / "policy_trees.jsonl").read_bytes().splitlines(keepends=True)[:3]
    (folder / "policy_trees.jsonl").write_bytes(b"".join(trees))
    shutil.copy(PACKAGED / "histories.npz", folder / "histories.npz")

    def resumed(path: Path) -> None:
        with Journal(path.parent, "f", resume=True) as journal:
            for block in journal.blocks():
                rows_of(block)

    def prices(path: Path) -> None:
        read_prices.cache_clear()
        read_prices(str(path))

    def replies(path: Path) -> None:
        found = ReplyCache(path, read_only=True)
        try:
            list(found.rows())
            found.get(ReplyKey("a" * 64, "e"))
        finally:
            found.close()

    def begun(path: Path) -> None:
        with closing(Ledger(Limits())) as ledger:
            ledger.keep(path)

    reading: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "journal": ("plans.jsonl", lambda path: PathTable.from_records(read_plans(path.parent).values(), {})),
        "resumed journal": ("plans.jsonl", resumed),
        "ledger": (LEDGER, begun),
        "books": ("spent_judge.json", lambda path: Books().keep(path.parent, "judge")),
        "cache": ("cache.sqlite", replies),
        "schema": ("schema.yaml", read_schema),
        "prices": ("prices.yaml", prices),
        "scenario lines": ("s.jsonl", load_scenarios),
        "scenario list": ("s.json", load_scenarios),
        "scenario table": ("s.csv", load_scenarios),
        "scenario columns": ("s.parquet", load_scenarios),
        "conversation": ("conversation.json", lambda path: Agent.from_json(_text(path), agent)),
        "path table": ("paths.parquet", lambda path: PathTable.load(path).records()),
        "trees": ("policy_trees.jsonl", load_trees),
        "histories": ("histories.npz", load_histories),
    }
    return {name: Loader(file, (folder / file).read_bytes(), read) for name, (file, read) in reading.items()}


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def complaint(loader: Loader, path: Path) -> str | None:
    """Read the file; return the one line that is told of it, None = it was read.

    Raises
    ------
    Exception
        whatever else the loader raises.
    """
    try:
        loader.read(path)
    except UserError as error:
        return str(error)
    return None
