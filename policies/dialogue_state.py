"""Types of a policy: `DialogueState` in, `Choice` or `Decision` out, and the protocols."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from envs import Schema
from envs.schema.attribute import UNKNOWN
from policies.plan_index import Neighbours, PlanIndex


@dataclass(frozen=True)
class DialogueState:
    """Where a conversation stands. `query` and the values stay out of `repr`.

    Attributes
    ----------
    plan_index : the stored plans, the schema of the n attributes, and the trees if there are any
    query : what the person asked
    context : {attribute: value} of what is known, told or revealed by the query
    asked : attributes asked so far, in order, answered or not
    declined : those of `asked` that are not known: declined, evaded or unknown to the person
    neighbours : stored queries like this one, with their paths
    budget_left : questions that may still be asked
    domain : the query's domain where the caller knows it, else None
    levels : {attribute: name of the level that the reader found, None where the words have none}
    barred : attributes that may not be asked here, whatever they are worth
    """

    plan_index: PlanIndex = field(repr=False)
    query: str = field(repr=False)
    context: Mapping[str, str] = field(repr=False)
    asked: tuple[str, ...]
    declined: tuple[str, ...]
    neighbours: Neighbours = field(repr=False)
    budget_left: int
    domain: str | None = None
    levels: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    barred: tuple[str, ...] = ()

    @property
    def schema(self) -> Schema:
        """The n attributes that can be asked."""
        return self.plan_index.schema

    @functools.cached_property
    def known(self) -> int:
        """Bitmask of the known attributes."""
        return self.schema.mask(self.context)

    def code(self, name: str) -> int:
        """Return the index of the level that was told of the attribute `name`, `UNKNOWN` without one."""
        return self.schema.attributes[self.schema.index(name)].level_code(self.levels.get(name))

    @functools.cached_property
    def answers(self) -> dict[int, int]:
        """{schema index: code} of what was told and, as `UNKNOWN`, of what was declined."""
        found = {self.schema.index(name): self.code(name) for name in self.context}
        return found | {self.schema.index(name): UNKNOWN for name in self.declined}

    @functools.cached_property
    def open(self) -> np.ndarray:
        """bool[n]: what can still be asked: neither known nor declined nor barred."""
        shut = self.known | self.schema.mask(self.declined) | self.schema.mask(self.barred)
        return np.array([not shut >> i & 1 for i in range(len(self.schema))])


class Choice(NamedTuple):
    """A question to ask next.

    `attribute`: schema index, or None when nothing is worth asking. `gain`: what it is expected to add to the
    score, `stderr` the standard error of that; NaN where the acquisition does not say. `net`: costs
    are taken off the gain already, for the acquisition follows a plan that weighs them. `reason`: a few
    words, without any value.
    """

    attribute: int | None
    gain: float = float("nan")
    stderr: float = float("nan")
    net: bool = False
    reason: str = ""


class Decision(NamedTuple):
    """`attribute`: the name of the one to ask, or None to answer now. `reason`: a few words, no value."""

    attribute: str | None
    reason: str = ""


class Policy(Protocol):
    """Decides a conversation's next step. It keeps nothing between calls: all is in the dialogue state."""

    n_neighbours: int
    budget: int | None

    def decide(self, dialogue: DialogueState) -> Decision:
        """Return the attribute to ask (one of `dialogue.open`), or None to answer."""
        ...


class Acquisition(Protocol):
    """Which question next."""

    name: str

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the best question among `dialogue.open`."""
        ...


class Abstention(Protocol):
    """Ask on (abstain from answering), or answer."""

    name: str

    def should_stop(self, dialogue: DialogueState, choice: Choice) -> tuple[bool, str]:
        """Return (whether the context is sufficient, why): True = answer, False = ask `choice`."""
        ...
