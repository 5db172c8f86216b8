"""The state of one conversation, and its JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from envs import UserError
from envs.scenario import Profile
from policies.plan_index import Neighbours, PlanIndex
from policies.understanding.detector import Resource

STATE_VERSION = 1
_NOBODY = Neighbours(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0), np.int64), np.zeros((0, 1)), ())
_TEXTS = ("query", "kind", "reason", "signal", "source", "table")
_TEXTS_OR_NULL = ("domain", "attribute", "response")
_LISTS_OF_TEXTS = ("revealed", "asked", "declined", "embedding")
_INTEGER = 2**62
"""Row numbers are smaller; larger ones would not fit an int64."""


class Conversation:
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

    def copy(self) -> Conversation:
        """Return a state of its own that can be changed without changing this one."""
        other = Conversation(self.query, self.domain)
        other.context = dict(self.context)
        other.revealed, other.asked, other.declined = self.revealed, self.asked, self.declined
        other.neighbours = self.neighbours
        return other

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
        plan_index: PlanIndex,
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
            "source": plan_index.source,
            "table": plan_index.index.digest,
            "embedding": [plan_index.index.embedding.name, plan_index.index.embedding.version],
        }
        return json.dumps(row, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> tuple[Conversation, dict[str, Any]]:
        """Return the state, without its neighbours, and the row it was read from.

        Raises
        ------
        UserError
            no JSON, or not that of a conversation; the message holds no value.
        """
        row = _row(text)
        state = cls(row["query"], row["domain"])
        state.context = dict(row["context"])
        state.revealed, state.asked, state.declined = (
            tuple(row[key]) for key in ("revealed", "asked", "declined")
        )
        return state, row

    def attach(self, row: dict[str, Any], plan_index: PlanIndex) -> None:
        """Find the neighbours again in `memory`.

        Raises
        ------
        UserError
            another table, embedding or schema than the conversation was begun with.
        """
        embedding = [plan_index.index.embedding.name, plan_index.index.embedding.version]
        if row["embedding"] != embedding:
            raise UserError(
                f"conversation: begun with another embedding or version, expected {' '.join(embedding)}"
            )
        if row["table"] != plan_index.index.digest:
            raise UserError("conversation: begun with another path table, expected the same queries")
        names = {*self.context, *self.revealed, *self.asked, *self.declined}
        if not {*names, *filter(None, [row["attribute"]])} <= set(plan_index.schema.names):
            raise UserError("conversation: holds an attribute that the schema does not have")
        rows = np.array(row["rows"], dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(plan_index)):
            raise UserError("conversation: a neighbour is not in the table")
        self.neighbours = plan_index.rows(rows, np.array(row["similarity"], dtype=np.float64))


def well_formed(text: str) -> str:
    """Return `text` with each half of a character (a lone surrogate) as the replacement sign.

    Such halves come from cut texts and terminals of another encoding, and can be neither sent nor stored.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _row(text: str) -> dict[str, Any]:
    """Return the checked content of a conversation's JSON; messages of `UserError` hold no value."""
    try:
        row = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise UserError("conversation: not JSON, expected what to_json returned") from None
    if not isinstance(row, dict) or type(row.get("state_version")) is not int:
        raise UserError(f"conversation: expected the JSON of a conversation, version {STATE_VERSION}")
    if row["state_version"] != STATE_VERSION:
        raise UserError(
            f"conversation: found version {row['state_version']}, expected {STATE_VERSION}; "
            f"it was begun with another version of this package"
        )
    for key, (holds, expected) in _FIELDS.items():
        if key not in row or not holds(row[key]):
            raise UserError(f"conversation: field {key}: found something else, expected {expected}")
    _check_consistency(row)
    return row


def _check_consistency(row: dict[str, Any]) -> None:
    told, asked, declined = set(row["context"]), set(row["asked"]), set(row["declined"])
    wrong = {
        "similarity": len(row["similarity"]) != len(row["rows"]),
        "asked": len(asked) != len(row["asked"]) or row["attribute"] in asked,
        "declined": not declined <= asked or bool(declined & told),
        "revealed": not told >= set(row["revealed"]),
        "attribute": row["kind"] == "ask" and (row["attribute"] is None or row["attribute"] in told),
    }
    for key, is_wrong in wrong.items():
        if is_wrong:
            raise UserError(f"conversation: field {key}: contradicts the other fields")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and well_formed(value) == value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_numbers(value: Any, kinds: tuple[type, ...], limit: float) -> bool:
    return isinstance(value, list) and all(
        type(x) in kinds and abs(x) < limit and math.isfinite(x) for x in value
    )


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_TEXTS, (_is_text, "a text")),
    **dict.fromkeys(_TEXTS_OR_NULL, (lambda value: value is None or _is_text(value), "a text or null")),
    **dict.fromkeys(_LISTS_OF_TEXTS, (_are_texts, "a list of texts")),
    "query": (lambda value: _is_text(value) and bool(value.strip()), "what the person asked"),
    "context": (
        lambda value: isinstance(value, dict) and _are_texts([*value.keys(), *value.values()]),
        "texts under the names of attributes",
    ),
    "rows": (lambda value: _are_numbers(value, (int,), _INTEGER), "a list of row numbers"),
    "similarity": (lambda value: _are_numbers(value, (int, float), 2.0), "a list of cosines"),
    "kind": (lambda value: value in ("ask", "answer", "escalate"), "ask, answer or escalate"),
}
"""Each field of the JSON: the check that it must pass, and what it holds in words."""


@dataclass(frozen=True)
class Turn:
    """What the agent says. Values stay out of `repr`.

    Attributes
    ----------
    kind : "ask", "answer" or "escalate"; nothing follows the last two
    attribute, question, why : of `ask`; a name of the schema, what to say to the person, what it is for
    reason : why the agent asks this, or has stopped asking, in a few words without any value
    context : {attribute: value} known at the end, in schema order (`answer`)
    path : attributes asked, in order, the declined ones too
    declined : those of `path` without a value
    revealed : attributes that the query told by itself
    response : the target model's answer, None where no model is configured
    message, resources, signal : of `escalate`: what to say, whom to turn to, which sign was found
    """

    kind: Literal["ask", "answer", "escalate"]
    attribute: str | None = None
    question: str = ""
    why: str = ""
    reason: str = ""
    context: Profile = field(default_factory=lambda: Profile({}))
    path: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    revealed: tuple[str, ...] = ()
    response: str | None = field(default=None, repr=False)
    message: str = field(default="", repr=False)
    resources: tuple[Resource, ...] = field(default=(), repr=False)
    signal: str = ""
