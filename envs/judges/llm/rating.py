"""Make one judge call: ask the target model for a response and the judge model to rate it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from envs.checking.json_values import with_nulls
from envs.errors import UserError
from envs.judges.llm import prompting
from envs.judges.llm.prompt_files import PromptFiles
from envs.judges.llm.settings import AGAIN, Rating, Target
from envs.judges.protocol import Score
from envs.judges.verdicts.verdicts import (
    JUSTIFIED_SCHEMA,
    SCHEMA,
    expected_score,
    plain_score,
    read_justified,
    read_verdict,
)
from envs.llm import ChatRequest, Client, ModelReply
from envs.llm.costs import BYTES_A_TOKEN, RequestCost, request_cost
from envs.llm.messages import Again, Check
from envs.scenario import Scenario

TOP_LOGPROBS = 20
"""Alternatives asked for where a rating stands; the most that OpenAI gives."""


RESPONSE_TOKENS, VERDICT_TOKENS, REASONS_TOKENS = 250, 40, 120
"""What a response (at most 180 words are asked for), a verdict, and its reasons have on average; for
estimates alone."""


@dataclass(frozen=True)
class Opinion:
    """A judge call with everything that led to its score.

    `mass`: least probability on 1 to 5 of the three ratings, NaN with `scoring=sampled`. `response`,
    `verdict`: the models' replies, "" where there was none.
    """

    known: tuple[str, ...]
    sample: int
    score: Score
    mass: float
    response: str
    verdict: str
    requests: int
    cache_hits: int


class Rater:
    """Asks the two models. `client`: of the judge model; `target_client`: of the target model."""

    def __init__(self, client: Client, target_client: Client, rating: Rating, target: Target) -> None:
        self.client = client
        self.target_client = target_client
        self.rating = rating
        self.target = target
        self.files = rating.prompt_files()

    def costs(self, scenario: Scenario, names: Sequence[str]) -> list[RequestCost]:
        """Return the requests of one judge call of the context `names`, sending nothing."""
        if self.rating.mode == "direct":
            return [self._rating_cost(self._parts(scenario, names, None))]
        writing = request_cost(
            self.target_client, self._writing(scenario, names, 0), RESPONSE_TOKENS, may_wait=True
        )
        rated = [self.answer_cost(scenario, "x" * size) for size in _answer_sizes(writing)]
        most = rated[0]._replace(most_input_tokens=rated[1].most_input_tokens)
        return [writing, most]

    def answer_cost(self, scenario: Scenario, answer: str) -> RequestCost:
        """Return the one request that rating `answer` takes, sending nothing."""
        return self._rating_cost(self._parts(scenario, (), answer))

    def _rating_cost(self, parts: dict[str, str]) -> RequestCost:
        request, plain = self._forms(parts, 0)
        tokens = VERDICT_TOKENS + REASONS_TOKENS * self.rating.justified
        if plain is not None and self.client.takes_schemas is False:
            request = plain
        cost = request_cost(self.client, request, tokens, may_wait=True)
        if not self.rating.asks_again:
            return cost
        longest = min(cost.most_output_tokens, 2.0 * prompting.MAX_ANSWER)  # of a character up to four bytes
        more = request_cost(self.client, self._asked_again(request, ""), tokens)
        return cost._replace(most_input_tokens=more.most_input_tokens + longest)

    async def opinion(self, scenario: Scenario, names: Sequence[str], sample: int) -> Opinion:
        """Rate the context `names`; `sample` is which look at it this is."""
        response, said = None, None
        if self.rating.mode != "direct":
            response = await self.answer(scenario, names, sample)
            if response.reason is not None:
                score = Score(reason=f"target: {response.reason}")
                return _opinion(names, sample, score, math.nan, response, None)
            said = response.text
        verdict = await self.client.reply(*self._asking(self._parts(scenario, names, said), sample))
        return _opinion(names, sample, *self._score(verdict), response, verdict)

    async def answer(self, scenario: Scenario, names: Sequence[str], sample: int) -> ModelReply:
        """Return what the target model answers knowing `names`, which nobody rates."""
        look = sample if self.target.drawn else 0
        return await self.target_client.reply(self._writing(scenario, names, look))

    async def answer_opinion(
        self, scenario: Scenario, answer: str, sample: int, names: Sequence[str] | None
    ) -> Opinion:
        """Rate an answer written elsewhere, reading of the profile the attributes `names`, None = all."""
        if not answer.strip():
            return _opinion((), sample, Score(reason="no_answer"), math.nan, None, None)
        verdict = await self.client.reply(*self._asking(self._parts(scenario, (), answer, names), sample))
        return _opinion((), sample, *self._score(verdict), None, verdict)

    def _writing(self, scenario: Scenario, names: Sequence[str], look: int) -> ChatRequest:
        return self.target.request(
            target_messages(self.files, scenario, names),
            sample=look,
            seeded=self.rating.send_seed,
        )

    def _parts(
        self,
        scenario: Scenario,
        known: Sequence[str],
        answer: str | None,
        names: Sequence[str] | None = None,
    ) -> dict[str, str]:
        """Return what goes into a rating's prompt; the judge reads the attributes `names`, None = all."""
        present = prompting.known_names(scenario)
        read = present if names is None else [name for name in present if name in names]
        parts = {
            "query": prompting.query_block(scenario),
            "profile": prompting.attributes_block("profile", scenario, read),
            "rubric": self.files.rubric(),
        }
        if answer is None:
            parts["known"] = prompting.attributes_block("known", scenario, known)
        else:
            parts["answer"] = prompting.answer_block(answer)
        return parts

    def _asking(
        self, parts: dict[str, str], sample: int
    ) -> tuple[ChatRequest, Check, ChatRequest | None, Again | None]:
        """Return what `Client.reply` takes for a rating."""
        request, plain = self._forms(parts, sample)
        return request, self._unusable, plain, self._after if self.rating.asks_again else None

    def _after(self, request: ChatRequest, reply: ModelReply) -> ChatRequest:
        return self._asked_again(request, reply.text) if reply.reason == "parse" else request

    def _asked_again(self, request: ChatRequest, said: str) -> ChatRequest:
        """Return what is asked after a reply `said` whose verdict is not clear: it alone, in the form."""
        form = self.rating.form_files[request.schema is not None]
        wish = f"{self.files.text(AGAIN)}\n\n{self.files.text(form)}"
        said = prompting.neutral(said, prompting.MAX_ANSWER)
        return replace(request, messages=(*request.messages, ("assistant", said), ("user", wish)), shared=0)

    def _unusable(self, reply: ModelReply) -> str | None:
        return self._score(reply)[0].reason

    def _forms(self, parts: dict[str, str], sample: int) -> tuple[ChatRequest, ChatRequest | None]:
        """Return the request of a rating, and what is asked where an endpoint takes no schema."""
        look = sample if self.rating.drawn else 0
        by_schema, *plain = (self._rating(parts, look, as_json) for as_json in self.rating.form_files)
        return by_schema, plain[0] if plain else None

    def _rating(self, parts: dict[str, str], look: int, as_json: bool) -> ChatRequest:
        rating = self.rating
        schema = JUSTIFIED_SCHEMA if rating.justified else SCHEMA
        form = self.files.text(rating.form_files[as_json])
        messages = self.files.messages(rating.mode, {**parts, "format": form})
        return rating.request(
            messages,
            schema=schema if as_json else None,
            top_logprobs=TOP_LOGPROBS if rating.scoring == "expected" else 0,
            sample=look,
            seeded=rating.send_seed,
            takes_cut=rating.rules.takes_cut,
            shared=max(0, messages[-1][1].find(parts["known" if rating.mode == "direct" else "answer"])),
        )

    def _score(self, reply: ModelReply) -> tuple[Score, float]:
        if reply.reason is not None:
            return Score(reason=reply.reason), math.nan
        rating = self.rating
        if rating.justified:
            verdict = read_justified(reply.text, rating.parse, rating.marks)
        else:
            verdict = read_verdict(reply.text, rating.parse)
        if verdict is None:
            return Score(reason="parse"), math.nan
        if rating.scoring == "sampled":
            return plain_score(verdict), math.nan
        return expected_score(verdict, reply.text, reply.tokens or (), rating.min_mass)


def target_messages(
    files: PromptFiles, scenario: Scenario, names: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return the (role, content) pairs by which a target model is told the attributes `names` and answers."""
    parts = {
        "query": prompting.query_block(scenario),
        "known": prompting.attributes_block("known", scenario, names),
    }
    return files.messages("target" if names or not files.has("vanilla") else "vanilla", parts)


def _answer_sizes(writing: RequestCost) -> tuple[int, int]:
    """Return characters of a response as expected and at most, as far as it gets into the judge's prompt."""
    sizes = (writing.output_tokens * BYTES_A_TOKEN, writing.most_output_tokens * BYTES_A_TOKEN)
    return int(sizes[0]), int(min(sizes[1], prompting.MAX_ANSWER))


def _opinion(
    names: Sequence[str],
    sample: int,
    score: Score,
    mass: float,
    response: ModelReply | None,
    verdict: ModelReply | None,
) -> Opinion:
    replies = [reply for reply in (response, verdict) if reply is not None]
    return Opinion(
        tuple(names),
        sample,
        score,
        mass,
        "" if response is None else response.text,
        "" if verdict is None else verdict.text,
        sum(reply.requests for reply in replies),
        sum(reply.requests == 0 for reply in replies),
    )


def append_transcripts(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append `rows`; NaN becomes null.

    One write on a file opened for appending, so that threads and processes do not cut into each other.

    Raises
    ------
    UserError
        the file cannot be written.
    """
    text = "".join(json.dumps(with_nulls(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise UserError(
            f"transcripts {path}: {error.strerror}, expected a file that can be written"
        ) from None
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
