"""Send requests over HTTP with the `openai` package; retry, adapt, classify answers."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import openai

from envs.llm import refusals
from envs.llm.costs import Price
from envs.llm.endpoint import Endpoint, EndpointDown, EndpointError
from envs.llm.engine import Engine
from envs.llm.messages import ChatRequest, Reply
from envs.llm.replies import billed_tokens, read_embeddings, read_reply

CONNECT_S = 3.0
"""Seconds to open a connection: a wrong URL is told within five."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
UNANSWERED_RETRIES = 2
"""Repetitions of a dropped request to an endpoint that has answered nothing yet: it may be none."""
DOWN_AFTER = 3
"""Requests in a row that fail with all their repetitions before the endpoint counts as down."""
_UNANSWERED = ("ConnectError", "ConnectTimeout")
_LIMITS = ("max_tokens", "max_completion_tokens")
_FILTERED = '{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}'
AT_ONCE = -1.0
"""Instead of seconds to wait: the body was changed, and sending it is no repetition."""


class Connection:
    """Connections of one process to one endpoint; used on the engine's loop alone."""

    def __init__(self, endpoint: Endpoint, engine: Engine, price: Price | None) -> None:
        self.endpoint = endpoint
        self.engine = engine
        self.price = price
        self._client = make_client(endpoint)
        self._answered = False
        self._failed_in_a_row = 0
        # OpenAI's newer models take the new name alone, many servers only know the old one.
        own = endpoint.api == "azure" or f".{urlsplit(endpoint.url).hostname}".endswith(".api.openai.com")
        self._limit = _LIMITS[own]
        self._limit_changed = False
        self._left_out: set[str] = set()
        self._system = True

    async def chat(self, request: ChatRequest, attempt: int, key: str) -> Reply:
        """Send one chat completion; `attempt` counts earlier replies to it that could not be used.

        Raises
        ------
        EndpointError, LimitReached
            what no repetition mends; `EndpointDown` after `DOWN_AFTER` requests that failed for good.
        """
        body = self._chat_body(request, attempt)
        text, sent = await self._sent("/chat/completions", body, f"{key}/{attempt}")
        if text is None:
            return Reply("", reason="unavailable", requests=sent)
        counts = billed_tokens(text, body)
        reply = read_reply(text, request.top_logprobs > 0, self.endpoint.place)
        return replace(reply, input_tokens=counts[0], output_tokens=counts[1], requests=sent)

    async def embeddings(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32[len(texts), D]."""
        body: dict[str, Any] = {"model": self.endpoint.model, "input": list(texts)}
        body["encoding_format"] = "float"
        key = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        text, _ = await self._sent("/embeddings", body, key)
        found = None if text is None else read_embeddings(text, len(texts))
        if found is None:
            raise EndpointError(f"{self._where}: gave no embeddings for {len(texts)} texts")
        return found

    async def _sent(self, path: str, body: dict[str, Any], key: str) -> tuple[str | None, int]:
        """Return (body of a 2xx answer, None when every repetition failed; requests sent)."""
        sent = failed = 0
        while failed <= self._retries:
            async with self.engine.slots:
                text, wait = await self._once(path, body)
            sent += 1
            if wait is None:
                self._failed_in_a_row = 0
                return text, sent
            if wait == AT_ONCE:
                continue
            failed += 1
            if failed <= self._retries:
                await asyncio.sleep(pause(failed - 1, wait, key))
        if not self._answered and failed > UNANSWERED_RETRIES:
            raise EndpointDown(
                f"{self._where}: {failed} connections to {self.endpoint.url} were dropped and nothing was "
                f"answered, expected the base_url of an OpenAI-compatible endpoint"
            )
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= DOWN_AFTER:
            raise EndpointDown(
                f"{self._where}: {DOWN_AFTER} requests in a row failed with all {self.endpoint.max_retries} "
                f"repetitions; what was paid for is saved, resume=true goes on from there"
            )
        return None, sent

    async def _once(self, path: str, body: dict[str, Any]) -> tuple[str, float | None]:
        """Send once. Return (body, None), or ("", seconds to wait at least) where a repetition may help.

        ("", `AT_ONCE`): the endpoint refused a parameter that can be left out, and `body` has it no more.
        """
        meter = self.engine.meter
        meter.begin()
        tokens = (0, 0)
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                # The package's typed methods walk through every field of a body that is plain data already,
                # and make objects of replies that need not fit; text is cheaper, and read without trust.
                text = await self._client.post(path, cast_to=str, body=body)
            self._answered = True
            tokens = billed_tokens(text, body)
            return text, None
        except TimeoutError:
            self._answered = True  # not yet, but somebody listens
            return "", 0.0
        except openai.APIStatusError as error:
            self._answered = True
            return self._judged(error, body)
        except openai.APIConnectionError as error:
            self._answered |= type(error.__cause__).__name__ == "ReadTimeout"
            found = None if self._answered else _no_endpoint(error.__cause__)
            if found:
                raise EndpointDown(
                    f"{self._where}: {found} at {self.endpoint.url}, "
                    f"expected the base_url of an OpenAI-compatible endpoint"
                ) from None
            return "", 0.0
        finally:
            meter.end(*tokens, 0.0 if self.price is None else self.price.of(*tokens))

    def _judged(self, error: openai.APIStatusError, body: dict[str, Any]) -> tuple[str, float | None]:
        """Return what `_once` does; raise where neither a repetition nor another body helps."""
        if refusals.is_filtered(error):
            return _FILTERED, None
        if refusals.takes_no_system(error) and body.get("messages") != _merged(body.get("messages", [])):
            body["messages"], self._system = _merged(body["messages"]), False
            return "", AT_ONCE
        if refusals.may_pass_later(error):
            return "", retry_after(error.response.headers)
        if self._adapted(refusals.parameter_not_taken(error), body):
            return "", AT_ONCE
        raise refusals.final(error, self.endpoint) from None

    def _adapted(self, name: str, body: dict[str, Any]) -> bool:
        """Send from now on what means the same without the parameter `name`; False where nothing does.

        Reasoning models take `max_completion_tokens` alone and many servers only the older `max_tokens`; a
        temperature or top_p of 1 is the default; a seed changes no distribution, and replies are kept.
        """
        if name not in body or name in self.endpoint.extra_body:
            return False
        if name in _LIMITS:
            if name == self._limit:
                if self._limit_changed:
                    return False
                self._limit, self._limit_changed = next(n for n in _LIMITS if n != name), True
            body[self._limit] = body.pop(name)
            return True
        if name == "seed" or (name in ("temperature", "top_p") and body[name] == 1):
            self._left_out.add(name)
            del body[name]
            return True
        return False

    @property
    def _retries(self) -> int:
        most = self.endpoint.max_retries
        return most if self._answered else min(most, UNANSWERED_RETRIES)

    @property
    def _where(self) -> str:
        return f"{self.endpoint.place}: model {self.endpoint.model}"

    def _chat_body(self, request: ChatRequest, attempt: int) -> dict[str, Any]:
        endpoint = self.endpoint
        body: dict[str, Any] = {
            "model": endpoint.model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
        }
        if not self._system:
            body["messages"] = _merged(body["messages"])
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.max_output_tokens is not None:
            body[self._limit] = request.max_output_tokens
        if request.schema is not None:
            shape = {"name": "verdict", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.seeded:
            body["seed"] = request.seed(endpoint.model, attempt)
        for name in self._left_out:
            if name == "seed" or body.get(name) == 1:
                body.pop(name, None)
        if endpoint.extra_body:
            body |= endpoint.extra_body
        return body


def _merged(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return `messages` with a system message at the head of the user's, for models that know none."""
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    text = "\n\n".join(message["content"] for message in messages[:2])
    return [{"role": messages[1]["role"], "content": text}, *messages[2:]]


def make_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """Return the package's client of `endpoint`; it repeats nothing by itself."""
    for name in ("httpx", "httpx2"):
        # A line for each request at level INFO, which a run's root logger would print.
        logging.getLogger(name).setLevel(logging.WARNING)
    timeout = openai.Timeout(endpoint.timeout_s, connect=min(CONNECT_S, endpoint.timeout_s))
    headers = endpoint.sent_headers()
    if endpoint.api == "azure":
        endpoint.check_api_version()
        return openai.AsyncAzureOpenAI(
            azure_endpoint=endpoint.url,
            # The package takes a token of Entra ID from the environment, in place of a key.
            api_key=None if os.environ.get("AZURE_OPENAI_AD_TOKEN") else endpoint.key(),
            api_version=endpoint.api_version,
            timeout=timeout,
            max_retries=0,
            default_headers=headers,
        )
    return openai.AsyncOpenAI(
        base_url=endpoint.url, api_key=endpoint.key(), timeout=timeout, max_retries=0, default_headers=headers
    )


def _no_endpoint(cause: BaseException | None) -> str:
    """Return what a first connection found instead of an endpoint, "" where it may have been an accident."""
    if type(cause).__name__ in _UNANSWERED:
        return (
            "no TLS connection (its certificate, or it is http)" if "SSL" in str(cause) else "nothing answers"
        )
    garbled = type(cause).__name__ == "RemoteProtocolError" and "illegal" in str(cause)
    return "something that does not speak HTTP answers" if garbled else ""


def pause(retry: int, at_least: float, key: str) -> float:
    """Return seconds to wait: 0.5 * 2^retry, at least what the server asked for, at most 60.

    The jitter of up to a half follows from `key` and `retry`: requests spread, and nothing random is shared.
    """
    digest = hashlib.sha256(f"{key}/{retry}".encode()).digest()
    jitter = int.from_bytes(digest[:4], "big") / 2**32
    backoff = FIRST_WAIT_S * 2**retry * (1.0 - 0.5 * jitter)
    return min(LONGEST_WAIT_S, max(backoff, at_least * (1.0 + 0.1 * jitter)))


def retry_after(headers: Any) -> float:
    """Return the seconds that `Retry-After` (or `retry-after-ms`) asks for, 0 where it says none."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) * unit
        except ValueError:
            continue
        return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
    try:
        then = parsedate_to_datetime(headers.get("retry-after", ""))
        now = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0
