"""Scenarios: a person's hidden profile and the high-risk query they ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from envs.schema import DOMAINS as DOMAINS
from envs.schema import MAX_ASKABLE, Schema, penguin_schema


class Profile(Mapping[str, str]):
    """A person's attributes and values: an immutable, hashable, picklable mapping.

    Its `repr` tells how many attributes there are and no value. It remembers how the last schema read it,
    because reading free text is slow and the queries of one person share one profile. For a plain
    dictionary (JSON, say) take `dict(profile)`.
    """

    __slots__ = ("_reading", "_values")

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._reading: tuple[Schema, np.ndarray, int] | None = None

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Profile({len(self)} attributes)"

    def __reduce__(self) -> tuple[type[Profile], tuple[dict[str, str]]]:
        return Profile, (self._values,)

    def read(self, schema: Schema) -> tuple[np.ndarray, int]:
        """Return (int8[n] levels, read-only because shared; bitmask of the values that exist)."""
        # By identity: comparing two schemas costs more than it saves, and a file has one.
        if self._reading is None or self._reading[0] is not schema:
            codes = schema.codes(self)
            codes.flags.writeable = False
            self._reading = (schema, codes, schema.askable(self))
        return self._reading[1:]


@dataclass(frozen=True)
class Scenario:
    """One person and one query.

    `profile` maps attribute names to values (any mapping; kept as a `Profile`). `metadata`: what else belongs
    to it, as JSON has it, for a judge of yours (a reference answer, say); no output holds it. `said`: words
    in which the person told some attributes: where a context knows one, whoever answers in it reads these
    instead of the profile's value. All of it stays out of `repr`, so that no log or error that prints a
    scenario tells anything about somebody.
    """

    id: str
    domain: str
    query: str = field(repr=False)
    profile: Mapping[str, str] = field(repr=False)
    schema: Schema = field(default_factory=penguin_schema, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    said: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.profile, Profile):
            object.__setattr__(self, "profile", Profile(self.profile))

    @property
    def codes(self) -> np.ndarray:
        """int8[n], read-only: the level of each attribute, -1 where missing or in words no level names."""
        return self._read()[0]

    @property
    def askable(self) -> int:
        """Bitmask of the attributes whose value exists."""
        return self._read()[1]

    def _read(self) -> tuple[np.ndarray, int]:
        assert isinstance(self.profile, Profile)  # noqa: S101 - __post_init__ made it one
        return self.profile.read(self.schema)


def within_one_plan(scenarios: Sequence[Scenario]) -> Sequence[Scenario]:
    """Return the scenarios over at most 64 attributes, all over the same ones: sets of them are uint64.

    Of a larger schema those are kept that most of its scenarios have a value of; ties: the cheaper ones, then
    schema order. Their schema is a part that knows its `whole`. Profiles stay as they are.
    """
    groups: dict[int, list[Scenario]] = {}
    for scenario in scenarios:
        if len(scenario.schema) > MAX_ASKABLE:
            groups.setdefault(id(scenario.schema), []).append(scenario)
    if not groups:
        return scenarios
    parts = {key: group[0].schema.restricted(most_present(group)) for key, group in groups.items()}
    return tuple(replace(s, schema=parts[id(s.schema)]) if id(s.schema) in parts else s for s in scenarios)


def most_present(scenarios: Sequence[Scenario]) -> list[str]:
    """Return the names of the 64 attributes that most of `scenarios`, all of one schema, have a value of."""
    schema = scenarios[0].schema
    present = Counter(name for s in scenarios for name in schema.names_of(s.askable))
    ranked = sorted(range(len(schema)), key=lambda i: (-present[schema.names[i]], schema.costs[i], i))
    return [schema.names[i] for i in ranked[:MAX_ASKABLE]]
