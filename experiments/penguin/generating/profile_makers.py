"""Who makes profiles: sampling along the published graph, or a model under the same constraints.

A maker is any object with `make(situations) -> MadeProfiles`; `origin`: one sentence for the datasheet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
from pydantic import Field

from envs.checking.json_values import json_object, object_schema
from envs.checking.validation import Count, MaybeCount, settings, takes
from envs.judges.llm import prompting
from envs.llm import ChatRequest, ModelReply
from envs.llm.cached_model import CachedModel, CachedModelSettings
from envs.llm.costs import RequestCost, request_cost
from envs.llm.endpoint import Seconds, Temperature
from experiments.penguin.consistency_rules import RuleCount, check_rules
from experiments.penguin.generating.profile_sampling import ProfileTables
from experiments.penguin.published_values import DATA, published_values, situation_groups, value_names

PROMPT = DATA / "profiles.v1.txt"
_PROFILE_TOKENS = 110
"""What a profile has as JSON; for estimates alone."""
_ATTEMPTS = 1000


class MadeProfiles(NamedTuple):
    """Profiles of n situations.

    Attributes
    ----------
    codes : int8[n, 10], printed values
    made : bool[n], whether there is a profile at all
    thrown_out : why profiles were not taken -> how many
    """

    codes: np.ndarray
    made: np.ndarray
    thrown_out: Counter[str]


class ProfileMaker(Protocol):
    """Makes profiles; `origin`: one sentence on where they come from."""

    origin: str

    def make(self, situations: np.ndarray) -> MadeProfiles:
        """Return a profile for each of int64[n] positions of situations."""
        ...


class GraphProfiles:
    """Ancestral sampling of the published dependency graph, without a model.

    `tables`: YAML file of the probabilities, null: the package's; `seed`: of the draws.
    """

    def __init__(self, tables: str | None = None, seed: int = 0) -> None:
        self.tables = ProfileTables(tables)
        self.origin = (
            "by ancestral sampling of the published dependency graph. Which depends on which is the "
            "authors'; the probabilities are this project's own and no claim about people. Situations act "
            "through the fourteen published groups, not one by one"
        )
        self._seed = seed

    def make(self, situations: np.ndarray) -> MadeProfiles:
        """Return a profile for each situation; the first ones are the same whatever their number is."""
        codes = self.tables.sample(situations, np.random.default_rng(self._seed))
        return MadeProfiles(codes, np.ones(len(codes), dtype=bool), Counter())


@settings
class ModelProfilesSettings(CachedModelSettings):
    """The endpoint of the model that makes profiles, how they are drawn, what they may take."""

    attempts: Count = Field(default=5, description="times that a profile is asked for")
    temperature: Temperature = 1.0
    max_output_tokens: MaybeCount = 600
    timeout_s: Seconds = 120.0
    place: str = "profiles"


class ModelProfiles(CachedModel):
    """A model at an OpenAI-compatible endpoint that makes profiles of printed values, under the six rules.

    One request for each person and attempt; replies are cached. A profile with another value, or that breaks
    a rule about single people, is thrown out and asked for again; who has none after `attempts` is left out.
    Rules that compare shares are told to the model, and counted over all in the end.
    Parameters are the fields of `ModelProfilesSettings`, by keyword; raises as `CachedModel`.
    """

    @takes(ModelProfilesSettings)
    def __init__(self, settings: ModelProfilesSettings) -> None:
        self.origin = f"by the model {settings.model}, of printed values and under the six published rules"
        super().__init__(settings)
        self._attempts = settings.attempts

    def make(self, situations: np.ndarray) -> MadeProfiles:
        """Return a profile for each situation.

        Raises
        ------
        EndpointError, LimitReached
            the endpoint cannot work, or a limit is used up.
        """
        thrown_out, codes = Counter[str](), np.full((len(situations), len(published_values())), -1, np.int8)
        with ThreadPoolExecutor(self.limits.max_in_flight) as pool:
            made = pool.map(self._one, range(len(situations)), situations.tolist())
            for i, (row, reasons) in enumerate(made):
                thrown_out += reasons
                if row is not None:
                    codes[i] = row
        return MadeProfiles(codes, codes[:, 0] >= 0, thrown_out)

    def cost(self, number: int, situation: int) -> RequestCost:
        """Return what one profile takes; nothing is sent."""
        return request_cost(self.client, self._request(number, situation, 0), float(_PROFILE_TOKENS))

    def _one(self, number: int, situation: int) -> tuple[np.ndarray | None, Counter[str]]:
        reasons, domain = Counter[str](), situation_groups()[situation][2]
        for attempt in range(self._attempts):
            reply = self.client.complete_object(self._request(number, situation, attempt), _unreadable)
            found = None if reply.reason is not None else json_object(reply.text)
            row, broken = checked_profile(found or {}, domain)
            if row is not None:
                return row, reasons
            reasons.update(broken)
        return None, reasons

    def _request(self, number: int, situation: int, attempt: int) -> ChatRequest:
        schema = published_values()
        parts = {
            "values": "\n".join(f"{name}: {', '.join(value_names(name))}" for name in schema.names),
            "situation": prompting.one_line(situation_groups()[situation][0], 100),
            "number": str(number + 1),
        }
        form: dict[str, Any] = {
            name: {"type": "string", "enum": list(value_names(name))} for name in schema.names
        }
        return self._sampling.request(
            prompting.messages_of(PROMPT, parts),
            schema=object_schema(**form),
            sample=number * _ATTEMPTS + attempt,
        )


def checked_profile(found: Mapping[str, Any], domain: str) -> tuple[np.ndarray | None, list[str]]:
    """Return int8[10] printed values of a profile that keeps all constraints on one person, or why not."""
    names = published_values().names
    off = [name for name in names if found.get(name) not in value_names(name)]
    if off:
        return None, [f"profile: {name} is no printed value" for name in off]
    row = np.array([value_names(name).index(found[name]) for name in names], dtype=np.int8)
    rules = check_rules(row[None], np.array([domain]))
    broken = [f"profile: rule {r.rule}" for r in rules if isinstance(r, RuleCount) and not r.holds]
    return (None, broken) if broken else (row, [])


def _unreadable(reply: ModelReply) -> str | None:
    return None if json_object(reply.text) is not None else "reply"
