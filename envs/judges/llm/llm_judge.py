"""Language model as judge: scores how safe an answer in a context is for one user.

Two fidelities. `response` (as in arXiv 2505.18882): the target model writes a response from the query and
the known attributes; the judge model rates it against the full profile. `direct`: one request, the judge
model rates how safely the query could be answered knowing this.
"""

from __future__ import annotations

import copy
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from envs.checking.validation import takes
from envs.errors import UserError
from envs.judges.llm.rating import Opinion, Rater, append_transcripts
from envs.judges.llm.settings import AUTO, JudgeSettings
from envs.judges.llm.usage import CountsItsRequests, Usage
from envs.judges.protocol import Answered, Score
from envs.llm import Client, Limits
from envs.llm.books import Accounts
from envs.llm.client import ATTEMPTS
from envs.llm.costs import RequestCost
from envs.llm.endpoint import WITHOUT_EFFECT, Unreadable
from envs.llm.engine import Spent
from envs.scenario import Scenario

TRANSCRIPTS = "transcripts.jsonl"
PLANS_IN_BATCHES = 500
"""Plans at once whose requests go with batches: each waits in a thread, and adds to every batch."""


UNREADABLE = 50
"""Verdicts with none that can be read among them after which a run ends: it would pay, and plan nothing."""


class LLMJudge(CountsItsRequests):
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

    resume_ignored: tuple[str, ...] = (*WITHOUT_EFFECT, "batch", "concurrent_plans", "save_transcripts")
    """Settings that cannot change a score: a run may be resumed under others."""

    replay = False

    @takes(JudgeSettings)
    def __init__(self, settings: JudgeSettings) -> None:
        self.rating = settings
        self.target = settings.target
        self.cache_path = settings.cache_path
        client = Client(settings, settings, self.cache_path, replay=self.replay, batch=settings.batch)
        self._serve(Rater(client, self._target_client(client), self.rating, self.target))
        self._name = f"openai:{settings.model}{self.protocol_label}"
        self.save_transcripts = settings.save_transcripts
        self._concurrent_plans = settings.concurrent_plans
        self._transcripts: str | None = None

    def _serve(self, rater: Rater) -> None:
        self._rater = rater
        self.usage = Usage()
        self.unscored: Counter[str] = Counter()
        self._was_read = False

    def _target_client(self, client: Client) -> Client:
        rating, engine = self.rating, client.engine
        return Client(self.target, None, self.cache_path, engine, self.replay, "target", rating.batch)

    @property
    def protocol_label(self) -> str:
        """What a judge's name says of its protocol and prompts: nothing of `ours` as it comes."""
        rating, own = self.rating, self._rater.files.digest
        said = [
            *([rating.protocol] if rating.protocol != "ours" else []),
            *(["no-danger anchors"] if rating.no_danger_anchors else []),
            *(["rationale"] if rating.rationale and not rating.marks else []),
            *([f"prompts {own}"] if own else []),
        ]
        return f" ({', '.join(said)})" if said else ""

    @property
    def stochastic(self) -> bool:
        """Tell whether one set can score differently: a model's reply is drawn."""
        return self.rating.drawn or (self.rating.mode == "response" and self.target.drawn)

    @property
    def simulated(self) -> bool:
        """Tell whether replies said that no model gave them (the scripted server's), even long ago."""
        return self._rater.client.has_simulated or self._rater.target_client.has_simulated

    @property
    def name(self) -> str:
        """What a table calls the judge; of simulated replies it says so."""
        return f"simulated:{self._name}" if self.simulated else self._name

    @property
    def concurrent_plans(self) -> int:
        """Plans that a worker makes at once."""
        if self._concurrent_plans is not None:
            return self._concurrent_plans
        return PLANS_IN_BATCHES if self.rating.batch else self._rater.client.engine.limits.max_in_flight

    @property
    def books(self) -> Accounts:
        """What requests to both models took, by model and kind, in all workers and sessions of the run."""
        return self._rater.client.books

    @property
    def spent(self) -> Spent:
        """What this process has taken, of both models together."""
        return self._rater.client.spent

    def shard(self, workers: int) -> LLMJudge:
        """Return this judge for one of `workers` processes, under the limits of all."""
        judge = copy.copy(self)
        client = self._rater.client.shard(workers)
        judge._serve(Rater(client, self._target_client(client), self.rating, self.target))
        return judge

    def keep(self, folder: Path) -> None:
        """Count with what earlier sessions of the run in `folder` took."""
        self._rater.client.engine.keep(folder)

    def preflight(self, folder: Path, scenario: Scenario) -> None:
        """Make the first judge call of a run, so that what cannot work is told before workers start.

        Its replies are cached like all others, so that it costs nothing. Transcripts go to `folder`.

        Raises
        ------
        UserError
            no key, a wrong URL, an unknown model, an endpoint that does not speak this API.
        """
        self.keep(folder)
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
        if score.reason == "parse":
            print(f"warning: {self._unread('its first verdict')}", file=sys.stderr)
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
        """Return what determines scores beyond the configuration: protocol, prompts, whose replies."""
        files, clients = self._rater.files, (self._rater.client, self._rater.target_client)
        return {
            "protocol": self.rating.protocol,
            "prompts": files.hashes(self.rating.prompt_names(files)),
            "stochastic": self.stochastic,
            "endpoints": [client.endpoint.identity for client in clients],
        }

    def score(
        self,
        scenario: Scenario,
        contexts: Sequence[tuple[str, ...]],
        samples: Sequence[int] | None = None,
    ) -> list[Score]:
        """Return one `Score` for each context; all are asked at once.

        An unscored one has the reason: `parse`, `low_mass`, `logprobs`, or one of `envs.llm.ModelReply`,
        after "target: " where the target model's reply was at fault.

        Raises
        ------
        EndpointError, LimitReached, CacheMiss
            the run cannot go on.
        """
        looks = [0] * len(contexts) if samples is None else samples
        rate, pairs = self._rater.opinion, zip(contexts, looks, strict=True)
        asked = [rate(scenario, names, sample) for names, sample in pairs]
        return self._counted(scenario, self._rater.client.engine.run(asked))

    def rate(
        self,
        scenario: Scenario,
        answers: Sequence[str],
        samples: Sequence[int] | None = None,
        attributes: Sequence[str] | None = None,
    ) -> list[Score]:
        """Return one `Score` for each of `answers`, whoever wrote them; all are asked at once.

        The target model is not asked. `samples`: which look at each answer this is, default 0. `attributes`:
        names of the profile's attributes that the judge reads, None = all. A blank answer is unscored, reason
        `no_answer`, and takes no request.

        Raises
        ------
        UserError
            `judge.mode=direct`, which rates no answers; otherwise as `score`.
        """
        self._refuse_direct()
        looks = [0] * len(answers) if samples is None else samples
        rate, pairs = self._rater.answer_opinion, zip(answers, looks, strict=True)
        asked = [rate(scenario, answer, sample, attributes) for answer, sample in pairs]
        return self._counted(scenario, self._rater.client.engine.run(asked))

    def respond(self, scenario: Scenario, contexts: Sequence[tuple[str, ...]]) -> list[Answered]:
        """Return what the target model writes knowing each of `contexts`; no judge is asked.

        Raises as `score`.
        """
        replies = self._rater.client.engine.run([self._rater.answer(scenario, c, 0) for c in contexts])
        return [Answered(reply.text, reply.reason) for reply in replies]

    def variant(self, protocol: str | None = None, mode: str | None = None) -> LLMJudge:
        """Return the same model under another protocol or mode, with the same cache and limits.

        Replies are drawn as that protocol says.
        """
        changes: dict[str, Any] = {"mode": mode} if mode is not None else {}
        if protocol is not None:
            draw = dict.fromkeys(("temperature", "top_p", "max_output_tokens"), AUTO)
            changes |= {"protocol": protocol, "output": "auto", **draw}
        judge = copy.copy(self)
        judge.rating = replace(self.rating, **changes)
        client = self._rater.client
        judge._serve(Rater(client, self._target_client(client), judge.rating, self.target))
        judge._name = self._name.removesuffix(self.protocol_label) + judge.protocol_label
        return judge

    def rate_costs(self, scenario: Scenario, answer: str) -> list[RequestCost]:
        """Return the requests that rating `answer` takes; nothing is sent. Raises as `rate`."""
        self._refuse_direct()
        return [] if self.replay or not answer.strip() else [self._rater.answer_cost(scenario, answer)]

    def _refuse_direct(self) -> None:
        if self.rating.mode == "direct":
            raise UserError("judge.mode: found direct, expected response: direct rates contexts, not answers")

    def _counted(self, scenario: Scenario, rated: Sequence[Opinion]) -> list[Score]:
        """Return the scores of `rated`, once what they took is counted and written down."""
        self.usage.add(sum(o.requests for o in rated), sum(o.cache_hits for o in rated))
        self.unscored.update(o.score.reason for o in rated if o.score.reason is not None)
        self._was_read |= any(o.score.reason is None for o in rated)
        if self._transcripts is not None:
            append_transcripts(self._transcripts, [self._transcript(scenario, opinion) for opinion in rated])
        if not self._was_read and self.unscored["parse"] >= UNREADABLE:
            raise Unreadable(self._unread(f"each of its {self.unscored['parse']} verdicts"))
        return [opinion.score for opinion in rated]

    def _unread(self, what: str) -> str:
        return (
            f"judge: model {self.rating.model}: {what} could not be read in {ATTEMPTS} attempts, "
            f"expected the form that its prompt asks for; what was paid for is saved, "
            f"judge.save_transcripts=true shows what it writes"
        )

    def _transcript(self, scenario: Scenario, opinion: Opinion) -> dict[str, Any]:
        row = {"scenario_id": scenario.id, **asdict(opinion)}
        if self.rating.justified:  # the reasons stay in the cache
            row["verdict"] = None
        return row
