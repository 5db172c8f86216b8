"""How well reader and detector understand users, by manner of answering; no judge has a part in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from envs import Scenario, Schema
from envs.schema.attribute import UNKNOWN
from envs.users import Reply
from envs.users.spoken_user import MANNERS, SpokenUser
from experiments.evaluation.at_once import at_once
from experiments.evaluation.setting import Answers
from policies.understanding import Danger, Detector, Reader, Value

OWN, VALUES, QUERIES = "this evaluation's users", "the profile's values", "the queries"
MAX_PEOPLE = 20
"""Test people whose replies in each manner are looked at."""

Taken = tuple[Mapping[str, Value], Danger | None]
"""What of each attribute was read in a message, and its sign of danger."""


class Understanding(NamedTuple):
    """Who takes what users say. `n_at_once`: messages that both may be given at one time."""

    reader: Reader
    detector: Detector
    n_at_once: int = 1

    def of(self, said: Iterable[tuple[str, Schema, str | None]]) -> list[Taken]:
        """Return what is taken of each message (text, schema, attribute that was asked)."""
        return list(at_once([partial(self._take, *message) for message in said], self.n_at_once))

    def of_queries(self, people: Iterable[Scenario]) -> list[Taken]:
        """Return the same of each person's query."""
        return self.of((person.query, person.schema, None) for person in people)

    def _take(self, text: str, schema: Schema, asked: str | None) -> Taken:
        return self.reader.read(text, schema, asked).values, self.detector.check(text, asked)


@dataclass
class Understood:
    """Counts of replies (in words) to questions.

    Attributes
    ----------
    replies, told, nothing : replies; those that tell all or part of what was asked, those that tell nothing
    read : of `told`, where the reader found something of the attribute
    levels : replies that tell all of a value that has a level in the schema
    right, wrong : of `levels`, read as that level, and as another
    kept : of `nothing`, where the reader found something of the attribute
    certain, checked : alarms of the detector, and suspicions that lead to a check question
    """

    manner: str
    replies: int = 0
    told: int = 0
    nothing: int = 0
    read: int = 0
    levels: int = 0
    right: int = 0
    wrong: int = 0
    kept: int = 0
    certain: int = 0
    checked: int = 0


def understood(answers: Answers, understanding: Understanding) -> list[Understood]:
    """Return a row for the replies of `answers` so far, one for each manner, and one for the queries."""
    people = answers.scenarios[:: max(1, len(answers.scenarios) // MAX_PEOPLE)][:MAX_PEOPLE]
    own = ((answers.scenarios[i], a, reply) for (i, a), reply in answers.replies.items())
    rows = [_row(OWN, own, understanding), _row(VALUES, _asked(people, SpokenUser()), understanding)]
    for manner in MANNERS:
        shares: dict[str, Any] = {manner: 1.0}
        user = SpokenUser(**shares)
        rows.append(_row(manner.replace("_", " "), _asked(people, user), understanding))
    queries = Understood(QUERIES, replies=len(answers.scenarios))
    for _, danger in understanding.of_queries(answers.scenarios):
        _alarm(queries, danger)
    return [*rows, queries]


def _asked(people: Iterable[Scenario], user: SpokenUser) -> Iterable[tuple[Scenario, int, Reply]]:
    for person in people:
        for a, attribute in enumerate(person.schema.attributes):
            yield person, a, user.answer(person, attribute.name, attribute.question)


def _row(
    manner: str, replies: Iterable[tuple[Scenario, int, Reply]], understanding: Understanding
) -> Understood:
    row = Understood(manner)
    said = [(scenario, a, reply, reply.text) for scenario, a, reply in replies if reply.text is not None]
    taken = understanding.of((text, s.schema, s.schema.names[a]) for s, a, _, text in said)
    for (scenario, a, reply, _), (values, danger) in zip(said, taken, strict=True):
        attribute = scenario.schema.attributes[a]
        value = values.get(attribute.name)
        row.replies += 1
        row.told += reply.told != "nothing"
        row.nothing += reply.told == "nothing"
        row.read += value is not None and reply.told != "nothing"
        row.kept += value is not None and reply.told == "nothing"
        true = int(scenario.codes[a])
        if reply.told == "all" and true != UNKNOWN:
            found = UNKNOWN if value is None else attribute.level_code(value.level)
            row.levels += 1
            row.right += found == true
            row.wrong += found not in (true, UNKNOWN)
        _alarm(row, danger)
    return row


def _alarm(row: Understood, danger: Danger | None) -> None:
    row.certain += danger is not None and danger.certain
    row.checked += danger is not None and not danger.certain
