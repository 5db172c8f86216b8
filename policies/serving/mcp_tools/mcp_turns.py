"""What an MCP client gets to see of a turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, Field

from policies.dialogue import Turn

SKIPPABLE = 'You may decline; "just answer" ends the questions.'
_NEXT = {
    "ask": "Put note and question to the person in the chat, as they are, and wait for the reply. Then call "
    "next_question with the same query and known, and with replies plus that reply (null: declined).",
    "answer": "Enough is known, or no more is wanted: answer the person's question now, in view of context. "
    "What context does not say is unknown: do not guess it.",
    "escalate": "The person may be in danger. Show message and every resource first, as they are, before "
    "anything else. Should they write on, call next_question with that reply added to replies.",
}


class McpResource(BaseModel):
    """Whom to turn to: a country or region, a name, a number or an address."""

    where: str
    name: str
    contact: str


class McpTurn(BaseModel):
    """What comes next. `what_to_do` says it in words."""

    kind: Literal["ask", "answer", "escalate"]
    what_to_do: str
    note: str = Field(description="a sentence for the person that goes before everything else, or empty")
    attribute: str | None = Field(description="what the question is about; null: whether the person is safe")
    question: str = Field(description="of ask: the question; of answer: what is to be answered now")
    why: str = Field(description="what the question is for")
    number: int = Field(description="this is question number ...")
    of: int = Field(description="... of at most so many")
    context: dict[str, str] = Field(description="what the person told of themselves, {attribute: words}")
    declined: list[str] = Field(description="asked, and not told")
    message: str = Field(description="of escalate: what to say to the person")
    resources: list[McpResource] = Field(description="whom the person can turn to")
    replies: list[str | None] = Field(description="the person's replies so far, for next_question")


def mcp_turn(turn: Turn, context: Mapping[str, str], replies: Sequence[str | None]) -> McpTurn:
    """Return what a client sees of `turn`, with the `context` known and the `replies` taken so far."""
    return McpTurn(
        kind=turn.kind,
        what_to_do=_NEXT[turn.kind],
        note=turn.note,
        attribute=turn.attribute,
        question=turn.question,
        why=turn.why,
        number=turn.number,
        of=turn.of,
        context=dict(context),
        declined=[*turn.declined],
        message=turn.message,
        resources=[McpResource(where=r.where, name=r.name, contact=r.contact) for r in turn.resources],
        replies=[*replies],
    )


def form_message(turn: Turn) -> str:
    """Return what a form says above its field; the same for the same turn, whenever it is asked for."""
    count = f"Question {turn.number} of at most {turn.of}." if turn.number else ""
    parts = [turn.note, count, turn.question, turn.why, SKIPPABLE if turn.attribute is not None else ""]
    places = [f"{r.where}: {r.name}, {r.contact}" for r in turn.resources]
    return "\n".join([*(part for part in parts if part), *places])
