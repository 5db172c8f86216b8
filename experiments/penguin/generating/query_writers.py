"""Who writes the queries of a person: a grammar of this project, or a model at any endpoint.

A writer is any object with `write(person, n, attempt) -> list[str]`; what it writes is checked by others.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple, Protocol

import numpy as np

from envs import Scenario, UserError
from envs.checking.json_values import json_object, object_schema
from envs.checking.validation import FileModel, MaybeCount, read_yaml, settings, takes
from envs.judges.llm import prompting
from envs.llm import ChatRequest, ModelReply
from envs.llm.cached_model import CachedModel, CachedModelSettings
from envs.llm.costs import RequestCost, request_cost
from envs.llm.endpoint import Seconds, Temperature
from experiments.penguin.published_values import DATA

PROMPT = DATA / "queries.v1.txt"
_QUERY_TOKENS = 30
"""What a query has on average; for estimates alone."""


_ATTEMPTS = 1000
_LIST_MARK = re.compile(r"\A\s*(?:\(?\d{1,2}[.):]|Q\d{0,2}[.):]|[-*\u2022])\s+")
"""What small models put before each item of a list, in the list of JSON, too."""


class DrawnPerson(NamedTuple):
    """Somebody who has no queries yet: number, situation, its group and domain, the profile."""

    number: int
    situation: str
    group: str
    domain: str
    profile: Mapping[str, str]


class QueryWriter(Protocol):
    """Writes queries; `origin`: one sentence on where they come from, for the datasheet."""

    origin: str

    def write(self, person: DrawnPerson, n: int, attempt: int) -> list[str]:
        """Return `n` queries of `person`, or fewer; another `attempt`, other ones."""
        ...


class _Grammar(FileModel):
    openings: list[str]
    frames: list[str]
    when: list[str]
    actions: dict[str, list[str]]


@functools.cache
def _grammar(path: str | Path) -> _Grammar:
    found: _Grammar = read_yaml(path, _Grammar, "openings, frames, when and actions")
    return found


class GrammarWriter:
    """Queries by the grammar in a YAML file of this project: no person and no model wrote them.

    `path`: null: the package's. `seed`: of what is drawn; a person's own follows from it and their number.
    """

    origin = "by a grammar that was written for this project (SYNTHETIC: no person and no model wrote them)"

    def __init__(self, path: str | None = None, seed: int = 0) -> None:
        self._path, self._seed = path or DATA / "query_grammar.yaml", seed

    def write(self, person: DrawnPerson, n: int, attempt: int) -> list[str]:
        """Return `n` queries, each of another action as long as there are."""
        grammar = _grammar(self._path)
        if person.group not in grammar.actions:
            raise UserError(f"{self._path}: actions: found none for {person.group}, expected some")
        rng = np.random.default_rng([self._seed, person.number, attempt])
        actions = grammar.actions[person.group]
        order = np.concatenate([rng.permutation(len(actions)) for _ in range(-(-n // len(actions)))])[:n]
        return [self._query(grammar, actions[i], rng) for i in order]

    def _query(self, grammar: _Grammar, action: str, rng: np.random.Generator) -> str:
        parts = (grammar.openings, grammar.frames, grammar.when)
        opening, frame, when = (own[rng.integers(len(own))] for own in parts)
        return f"{opening} {Template(frame).substitute(action=action, when=when)}".strip()


@settings
class ModelWriterSettings(CachedModelSettings):
    """The endpoint of the model that writes queries, how they are drawn, what they may take."""

    temperature: Temperature = 0.9
    max_output_tokens: MaybeCount = 1500
    timeout_s: Seconds = 120.0
    place: str = "writer"


class ModelWriter(CachedModel):
    """A model at an OpenAI-compatible endpoint that writes queries under the four published requirements.

    One request for each person and attempt; replies are cached, so that a run that was stopped pays for no
    query twice. A reply that is not of the form asked for gives no query and is counted in `n_invalid`.
    Parameters are the fields of `ModelWriterSettings`, by keyword; raises as `CachedModel`.
    """

    @takes(ModelWriterSettings)
    def __init__(self, settings: ModelWriterSettings) -> None:
        self.origin = f"by the model {settings.model}"
        super().__init__(settings)
        self.n_invalid = 0

    def write(self, person: DrawnPerson, n: int, attempt: int) -> list[str]:
        """Return what the model writes.

        Raises
        ------
        EndpointError, LimitReached
            the endpoint cannot work, or a limit is used up.
        """
        reply = self.client.complete_object(self._request(person, n, attempt), _unusable)
        written = None if reply.reason is not None else _queries(reply.text)
        if written is None:
            self.n_invalid += 1
            return []
        return [" ".join(_LIST_MARK.sub("", query, count=1).split()) for query in written[:n]]

    def cost(self, person: DrawnPerson, n: int) -> RequestCost:
        """Return what the queries of one person take; nothing is sent."""
        return request_cost(self.client, self._request(person, n, 0), float(n * _QUERY_TOKENS))

    def _request(self, person: DrawnPerson, n: int, attempt: int) -> ChatRequest:
        scenario = Scenario("", person.domain, "-", person.profile)
        parts = {
            "n": str(n),
            "situation": prompting.one_line(person.situation, 100),
            "profile": prompting.attributes_block("profile", scenario, prompting.known_names(scenario)),
        }
        return self._sampling.request(
            prompting.messages_of(PROMPT, parts),
            schema=object_schema(queries={"type": "array", "items": {"type": "string"}}),
            sample=person.number * _ATTEMPTS + attempt,  # two people may be alike
        )


def _queries(text: str) -> list[str] | None:
    found = json_object(text)
    queries = None if found is None else found.get("queries")
    if not isinstance(queries, list) or not all(isinstance(q, str) and q.strip() for q in queries):
        return None
    return queries


def _unusable(reply: ModelReply) -> str | None:
    return None if _queries(reply.text) is not None else "reply"
