"""The state of one conversation, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from envs import UserError
from envs.scenario import Profile
from policies.memory import Memory, Neighbours

STATE_VERSION = 1
_NOBODY = Neighbours(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0), np.int64), np.zeros((0, 1)), ())
_KINDS: dict[str, type | tuple[type, ...]] = {
    "query": str,
    "domain": (str, type(None)),
    "context": dict,
    "revealed": list,
    "asked": list,
    "declined": list,
    "rows": list,
    "similarity": list,
    "kind": str,
    "attribute": (str, type(None)),
    "reason": str,
    "response": (str, type(None)),
    "signal": str,
    "source": str,
    "table": str,
    "embedding": list,
}


class State:
    """What has been said so far. Its `repr` shows none of it.

    `context`: {attribute: value}, told or revealed. `asked`: attributes in the order of asking,
    answered or not.
    """

    def __init__(self, query: str, domain: str | None = None) -> None:
        self.query = query
        self.domain = domain
        self.context: dict[str, str] = {}
        self.revealed: tuple[str, ...] = ()
        self.asked: tuple[str, ...] = ()
        self.declined: tuple[str, ...] = ()
        self.neighbours = _NOBODY

    def __repr__(self) -> str:
        return f"State({len(self.asked)} questions asked)"

    def ordered(self, names: Sequence[str]) -> Profile:
        """Return what is known in the order of `names`; its `repr` shows no value."""
        return Profile({name: self.context[name] for name in names if name in self.context})

    def to_json(
        self,
        kind: str,
        attribute: str | None,
        reason: str,
        response: str | None,
        signal: str,
        memory: Memory,
    ) -> str:
        """Return the state and the last turn, with what tells the table and the embedding apart."""
        row = {
            "state_version": STATE_VERSION,
            "query": self.query,
            "domain": self.domain,
            "context": self.context,
            "revealed": self.revealed,
            "asked": self.asked,
            "declined": self.declined,
            "rows": self.neighbours.rows.tolist(),
            "similarity": self.neighbours.similarity.tolist(),
            "kind": kind,
            "attribute": attribute,
            "reason": reason,
            "response": response,
            "signal": signal,
            "source": memory.source,
            "table": memory.index.digest,
            "embedding": [memory.index.embedding.name, memory.index.embedding.version],
        }
        return json.dumps(row, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> tuple[State, dict[str, Any]]:
        """Return the state, without its neighbours, and the row it was read from.

        Raises
        ------
        UserError
            no JSON, or not that of a conversation; the message holds no value.
        """
        try:
            row = json.loads(text)
        except ValueError:
            raise UserError("conversation: not JSON, expected what to_json returned") from None
        if not isinstance(row, dict) or row.get("state_version") != STATE_VERSION:
            raise UserError(f"conversation: expected the JSON of a conversation, version {STATE_VERSION}")
        for key, kind in _KINDS.items():
            if key not in row or not isinstance(row[key], kind):
                raise UserError(f"conversation: field {key}: found a {type(row.get(key)).__name__}")
        if row["kind"] not in ("ask", "answer", "escalate"):
            raise UserError("conversation: field kind: expected ask, answer or escalate")
        state = cls(row["query"], row["domain"])
        state.context = {str(key): str(value) for key, value in row["context"].items()}
        state.revealed, state.asked, state.declined = (
            tuple(map(str, row[key])) for key in ("revealed", "asked", "declined")
        )
        return state, row

    def attach(self, row: dict[str, Any], memory: Memory) -> None:
        """Find the neighbours again in `memory`.

        Raises
        ------
        UserError
            another table, embedding or schema than the conversation was begun with.
        """
        embedding = [memory.index.embedding.name, memory.index.embedding.version]
        if row["embedding"] != embedding:
            raise UserError(f"conversation: found embedding {row['embedding']}, expected {embedding}")
        if row["table"] != memory.index.digest:
            raise UserError("conversation: begun with another path table, expected the same queries")
        names = {*self.context, *self.asked, *filter(None, [row["attribute"]])}
        if not names <= set(memory.schema.names):
            raise UserError("conversation: holds an attribute that the schema does not have")
        if row["kind"] == "ask" and row["attribute"] is None:
            raise UserError("conversation: field attribute: found none, expected the open question")
        rows = np.array(row["rows"], dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(memory)):
            raise UserError("conversation: a neighbour is not in the table")
        self.neighbours = memory.rows(rows, np.array(row["similarity"], dtype=np.float64))
