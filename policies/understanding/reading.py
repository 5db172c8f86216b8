"""What a message means: types of a reading, of a dialogue and of danger, and who finds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from envs import Schema

LONGEST = 20_000
"""Characters of a message that are read; people's own words are shorter."""

Intent = Literal["answer", "decline", "why", "unclear", "stop", "correct", "new_query", "off_topic"]
"""What a message does.

`answer` tells something of what was asked, or, unasked, of the person; `decline` does not want to tell it;
`why` asks what it is for; `unclear` did not understand the question; `stop` wants no more questions;
`correct` takes back something said before; `new_query` asks something else; `off_topic` talks past it.
"""
INTENTS: tuple[Intent, ...] = get_args(Intent)


@dataclass(frozen=True)
class Value:
    """What a message tells of one attribute.

    Attributes
    ----------
    words : a part of what was written; not in `repr`
    level : name of the level of the schema that the words mean, None where they are not clear enough for one
    number : the quantity told, in the attribute's unit, None where none or an ambiguous one was
    certainty : in (0, 1], how sure the reader is that the person told this of themselves
    """

    words: str = field(repr=False)
    level: str | None = field(default=None, repr=False)
    number: float | None = field(default=None, repr=False)
    certainty: float = 1.0


@dataclass(frozen=True)
class Reading:
    """What one message means. An attribute is in `values` only when the text tells something of it."""

    values: Mapping[str, Value] = field(default_factory=dict)
    intent: Intent = "answer"


@dataclass(frozen=True)
class Message:
    """One message of a dialogue; `asked`: the attribute that a question of the agent is about."""

    speaker: Literal["person", "agent"]
    text: str = field(repr=False)
    asked: str | None = None


@dataclass(frozen=True)
class Dialogue:
    """What was said before the message at hand.

    `query`: what the person asked; `turns`: the messages after it; `context`: what is known, {attribute:
    value}; `asked`, `declined`: attributes, in order.
    """

    query: str = field(repr=False)
    turns: tuple[Message, ...] = ()
    context: Mapping[str, Value] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resource:
    """Whom to turn to: `where` (a country or region), `name`, `contact` (a number or an address)."""

    where: str
    name: str
    contact: str


@dataclass(frozen=True)
class Danger:
    """A sign of acute danger, without the text that showed it.

    Attributes
    ----------
    signal, kind : names of the sign and of its kind (suicide, violence, emergency, ...)
    message : what to say to the person
    resources : whom to turn to
    certain : True = show help now; False = a suspicion: `message` is a gentle question whose answer decides
    """

    signal: str
    kind: str
    message: str
    resources: tuple[Resource, ...]
    certain: bool = True


class Reader(Protocol):
    """Reads what a message tells of its writer."""

    def read(
        self, text: str, schema: Schema, asked: str | None = None, dialogue: Dialogue | None = None
    ) -> Reading:
        """Return what `text` means.

        `asked`: the attribute of the open question, None for a query or a message of the person's own accord.
        `dialogue`: what was said before. Never raises for any text.
        """
        ...


class Detector(Protocol):
    """Finds signs of acute danger."""

    def check(self, text: str, asked: str | None = None, dialogue: Dialogue | None = None) -> Danger | None:
        """Return the sign of danger in `text`, None where there is none. Arguments as of `Reader.read`."""
        ...
