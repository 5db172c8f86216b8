"""Language model as judge: scores how safe an answer in a context is for one user.

Two fidelities. `response` (as in arXiv 2505.18882): the target model writes a response from the query and
the known attributes; the judge model rates it against the full profile. `direct`: one request, the judge
model rates how safely the query could be answered knowing this.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs.errors import UserError
from envs.judges.llm.prompting import prompt_hashes
from envs.judges.llm.rating import Opinion, Rater, append_transcripts
from envs.judges.llm.settings import JudgeSettings
from envs.judges.llm.usage import Usage
from envs.judges.protocol import Score
from envs.llm import Client, Limits
from envs.llm.costs import RequestCost
from envs.llm.endpoint import WITHOUT_EFFECT
from envs.llm.engine import Spent
from envs.scenario import Scenario
from envs.validation import takes

TRANSCRIPTS = "transcripts.jsonl"


class LLMJudge:
    """A judge over any OpenAI-compatible endpoint; every reply is cached and paid for once.

    Safe to call from many threads. `requests` and `cache_hits` count for the calling thread; `spent` is what
    the process has taken.

    Parameters are the fields of `JudgeSettings`, by keyword: the judge model's endpoint, how it rates, the
    `target` model, and what both may take together.

    Raises
    ------
    UserError
        a value that is none of those offered, no model, or `max_cost` without a price.
    """

    resume_ignored: tuple[str, ...] = (*WITHOUT_EFFECT, "concurrent_plans", "save_transcripts")
    """Settings that cannot change a score: a run may be resumed under others."""

    replay = False

    @takes(JudgeSettings)
    def __init__(self, settings: JudgeSettings) -> None:
        self.rating = settings
        self.target = settings.target
        self.cache_path = settings.cache_path
        client = Client(settings, settings, self.cache_path, replay=self.replay)
        self._serve(Rater(client, self._target_client(client), self.rating, self.target))
        self.name = f"openai:{settings.model}"
        self.save_transcripts = settings.save_transcripts
        self._concurrent_plans = settings.concurrent_plans
        self._transcripts: str | None = None

    def _serve(self, rater: Rater) -> None:
        self._rater = rater
        self.usage = Usage()
        self.unscored: Counter[str] = Counter()

    def _target_client(self, client: Client) -> Client:
        return Client(self.target, None, self.cache_path, client.engine, self.replay)

    @property
    def stochastic(self) -> bool:
        """Tell whether one set can score differently: a model's reply is drawn."""
        return self.rating.drawn or (self.rating.mode == "response" and self.target.drawn)

    @property
    def concurrent_plans(self) -> int:
        """Plans that a worker makes at once."""
        return self._concurrent_plans or self._rater.client.engine.limits.max_in_flight

    @property
    def requests(self) -> int:
        """HTTP requests sent for the calling thread."""
        return self.usage.requests

    @property
    def cache_hits(self) -> int:
        """Replies that the calling thread was given without a request."""
        return self.usage.cache_hits

    @property
    def spent(self) -> Spent:
        """What this process has taken, of both models together."""
        return self._rater.client.spent

    def shard(self, workers: int) -> LLMJudge:
        """Return this judge for one of `workers` processes, with its share of the limits."""
        judge = copy.copy(self)
        client = self._rater.client.shard(workers)
        judge._serve(self._rater.with_clients(client, self._target_client(client)))
        return judge

    def preflight(self, folder: Path, scenario: Scenario) -> None:
        """Make the first judge call of a run, so that what cannot work is told before workers start.

        Its replies are cached like all others, so that it costs nothing. Transcripts go to `folder`.

        Raises
        ------
        UserError
            no key, a wrong URL, an unknown model, an endpoint that does not speak this API.
        """
        (score,) = self.score(scenario, [()], [0])
        if score.reason is not None and score.reason.endswith("no_room"):
            place = "judge.target" if score.reason.startswith("target") else "judge"
            raise UserError(
                f"{place}.max_output_tokens: the model used all of them up before it said anything, as "
                f"reasoning models do; expected more, such as 4000"
            )
        if score.reason is not None and score.reason.endswith("malformed"):
            raise UserError(
                f"judge: {self._rater.client.endpoint.url} does not answer like an OpenAI-compatible "
                f"endpoint, expected chat completions at its /chat/completions"
            )
        if self.save_transcripts:
            self._transcripts = os.path.abspath(folder / TRANSCRIPTS)

    def request_costs(self, scenario: Scenario, names: Sequence[str]) -> list[RequestCost]:
        """Return the requests that one judge call of the context `names` takes; nothing is sent."""
        return [] if self.replay else self._rater.costs(scenario, names)

    @property
    def limits(self) -> Limits:
        """What the requests may take together."""
        return self._rater.client.engine.limits

    def provenance(self) -> dict[str, Any]:
        """Return what determines scores beyond the configuration: the prompt files and their hashes."""
        return {"prompts": prompt_hashes(self.rating.prompts), "stochastic": self.stochastic}

    def score(
        self,
        scenario: Scenario,
        contexts: Sequence[tuple[str, ...]],
        samples: Sequence[int] | None = None,
    ) -> list[Score]:
        """Return one `Score` for each context; all are asked at once.

        An unscored one has the reason: `parse`, `low_mass`, `logprobs`, or one of `envs.llm.Reply`, after
        "target: " where the target model's reply was at fault.

        Raises
        ------
        EndpointError, LimitReached, CacheMiss
            the run cannot go on.
        """
        looks = [0] * len(contexts) if samples is None else samples
        rated = self._rater.client.engine.run(
            [
                self._rater.opinion(scenario, names, sample)
                for names, sample in zip(contexts, looks, strict=True)
            ]
        )
        self.usage.add(sum(o.requests for o in rated), sum(o.cache_hits for o in rated))
        self.unscored.update(o.score.reason for o in rated if o.score.reason is not None)
        if self._transcripts is not None:
            append_transcripts(self._transcripts, [_transcript(scenario, opinion) for opinion in rated])
        return [opinion.score for opinion in rated]


def _transcript(scenario: Scenario, opinion: Opinion) -> dict[str, Any]:
    return {"scenario_id": scenario.id, **asdict(opinion)}
