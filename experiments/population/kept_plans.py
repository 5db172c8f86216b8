"""What planning for a population keeps in its journal: trees, histories and gains, a group each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from experiments.population.gains import Gain, GroupGains
from experiments.runs.journal import UnitJournal
from search.plan_lines import number
from search.population.history_values import ARRAYS, HistoryValues
from search.population.policy_tree import PolicyTree
from search.population.policy_tree_file import row_of, tree_of

_FLOATS = {field.name for field in fields(Gain) if field.type == "float"}


class PopulationJournal:
    """Takes from `journal` what an earlier session of the same run has finished, and adds the rest."""

    def __init__(self, journal: UnitJournal) -> None:
        self.journal = journal

    def tree(self, domain: str, make: Callable[[], PolicyTree]) -> PolicyTree:
        """Return the tree of a domain."""
        name = f"tree {domain}"
        return self.journal.once(name, make, row_of, lambda v: tree_of(v, f"{self.journal.path}: {name}"))

    def histories(self, make: Callable[[], HistoryValues]) -> HistoryValues:
        """Return what asking is worth after every history."""
        return self.journal.once("histories", make, _plain_histories, _histories)

    def gains(self, draw: int, domain: str, make: Callable[[], GroupGains]) -> GroupGains:
        """Return the gains in a domain under one draw of the judge."""
        return self.journal.once(f"gains {draw} {domain}", make, _plain_gains, _gains)


def _plain_histories(values: HistoryValues) -> dict[str, Any]:
    found = {field.name: getattr(values, field.name) for field in fields(values)}
    return found | {name: found[name].tolist() for name in ARRAYS}


def _histories(value: dict[str, Any]) -> HistoryValues:
    whole = ("codes", "paths")
    arrays = {name: np.array(value[name], np.int8 if name in whole else np.float32) for name in ARRAYS}
    named = {name: tuple(value[name]) for name in ("names", "domains")}
    levels = tuple(map(tuple, value["levels"]))
    return HistoryValues(**{**value, **arrays, **named, "levels": levels})


def _plain_gains(found: GroupGains) -> dict[str, Any]:
    rows, held = found
    return {"rows": list(map(asdict, rows)), "held": {name: values.tolist() for name, values in held.items()}}


def _gains(value: dict[str, Any]) -> GroupGains:
    rows: list[dict[str, Any]] = value["rows"]
    floats = [{name: number(row[name]) for name in _FLOATS} for row in rows]
    found = [Gain(**{**row, **own}) for row, own in zip(rows, floats, strict=True)]
    return found, {name: np.array(held, np.float64) for name, held in value["held"].items()}
