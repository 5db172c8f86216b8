"""What the agent says next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from envs import Schema
from envs.scenario import Profile
from policies.dialogue.conversation import Conversation
from policies.understanding.reading import Resource


@dataclass(frozen=True)
class Turn:
    """What the agent says. Values and words stay out of `repr`. Whatever its kind, `Agent.reply` goes on.

    Attributes
    ----------
    kind : "ask", "answer" or "escalate"
    attribute, question, why : of `ask`: a name of the schema, what to say to the person, what it is for. A
        question whether the person is safe has no attribute. Of `answer`, `question` is what is to be
        answered: the query or a follow-up, "" where nothing is
    number, of : question `number` of at most `of`, about this query
    note : a sentence for the person that goes before everything else: a reason, a rewording, what was changed
    reason : why the agent asks this, or has stopped asking, in a few words without any value
    context : {attribute: value} known at the end, in schema order (`answer`)
    path : attributes asked about this query, in order, the declined ones too
    declined : those of `path` without a value
    revealed : attributes that the query told by itself
    response : the target model's answer, None where no model is configured
    message, resources, signal : of `escalate`: what to say, whom to turn to, which sign was found
    """

    kind: Literal["ask", "answer", "escalate"]
    attribute: str | None = None
    question: str = field(default="", repr=False)
    why: str = ""
    number: int = 0
    of: int = 0
    note: str = field(default="", repr=False)
    reason: str = ""
    context: Profile = field(default_factory=lambda: Profile({}))
    path: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    revealed: tuple[str, ...] = ()
    response: str | None = field(default=None, repr=False)
    message: str = field(default="", repr=False)
    resources: tuple[Resource, ...] = field(default=(), repr=False)
    signal: str = field(default="", repr=False)


def turn_of(state: Conversation, schema: Schema, budget: int) -> Turn:
    """Return what to say where `state` stands; `budget`: questions that may be asked about a query."""
    shared: dict[str, Any] = {
        "note": state.note,
        "reason": state.reason,
        "path": state.path,
        "declined": tuple(name for name in state.path if name in state.declined),
        "revealed": state.revealed,
    }
    if state.kind in ("check", "escalate") and state.danger is not None:
        danger = state.danger
        shared |= {"resources": danger.resources, "signal": danger.signal}
        if state.kind == "check":
            return Turn("ask", question=danger.message, **shared)
        return Turn("escalate", message=danger.message, **shared)
    asked = len(state.path)
    if state.kind == "ask" and state.attribute is not None:
        attribute = schema.attributes[schema.index(state.attribute)]
        left = len({*schema.names} - {*state.values, *state.declined})
        count: dict[str, Any] = {"number": asked + 1, "of": asked + min(budget - asked, left)}
        return Turn("ask", state.attribute, attribute.question, attribute.why, **count, **shared)
    return Turn(
        "answer",
        question=state.question,
        number=asked,
        of=max(asked, budget),
        context=state.ordered(schema.names),
        response=state.response,
        **shared,
    )
