"""People with profiles and checked queries, from a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from envs import Scenario, penguin_schema
from experiments.penguin.generating.profile_makers import ProfileMaker
from experiments.penguin.generating.profile_sampling import as_values, balanced_situations
from experiments.penguin.generating.query_checks import thrown_out
from experiments.penguin.generating.query_writers import DrawnPerson, QueryWriter
from experiments.penguin.published_values import situation_groups
from policies.embeddings import Embedding
from policies.understanding.reading import Reader


@dataclass(frozen=True)
class Generated:
    """What was generated.

    Attributes
    ----------
    people : one for each profile
    codes : int8[people, 10], printed values
    situations : int64[people], positions of the situations
    queries : those of each person, at most as many as were wanted
    thrown_out : why queries were not taken -> how many
    written : int, queries that the writer wrote
    no_profile : why profiles were not taken -> how many
    """

    people: tuple[DrawnPerson, ...]
    codes: np.ndarray
    situations: np.ndarray
    queries: tuple[tuple[str, ...], ...]
    thrown_out: Counter[str]
    written: int
    no_profile: Counter[str]

    def scenarios(self) -> list[Scenario]:
        """Return a scenario for each query, with ids as those of PENGUIN's layout."""
        schema = penguin_schema()
        return [
            Scenario(
                f"{person.number:05d}-{i:02d}",
                person.domain,
                query,
                person.profile,
                schema,
                {"situation": person.situation},
            )
            for person, queries in zip(self.people, self.queries, strict=True)
            for i, query in enumerate(queries)
        ]


class DrawnPeople(NamedTuple):
    """P people: who they are, int8[P, 10] codes, int64[P] situations, why profiles were thrown out."""

    people: tuple[DrawnPerson, ...]
    codes: np.ndarray
    situations: np.ndarray
    thrown_out: Counter[str]


def draw_people(n: int, maker: ProfileMaker) -> DrawnPeople:
    """Return the people for whom `maker` makes a profile, over n situations in turn."""
    everywhere = balanced_situations(n)
    codes, made, thrown = maker.make(everywhere)
    kept = np.flatnonzero(made)
    people = []
    for number, profile in zip(kept.tolist(), as_values(codes[kept]), strict=True):
        situation, group, domain = situation_groups()[everywhere[number]]
        people.append(DrawnPerson(number, situation, group, domain, profile))
    return DrawnPeople(tuple(people), codes[kept], everywhere[kept], thrown)


def generate(
    n_people: int,
    n_queries: int,
    maker: ProfileMaker,
    writer: QueryWriter,
    embedding: Embedding,
    *,
    reader: Reader | None = None,
    attempts: int = 5,
    at_once: int = 1,
    on_person: Callable[[], None] = lambda: None,
) -> Generated:
    """Let `maker` make people and `writer` write queries for each.

    What is thrown out is written again, up to `attempts` times; somebody may have fewer queries in the end.
    `at_once`: first requests under way at the same time; the outcome does not depend on it.
    """
    people, codes, situations, no_profile = draw_people(n_people, maker)
    schema, taken = penguin_schema(), set[str]()
    reasons, written, found = Counter[str](), 0, []
    with ThreadPoolExecutor(at_once) as pool:
        ahead = pool.map(lambda person: writer.write(person, n_queries, 0), people)
        for person, queries in zip(people, ahead, strict=True):
            kept: list[str] = []
            for attempt in range(attempts):
                if attempt:
                    queries = writer.write(person, n_queries - len(kept), attempt)
                written += len(queries)
                good, bad = thrown_out(queries, kept, taken, schema, embedding, reader)
                kept += good
                reasons += bad
                if len(kept) >= n_queries:
                    break
            found.append(tuple(kept))
            on_person()
    return Generated(people, codes, situations, tuple(found), reasons, written, no_profile)
