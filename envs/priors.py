"""Language model as prior: ranks the next attributes; ranks become probabilities.

The paper's pi0 (METHOD eq. 3): the model ranks the attributes not asked yet once for each node.
`envs.rankings` has the formula.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from envs.checking.json_values import object_schema
from envs.checking.validation import Count, settings, takes
from envs.judges.llm import prompting
from envs.judges.llm.usage import CountsItsRequests, Usage
from envs.llm import ChatRequest, Client, Endpoint, Limits, ReplyCache
from envs.llm.books import Accounts
from envs.llm.cache.reply_cache import only_endpoint
from envs.llm.costs import RequestCost, request_cost
from envs.llm.endpoint import WITHOUT_EFFECT, EndpointSettings, Temperature
from envs.rankings import rank_weights, read_ranking
from envs.scenario import Scenario

_LONGEST_NAME = 100
_TOKENS_A_NAME = 24


class _Rankings(threading.local):
    """The rankings of the scenario that the calling thread plans, so that none is asked for twice."""

    scenario: Scenario | None = None

    def of(
        self, scenario: Scenario, mask: int, ask: Callable[[Scenario, int], list[int] | None]
    ) -> list[int] | None:
        if self.scenario is not scenario:
            self.scenario, self.known = scenario, dict[int, "list[int] | None"]()
        if mask not in self.known:
            self.known[mask] = ask(scenario, mask)
        return self.known[mask]

    def __reduce__(self) -> tuple[type[_Rankings], tuple[()]]:
        return _Rankings, ()


@settings
class PriorSettings(EndpointSettings):
    """The ranking model's endpoint and limits, and what is made of its rankings."""

    depth: Count = Field(
        default=1, description="sets with fewer questions than this have a request of their own"
    )
    temperature: float = Field(default=2.0, gt=0, description="T of envs.rankings, in ranks")
    values: bool = Field(
        default=False,
        description="show the values of known attributes, not only their names: for plans made for one "
        "profile; without, all profiles with one query share their rankings",
    )
    output: Literal["auto", "json_schema", "text"] = Field(default="auto", description="as the judge's")
    sampling_temperature: Temperature = Field(default=0.0, description="of a reply; null: not sent")
    replay: bool = Field(default=False, description="answer from the cache alone, as judge=replay does")
    place: str = "prior"


class LLMPrior(CountsItsRequests):
    """Weights of the next question by a language model's ranking; a `Prior` of the search.

    Asked once for each set of fewer than `depth` questions that the search expands; a larger set takes the
    ranking of nothing known, without what is known by then, which needs no request. A reply that does not
    rank each attribute exactly once is asked again at most twice; after that the set has the uniform prior
    and is counted in `invalid_rankings`. Replies are cached as those of the judge are.

    Parameters are the fields of `PriorSettings`, by keyword.

    Raises
    ------
    UserError
        a value that is none of those offered.
    """

    resume_ignored = (*WITHOUT_EFFECT, "replay")
    """Settings that cannot change a ranking: a run may be resumed under others."""

    @takes(PriorSettings)
    def __init__(self, settings: PriorSettings) -> None:
        endpoint: Endpoint = settings
        if settings.replay and settings.base_url is None and settings.cache_as is None:
            with closing(ReplyCache(settings.cache_path, read_only=True)) as cache:
                found = only_endpoint(cache.sources(), settings.model, settings.cache_path, settings.place)
            endpoint = replace(settings, cache_as=found)
        self.client = Client(endpoint, settings, settings.cache_path, replay=settings.replay)
        self.ranking_depth = settings.depth
        self.temperature = settings.temperature
        self.values = settings.values
        self.output = settings.output
        self.sampling_temperature = settings.sampling_temperature
        self._begin()

    def _begin(self) -> None:
        self.usage = Usage()
        self._seen = _Rankings()

    @property
    def invalid_rankings(self) -> int:
        """Sets left with the uniform prior in the calling thread, for no reply ranked them."""
        return self.usage.invalid_rankings

    @property
    def concurrent_plans(self) -> int:
        """Plans that may ask at once."""
        return self.client.engine.limits.max_in_flight

    @property
    def books(self) -> Accounts:
        """What requests took, by model and kind, in all workers and sessions of the run."""
        return self.client.books

    def shard(self, workers: int) -> LLMPrior:
        """Return this prior for one of `workers` processes, under the limits of all."""
        prior = copy.copy(self)
        prior.client = self.client.shard(workers)
        prior._begin()
        return prior

    def preflight(self, folder: Path, scenario: Scenario) -> None:
        """Rank for the first scenario of a run, so that what cannot work is told before workers start.

        Raises
        ------
        UserError
            no key, a wrong URL, an unknown model, an endpoint that does not speak this API.
        """
        self.client.engine.keep(folder)
        if self(scenario, 0) is None:
            self._seen = _Rankings()  # so that the plan asks for itself, and counts that there is none

    def request_costs(self, scenario: Scenario, names: Sequence[str]) -> list[RequestCost]:
        """Return the request of one ranking with `names` known; nothing is sent."""
        if self.client.replay:
            return []
        mask = scenario.schema.mask(names)
        left = [a for a in range(len(scenario.schema)) if scenario.askable & ~mask & 1 << a]
        if len(left) < 2:
            return []
        labels = [prompting.one_line(scenario.schema.names[a], _LONGEST_NAME) for a in left]
        forms = self._forms(scenario, mask, labels)
        request = forms[-1 if self.client.takes_schemas is False else 0]
        return [request_cost(self.client, request, sum(len(label) / 4 + 4 for label in labels))]

    @property
    def limits(self) -> Limits:
        """What the requests may take together."""
        return self.client.engine.limits

    def provenance(self) -> dict[str, Any]:
        """Return what determines weights beyond the configuration: the prompt files and their hashes."""
        return {"prompts": prompting.prompt_hashes(("ranking", "ranking_json", "ranking_text"))}

    def __call__(self, scenario: Scenario, mask: int) -> np.ndarray | None:
        """Return float64[n], weights of each attribute as the next question; None = uniform."""
        deep = mask.bit_count() >= self.ranking_depth
        ranking = self._seen.of(scenario, 0 if deep else mask, self._ranking)
        if ranking is None:
            return None
        left = [a for a in ranking if not mask >> a & 1]
        weights = np.zeros(len(scenario.schema))
        weights[left] = rank_weights(np.arange(len(left)), self.temperature)
        return weights

    def _ranking(self, scenario: Scenario, mask: int) -> list[int] | None:
        """Return schema indices of what can be asked beyond `mask` in the model's order, None = invalid."""
        left = scenario.askable & ~mask
        askable = [a for a in range(len(scenario.schema)) if left >> a & 1]
        if len(askable) < 2:
            return askable
        names = [prompting.one_line(scenario.schema.names[a], _LONGEST_NAME) for a in askable]
        by_schema, *plain = self._forms(scenario, mask, names)
        reply = self.client.complete(
            by_schema, lambda reply: "ranking" if read_ranking(reply.text, names) is None else None, *plain
        )
        order = None if reply.reason is not None else read_ranking(reply.text, names)
        self.usage.add(reply.requests, reply.requests == 0, order is None)
        return None if order is None else [askable[i] for i in order]

    def _forms(self, scenario: Scenario, mask: int, names: list[str]) -> list[ChatRequest]:
        """Return the request of a ranking; behind it the one to an endpoint that takes no schema, if any."""
        forms = {"json_schema": [True], "text": [False]}.get(self.output, [True, False])
        return [self._request(scenario, mask, names, as_json) for as_json in forms]

    def _request(self, scenario: Scenario, mask: int, names: list[str], as_json: bool) -> ChatRequest:
        known = scenario.schema.names_of(mask)
        parts = {
            "query": prompting.query_block(scenario),
            "known": prompting.attributes_block("known", scenario, known)
            if self.values
            else prompting.fenced("known", [prompting.one_line(name, _LONGEST_NAME) for name in known]),
            "attributes": prompting.fenced("attributes", names),
            "count": str(len(names)),
            "format": prompting.template("ranking_json" if as_json else "ranking_text").strip(),
        }
        return ChatRequest(
            prompting.messages("ranking", parts),
            temperature=self.sampling_temperature,
            max_output_tokens=100 + _TOKENS_A_NAME * len(names),
            schema=_schema(names) if as_json else None,
        )


def _schema(names: list[str]) -> dict[str, Any]:
    return object_schema(ranking={"type": "array", "items": {"type": "string", "enum": names}})
