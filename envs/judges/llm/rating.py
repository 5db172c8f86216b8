"""Make one judge call: ask the target model for a response and the judge model to rate it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.errors import UserError
from envs.judges.llm import prompting
from envs.judges.llm.settings import Rating, Target
from envs.judges.llm.verdicts import SCHEMA, expected_score, plain_score, read_verdict
from envs.judges.protocol import Score
from envs.llm import ChatRequest, Client, Reply
from envs.llm.costs import BYTES_A_TOKEN, RequestCost, request_cost
from envs.llm.endpoint import SchemaRefused
from envs.scenario import Scenario

TOP_LOGPROBS = 20
"""Alternatives asked for where a rating stands; the most that OpenAI gives."""


RESPONSE_TOKENS, VERDICT_TOKENS = 250, 40
"""What a response (at most 180 words are asked for) and a verdict have on average; for estimates alone."""


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
        # What auto found out: True = schemas, False = text, None = not asked yet.
        self._schema = {"auto": None, "json_schema": True, "text": False}[rating.output]

    def with_clients(self, client: Client, target_client: Client) -> Rater:
        """Return the same rater over other clients; what `auto` found out stays known."""
        rater = Rater(client, target_client, self.rating, self.target)
        rater._schema = self._schema
        return rater

    def costs(self, scenario: Scenario, names: Sequence[str]) -> list[RequestCost]:
        """Return the requests of one judge call of the context `names`, sending nothing."""
        if self.rating.mode == "direct":
            return [self._rating_cost(scenario, names, None)]
        writing = request_cost(self.target_client, self._writing(scenario, names, 0), RESPONSE_TOKENS)
        rated = [self._rating_cost(scenario, names, Reply("x" * size)) for size in _answer_sizes(writing)]
        most = rated[0]._replace(most_input_tokens=rated[1].most_input_tokens)
        return [writing, most]

    def _rating_cost(self, scenario: Scenario, names: Sequence[str], response: Reply | None) -> RequestCost:
        request = self._rating(self._parts(scenario, names, response), 0, self._schema is not False)
        return request_cost(self.client, request, VERDICT_TOKENS)

    async def opinion(self, scenario: Scenario, names: Sequence[str], sample: int) -> Opinion:
        """Rate the context `names`; `sample` is which look at it this is."""
        response: Reply | None = None
        if self.rating.mode == "response":
            look = sample if self.target.drawn else 0
            response = await self.target_client.reply(self._writing(scenario, names, look))
            if response.reason is not None:
                score = Score(reason=f"target: {response.reason}")
                return _opinion(names, sample, score, math.nan, response, None)
        parts = self._parts(scenario, names, response)
        look = sample if self.rating.drawn else 0
        if self._schema is None and self._known_to_have_none(parts, look):
            self._schema = False
        as_json = self._schema is not False
        if as_json:
            try:
                verdict = await self.client.reply(self._rating(parts, look, True), self._unusable_json)
                self._schema = True
            except SchemaRefused:
                if self.rating.output != "auto":
                    raise
                self._schema = as_json = False
        if not as_json:
            verdict = await self.client.reply(self._rating(parts, look, False), self._unusable_lines)
        score, mass = self._score(verdict, as_json)
        return _opinion(names, sample, score, mass, response, verdict)

    def _writing(self, scenario: Scenario, names: Sequence[str], look: int) -> ChatRequest:
        parts = {
            "query": prompting.query_block(scenario),
            "known": prompting.attributes_block("known", scenario, names),
        }
        target = self.target
        return ChatRequest(
            prompting.messages("target", parts),
            target.temperature,
            target.top_p,
            target.max_output_tokens,
            sample=look,
            seeded=self.rating.send_seed,
        )

    def _parts(self, scenario: Scenario, names: Sequence[str], response: Reply | None) -> dict[str, str]:
        everything = prompting.known_names(scenario)
        parts = {
            "query": prompting.query_block(scenario),
            "profile": prompting.attributes_block("profile", scenario, everything),
            "rubric": prompting.template("rubric").strip(),
        }
        if response is None:
            parts["known"] = prompting.attributes_block("known", scenario, names)
        else:
            parts["answer"] = prompting.answer_block(response.text)
        return parts

    def _unusable_json(self, reply: Reply) -> str | None:
        return self._score(reply, True)[0].reason

    def _unusable_lines(self, reply: Reply) -> str | None:
        return self._score(reply, False)[0].reason

    def _known_to_have_none(self, parts: dict[str, str], look: int) -> bool:
        """Tell whether an earlier run found no schemas: then nothing need be sent to find out again."""
        by_schema, by_lines = (self._rating(parts, look, as_json) for as_json in (True, False))
        return not self.client.has(by_schema) and self.client.has(by_lines)

    def _rating(self, parts: dict[str, str], look: int, as_json: bool) -> ChatRequest:
        form = prompting.template("format_json" if as_json else "format_text").strip()
        rating = self.rating
        return ChatRequest(
            prompting.messages(rating.mode, {**parts, "format": form}),
            rating.temperature,
            rating.top_p,
            rating.max_output_tokens,
            SCHEMA if as_json else None,
            TOP_LOGPROBS if rating.scoring == "expected" else 0,
            look,
            rating.send_seed,
        )

    def _score(self, reply: Reply, as_json: bool) -> tuple[Score, float]:
        if reply.reason is not None:
            return Score(reason=reply.reason), math.nan
        verdict = read_verdict(reply.text, as_json)
        if verdict is None:
            return Score(reason="parse"), math.nan
        if self.rating.scoring == "sampled":
            return plain_score(verdict), math.nan
        return expected_score(verdict, reply.text, reply.tokens or (), self.rating.min_mass)


def _answer_sizes(writing: RequestCost) -> tuple[int, int]:
    """Return characters of a response as expected and at most, as far as it gets into the judge's prompt."""
    sizes = (writing.output_tokens * BYTES_A_TOKEN, writing.most_output_tokens * BYTES_A_TOKEN)
    return int(sizes[0]), int(min(sizes[1], prompting.MAX_ANSWER))


def _opinion(
    names: Sequence[str],
    sample: int,
    score: Score,
    mass: float,
    response: Reply | None,
    verdict: Reply | None,
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
    text = "".join(json.dumps(_without_nan(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
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


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return value
