"""The JSON of a conversation: everything it takes to go on in another process, another day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from envs import Schema, UserError
from envs.checking.validation import FileModel, validated
from policies.dialogue.conversation import NOBODY, Alarm, Conversation
from policies.plan_index import Neighbours, PlanIndex
from policies.understanding.detectors.rules_detector import default_detector
from policies.understanding.reading import Danger, Message, Resource, Value

STATE_VERSION = 2


def _version(value: object) -> object:
    if type(value) is int and value != STATE_VERSION:
        raise UserError(
            f"found version {value}, expected {STATE_VERSION}; "
            f"it was begun with another version of this package, so ask the question anew"
        )
    return value


class SavedValue(FileModel):
    """A `Value` as JSON."""

    words: str
    level: str | None
    number: float | None
    certainty: float = Field(gt=0, le=1)


class SavedMessage(FileModel):
    """A `Message` as JSON."""

    speaker: Literal["person", "agent"]
    text: str
    asked: str | None


class SavedHelp(FileModel):
    """A `Danger` as JSON, but for its signal."""

    kind: str
    message: str
    resources: list[list[str]]
    certain: bool


class SavedMoment(FileModel):
    """A `Conversation` as JSON; its messages are the first `n_turns` of all.

    `rows`, `similarity`: neighbours in the table and their cosines. Other keys are left out.
    """

    model_config = ConfigDict(extra="ignore")

    query: str = Field(pattern=r"\S")
    domain: str | None
    values: dict[str, SavedValue]
    revealed: list[str]
    n_turns: int = Field(ge=0)
    asked: list[str]
    earlier: int = Field(ge=0)
    declined: list[str]
    rows: list[Annotated[int, Field(ge=0, lt=2**62)]]
    similarity: list[Annotated[float, Field(gt=-2, lt=2)]]
    kind: Literal["ask", "check", "answer", "escalate"]
    attribute: str | None
    reason: str
    note: str
    repeats: list[str]
    question: str
    response: str | None
    signal: str
    help: SavedHelp | None
    held: str | None
    resume: Literal["start", "ask", "answer"]
    checks: int
    alarms: list[Annotated[list[str], Field(min_length=2, max_length=2)]]

    @model_validator(mode="after")
    def _consistent(self) -> SavedMoment:
        known, asked, declined = set(self.values), set(self.asked), set(self.declined)
        wrong = {
            "similarity": len(self.similarity) != len(self.rows),
            "asked": len(asked) != len(self.asked) or self.attribute in asked,
            "earlier": self.earlier > len(asked),
            "declined": not declined <= asked or bool(declined & known),
            "revealed": not known >= set(self.revealed),
            "attribute": self.kind == "ask" and (self.attribute is None or self.attribute in known),
            "help": self.kind == "check" and (self.help is None or self.held is None),
        }
        for key, is_wrong in wrong.items():
            if is_wrong:
                raise UserError(f"{key}: contradicts the other fields")
        return self


class SavedConversation(SavedMoment):
    """The last moment, all messages, the way back, and what the conversation was begun with.

    `history`: of each earlier moment, the latest first, the fields that differ from the one after it.
    `source`, `table`, `embedding`, `attributes`: what tells path table, embedding and schema apart.
    """

    state_version: Annotated[int, BeforeValidator(_version)]
    turns: list[SavedMessage]
    history: list[dict[str, Any]]
    source: str
    table: str
    embedding: list[str] = Field(min_length=2, max_length=2)
    attributes: list[str]


def to_json(state: Conversation, history: Sequence[Conversation], plan_index: PlanIndex) -> str:
    """Return `state`, the states before it (the earliest first), and what tells `plan_index` apart."""
    now = _moment(state)
    patches, after = [], now
    for earlier in reversed(history):
        before = _moment(earlier)
        patches.append({key: value for key, value in before.items() if value != after[key]})
        after = before
    whole = {
        "state_version": STATE_VERSION,
        **now,
        "turns": [vars(message) for message in state.turns],
        "history": patches,
        "source": plan_index.source,
        "table": plan_index.index.digest,
        "embedding": _embedding(plan_index),
        "attributes": list(plan_index.schema.names),
    }
    return json.dumps(whole, ensure_ascii=False)


def read_json(text: str) -> SavedConversation:
    """Return what `to_json` wrote.

    Raises
    ------
    UserError
        no JSON, or not that of a conversation; the message holds no value.
    """
    try:
        content = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise UserError("conversation: not JSON, expected what to_json returned") from None
    saved: SavedConversation = validated(content, SavedConversation, "conversation", private=True)
    return saved


def restored(
    saved: SavedConversation, plan_index: PlanIndex, n_neighbours: int
) -> tuple[Conversation, tuple[Conversation, ...]]:
    """Return the state and the states before it, the earliest first, over `plan_index`.

    Over the same queries and embedding the neighbours are the ones that were saved; over others they are
    found again. What the schema does not have any more is left out: `attribute` is None where the open
    question was about it, and the way back ends where that was so before.

    Raises
    ------
    UserError
        the parts contradict each other.
    """
    is_same = saved.table == plan_index.index.digest and saved.embedding == _embedding(plan_index)
    turns = tuple(Message(**dict(message)) for message in saved.turns)
    content = saved.model_dump()
    moments = [saved, *_unpatched(content, saved.history)]
    states: list[Conversation] = []
    for moment in moments:
        if moment.n_turns > len(turns):
            raise UserError("conversation: n_turns: contradicts the other fields")
        _check_names(moment, saved.attributes)
        state = _state(moment, turns[: moment.n_turns], plan_index.schema)
        state = replace(state, neighbours=_found(moment, plan_index, n_neighbours, is_same))
        if states and state.kind == "ask" and state.attribute is None:
            break
        states.append(state)
    return states[0], tuple(reversed(states[1:]))


def _unpatched(content: dict[str, Any], patches: Sequence[dict[str, Any]]) -> list[SavedMoment]:
    found = []
    for patch in patches:
        content = {**content, **patch}
        found.append(validated(content, SavedMoment, "conversation.history", private=True))
    return found


def _moment(state: Conversation) -> dict[str, Any]:
    same = ("query", "domain", "earlier", "kind", "attribute", "reason", "note", "question", "response")
    danger = state.danger
    return {
        **{key: getattr(state, key) for key in (*same, "held", "resume", "checks")},
        **{key: list(getattr(state, key)) for key in ("revealed", "asked", "declined", "repeats")},
        "values": {name: dict(vars(value)) for name, value in state.values.items()},
        "n_turns": len(state.turns),
        "rows": state.neighbours.rows.tolist(),
        "similarity": state.neighbours.similarity.tolist(),
        "alarms": [list(alarm) for alarm in state.alarms],
        "signal": "" if danger is None else danger.signal,
        "help": None
        if danger is None
        else {
            "kind": danger.kind,
            "message": danger.message,
            "resources": [[r.where, r.name, r.contact] for r in danger.resources],
            "certain": danger.certain,
        },
    }


def _state(moment: SavedMoment, turns: tuple[Message, ...], schema: Schema) -> Conversation:
    there = set(schema.names)
    levels = {a.name: {level.name for level in a.levels} for a in schema.attributes}
    values = {name: Value(**dict(value)) for name, value in moment.values.items() if name in there}
    for name, value in values.items():
        if value.level not in levels[name]:
            values[name] = replace(value, level=None)
    asked = tuple(name for name in moment.asked if name in there)
    same = ("query", "domain", "kind", "reason", "note", "question", "response", "held", "resume", "checks")
    return Conversation(
        **{key: getattr(moment, key) for key in same},
        values=values,
        turns=turns,
        revealed=tuple(name for name in moment.revealed if name in there),
        asked=asked,
        earlier=len([name for name in moment.asked[: moment.earlier] if name in there]),
        declined=tuple(name for name in moment.declined if name in there),
        attribute=moment.attribute if moment.attribute in there else None,
        repeats=tuple(moment.repeats),
        danger=_danger(moment),
        alarms=tuple(Alarm(*alarm) for alarm in moment.alarms),
    )


def _danger(moment: SavedMoment) -> Danger | None:
    told = moment.help
    if told is None:
        return default_detector().by_name(moment.signal) if moment.kind == "escalate" else None
    if any(len(parts) != 3 for parts in told.resources):
        raise UserError("conversation: help.resources: expected where, name and contact")
    resources = tuple(Resource(*parts) for parts in told.resources)
    return Danger(moment.signal, told.kind, told.message, resources, told.certain)


def _check_names(moment: SavedMoment, names: Sequence[str]) -> None:
    """Names that the schema had when it was saved may be gone; others were never there."""
    held = {*moment.values, *moment.asked, *filter(None, [moment.attribute])}
    if not held <= set(names):
        raise UserError("conversation: holds an attribute that its schema does not have")


def _found(moment: SavedMoment, plan_index: PlanIndex, n_neighbours: int, is_same: bool) -> Neighbours:
    if not moment.rows:
        return NOBODY
    if not is_same:
        return plan_index.neighbours(moment.query, n_neighbours, moment.domain)
    if max(moment.rows) >= len(plan_index):
        raise UserError("conversation: a neighbour is not in the table")
    rows, similarity = np.array(moment.rows, np.int64), np.array(moment.similarity, np.float64)
    return plan_index.rows(rows, similarity)


def _embedding(plan_index: PlanIndex) -> list[str]:
    return [plan_index.index.embedding.name, plan_index.index.embedding.version]
