"""State and turns of one conversation, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from envs import UserError
from envs.scenario import Profile
from envs.validation import FileModel, validated
from policies.plan_index import Neighbours, PlanIndex
from policies.understanding.detector import Resource

STATE_VERSION = 1
_NOBODY = Neighbours(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0), np.int64), np.zeros((0, 1)), ())


def _version(value: object) -> object:
    if type(value) is int and value != STATE_VERSION:
        raise UserError(
            f"found version {value}, expected {STATE_VERSION}; "
            f"it was begun with another version of this package"
        )
    return value


class Saved(FileModel):
    """What the JSON of a conversation holds: its state, the last turn, and what it was begun with.

    `rows`, `similarity`: neighbours in the table and their cosines. `source`, `table`, `embedding`: what
    tells path table and embedding apart. Other keys are left out.
    """

    model_config = ConfigDict(extra="ignore")

    state_version: Annotated[int, BeforeValidator(_version)]
    query: str = Field(pattern=r"\S")
    domain: str | None
    context: dict[str, str]
    revealed: list[str]
    asked: list[str]
    declined: list[str]
    rows: list[Annotated[int, Field(ge=0, lt=2**62)]]
    similarity: list[Annotated[float, Field(gt=-2, lt=2)]]
    kind: Literal["ask", "answer", "escalate"]
    attribute: str | None
    reason: str
    response: str | None
    signal: str
    source: str
    table: str
    embedding: list[str]

    @model_validator(mode="after")
    def _consistent(self) -> Saved:
        known, asked, declined = set(self.context), set(self.asked), set(self.declined)
        wrong = {
            "similarity": len(self.similarity) != len(self.rows),
            "asked": len(asked) != len(self.asked) or self.attribute in asked,
            "declined": not declined <= asked or bool(declined & known),
            "revealed": not known >= set(self.revealed),
            "attribute": self.kind == "ask" and (self.attribute is None or self.attribute in known),
        }
        for key, is_wrong in wrong.items():
            if is_wrong:
                raise UserError(f"{key}: contradicts the other fields")
        return self


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
        saved = Saved.model_construct(
            state_version=STATE_VERSION,
            query=self.query,
            domain=self.domain,
            context=self.context,
            revealed=list(self.revealed),
            asked=list(self.asked),
            declined=list(self.declined),
            rows=self.neighbours.rows.tolist(),
            similarity=self.neighbours.similarity.tolist(),
            kind=kind,
            attribute=attribute,
            reason=reason,
            response=response,
            signal=signal,
            source=plan_index.source,
            table=plan_index.index.digest,
            embedding=[plan_index.index.embedding.name, plan_index.index.embedding.version],
        )
        return json.dumps(saved.model_dump(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> tuple[Conversation, Saved]:
        """Return the state, without its neighbours, and all that was saved.

        Raises
        ------
        UserError
            no JSON, or not that of a conversation; the message holds no value.
        """
        try:
            content = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise UserError("conversation: not JSON, expected what to_json returned") from None
        saved: Saved = validated(content, Saved, "conversation", private=True)
        state = cls(saved.query, saved.domain)
        state.context = saved.context
        state.revealed, state.asked = tuple(saved.revealed), tuple(saved.asked)
        state.declined = tuple(saved.declined)
        return state, saved

    def attach(self, saved: Saved, plan_index: PlanIndex) -> None:
        """Find the neighbours again in `plan_index`.

        Raises
        ------
        UserError
            another table, embedding or schema than the conversation was begun with.
        """
        embedding = [plan_index.index.embedding.name, plan_index.index.embedding.version]
        if saved.embedding != embedding:
            raise UserError(
                f"conversation: begun with another embedding or version, expected {' '.join(embedding)}"
            )
        if saved.table != plan_index.index.digest:
            raise UserError("conversation: begun with another path table, expected the same queries")
        names = {*self.context, *self.revealed, *self.asked, *self.declined}
        if not {*names, *filter(None, [saved.attribute])} <= set(plan_index.schema.names):
            raise UserError("conversation: holds an attribute that the schema does not have")
        if saved.rows and max(saved.rows) >= len(plan_index):
            raise UserError("conversation: a neighbour is not in the table")
        rows, similarity = np.array(saved.rows, dtype=np.int64), np.array(saved.similarity, dtype=np.float64)
        self.neighbours = plan_index.rows(rows, similarity)


def well_formed(text: str) -> str:
    """Return `text` with each half of a character (a lone surrogate) as the replacement sign.

    Such halves come from cut texts and terminals of another encoding, and can be neither sent nor stored.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
