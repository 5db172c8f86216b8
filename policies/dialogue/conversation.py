"""State of one conversation: what was said, what is known, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Self

import numpy as np

from envs.scenario import Profile
from policies.plan_index import Neighbours
from policies.understanding.reading import Danger, Dialogue, Message, Value

Kind = Literal["ask", "check", "answer", "escalate"]
Resume = Literal["start", "ask", "answer"]
NOBODY = Neighbours(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0), np.int64), np.zeros((0, 1)), ())
FORGOTTEN = "[forgotten]"


class Alarm(NamedTuple):
    """A sign of danger that was acted on: its name, and the words that showed it."""

    signal: str
    words: str


@dataclass(frozen=True, eq=False, repr=False)
class Conversation:
    """Where a conversation stands; never changed, each reply makes another. Its `repr` shows no words.

    Attributes
    ----------
    query : what is to be answered in the end; `domain`: its domain where the caller knows it
    values : what is known, {attribute: `Value`}; `revealed`: those that the query told
    turns : the messages after the first query
    asked : attributes asked so far, in order, answered or not; the first `earlier` about earlier queries
    declined : those of `asked` without a value
    neighbours : stored queries like this one
    kind : "ask": the question about `attribute` is open; "check": whether the person is safe is; "answer":
        `question` is answered, by `response` if by anybody; "escalate": help is shown
    reason, note : see `Turn`
    repeats : intents of the replies that left the open question open
    danger, held, resume, checks : of "check" and "escalate": the sign, the message that waits for it to be
        settled, where the conversation goes on, and how often the check was put
    alarms : signs acted on so far
    """

    query: str
    domain: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    revealed: tuple[str, ...] = ()
    turns: tuple[Message, ...] = ()
    asked: tuple[str, ...] = ()
    earlier: int = 0
    declined: tuple[str, ...] = ()
    neighbours: Neighbours = NOBODY
    kind: Kind = "answer"
    attribute: str | None = None
    reason: str = ""
    note: str = ""
    repeats: tuple[str, ...] = ()
    question: str = ""
    response: str | None = None
    danger: Danger | None = None
    held: str | None = None
    resume: Resume = "start"
    checks: int = 0
    alarms: tuple[Alarm, ...] = ()

    def __repr__(self) -> str:
        return f"Conversation({self.kind}, {len(self.asked)} questions asked)"

    @property
    def path(self) -> tuple[str, ...]:
        """Attributes asked about the query at hand."""
        return self.asked[self.earlier :]

    def ordered(self, names: Sequence[str]) -> Profile:
        """Return what is known in the order of `names`; its `repr` shows no value."""
        return Profile({name: self.values[name].words for name in names if name in self.values})

    def dialogue(self) -> Dialogue:
        """Return what was said so far, as readers and detectors take it."""
        return Dialogue(self.query, self.turns, self.values, self.asked, self.declined)

    def said(self, speaker: Literal["person", "agent"], text: str, asked: str | None = None) -> Self:
        """Return the state after one more message."""
        return replace(self, turns=(*self.turns, Message(speaker, text, asked)))

    def learn(self, values: Mapping[str, Value], corrects: bool = False) -> Self:
        """Return the state with `values` known too.

        What is known already gives way to a correction, and to what is at least as certain; the answer to a
        question to a correction alone, for what is said in passing later ("I can't sleep") says less.
        """
        fresh = {
            name: value
            for name, value in values.items()
            if corrects
            or name not in self.values
            or (name not in self.asked and value.certainty >= self.values[name].certainty)
        }
        declined = tuple(name for name in self.declined if name not in fresh)
        return replace(self, values={**self.values, **fresh}, declined=declined)

    def closed(self) -> Self:
        """Return the state with the open question asked: declined where nothing is known of it."""
        name = self.attribute
        if name is None:
            return self
        declined = self.declined if name in self.values else (*self.declined, name)
        return replace(self, asked=(*self.asked, name), declined=declined, attribute=None, repeats=())

    def asking(self, name: str) -> Self:
        """Return the state with the question about `name` open; what was known of it is asked anew."""
        asked = tuple(other for other in self.asked if other != name)
        return replace(
            self,
            kind="ask",
            attribute=name,
            values={key: value for key, value in self.values.items() if key != name},
            revealed=tuple(key for key in self.revealed if key != name),
            asked=asked,
            earlier=self.earlier - (name in self.asked[: self.earlier]),
            declined=tuple(other for other in self.declined if other != name),
            repeats=(),
            note="",
            danger=None,
            held=None,
        )

    def without(self, name: str) -> Self:
        """Return the state with nothing known of `name`, which is not asked again.

        The words of its value go from what was said too; what a model answered may still hold them.
        """
        value = self.values.get(name)
        words = "" if value is None else value.words.strip()
        pattern = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.I) if words else None

        def scrubbed(text: str) -> str:
            return text if pattern is None else pattern.sub(FORGOTTEN, text)

        values = {key: kept for key, kept in self.values.items() if key != name}
        asked, earlier = self.asked, self.earlier
        if name not in asked and name != self.attribute:
            asked, earlier = (name, *asked), earlier + 1
        return replace(
            self,
            query=scrubbed(self.query),
            question=scrubbed(self.question),
            turns=tuple(replace(m, text=scrubbed(m.text)) for m in self.turns),
            alarms=tuple(Alarm(a.signal, scrubbed(a.words)) for a in self.alarms),
            values=values,
            revealed=tuple(key for key in self.revealed if key != name),
            asked=asked,
            earlier=earlier,
            declined=_once([*self.declined, *([name] if name in asked else [])]),
        )


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def well_formed(text: str) -> str:
    """Return `text` with each half of a character (a lone surrogate) as the replacement sign.

    Such halves come from cut texts and terminals of another encoding, and can be neither sent nor stored.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def folded(text: str) -> str:
    """Return `text` without what does not change its words: case and spaces."""
    return " ".join(text.casefold().split())
