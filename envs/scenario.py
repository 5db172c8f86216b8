"""Scenarios: a person's hidden profile and the high-risk query they ask."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from envs.attributes import Schema, penguin_schema

DOMAINS = ("relationship", "career", "financial", "social", "health", "life", "education", "other")


@dataclass(frozen=True)
class Scenario:
    """One person and one query.

    `profile` maps attribute names to values; it and `query` stay out of `repr`, so that no log or error that
    prints a scenario tells anything about somebody.
    """

    id: str
    domain: str
    query: str = field(repr=False)
    profile: Mapping[str, str] = field(repr=False)
    schema: Schema = field(default_factory=penguin_schema, repr=False)

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """int8[n]: the level of each attribute, -1 where missing or in words that no level names."""
        return self.schema.codes(self.profile)

    @functools.cached_property
    def askable(self) -> int:
        """Bitmask of the attributes whose value exists."""
        return self.schema.askable(self.profile)
