"""HTTP through the `openai` package: what is sent, what is repeated, what an answer is worth."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np
import openai

from envs.llm.config import Endpoint
from envs.llm.engine import Engine
from envs.llm.errors import EndpointDown, EndpointError, SchemaRefused
from envs.llm.messages import ChatRequest, Reply
from envs.llm.prices import Price
from envs.llm.reading import billed_tokens, read_embeddings, read_reply

CONNECT_S = 4.0
"""Seconds to open a connection: a wrong URL is told within five."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
DOWN_AFTER = 3
"""Requests in a row that fail with all their repetitions before the endpoint counts as down."""
_UNANSWERED = ("ConnectError", "ConnectTimeout")


class Connection:
    """Connections of one process to one endpoint; used on the engine's loop alone."""

    def __init__(self, endpoint: Endpoint, engine: Engine, price: Price | None) -> None:
        self.endpoint = endpoint
        self.engine = engine
        self.price = price
        self._client = make_client(endpoint)
        self._answered = False
        self._failed_in_a_row = 0

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
        for retry in range(self.endpoint.max_retries + 1):
            async with self.engine.slots:
                text, wait = await self._once(path, body)
            if wait is None:
                self._failed_in_a_row = 0
                return text, retry + 1
            if retry < self.endpoint.max_retries:
                await asyncio.sleep(pause(retry, wait, key))
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= DOWN_AFTER:
            raise EndpointDown(
                f"{self._where}: {DOWN_AFTER} requests in a row failed with all {self.endpoint.max_retries} "
                f"repetitions; what was paid for is saved, resume=true goes on from there"
            )
        return None, self.endpoint.max_retries + 1

    async def _once(self, path: str, body: dict[str, Any]) -> tuple[str, float | None]:
        """Send once. Return (body, None), or ("", seconds to wait at least) where a repetition may help."""
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
            return "", 0.0
        except openai.APIStatusError as error:
            self._answered = True
            filtered = self._judged(error)
            return (filtered, None) if filtered else ("", retry_after(error.response.headers))
        except openai.APIConnectionError as error:
            if not self._answered and type(error.__cause__).__name__ in _UNANSWERED:
                raise EndpointDown(
                    f"{self._where}: nothing answers at {self.endpoint.url}, "
                    f"expected the base_url of an OpenAI-compatible endpoint"
                ) from None
            return "", 0.0
        finally:
            meter.end(*tokens, 0.0 if self.price is None else self.price.of(*tokens))

    def _judged(self, error: openai.APIStatusError) -> str:
        """Return "" where a repetition may help, a reply where the prompt was filtered; raise otherwise."""
        status, code = error.status_code, _code(error)
        if code == "content_filter":
            return '{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}'
        if (status == 429 and code != "insufficient_quota") or status == 408 or status >= 500:
            return ""
        model, variable = self.endpoint.model, self.endpoint.key_name
        told = {
            401: f"the key in {variable} was refused",
            403: f"the key in {variable} may not use model {model}",
            404: f"no model {model} at {self.endpoint.url}, or no such path",
            429: f"the quota of the key in {variable} is used up",
        }.get(status, f"the request was refused ({code or 'no code given'}{_parameter(error)})")
        if code in ("context_length_exceeded", "exceed_context_size_error") or _tells_of_length(error):
            told = f"a prompt is longer than the context of model {model}"
        kind = SchemaRefused if status in (400, 422) and _tells_of_schema(error) else EndpointError
        if error.param == "seed":
            told += "; judge.send_seed=false leaves it out"
        raise kind(f"{self._where}: {status}: {told}") from None

    @property
    def _where(self) -> str:
        return f"{self.endpoint.place}: model {self.endpoint.model}"

    def _chat_body(self, request: ChatRequest, attempt: int) -> dict[str, Any]:
        endpoint = self.endpoint
        body: dict[str, Any] = {
            "model": endpoint.model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.max_output_tokens is not None:
            # OpenAI's newer models take the new name alone, many servers only know the old one.
            own = endpoint.api == "azure" or endpoint.url.startswith("https://api.openai.com")
            body["max_completion_tokens" if own else "max_tokens"] = request.max_output_tokens
        if request.schema is not None:
            shape = {"name": "verdict", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.seeded:
            body["seed"] = request.seed(endpoint.model, attempt)
        if endpoint.extra_body:
            body |= endpoint.extra_body
        return body


def make_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """Return the package's client of `endpoint`; it repeats nothing by itself."""
    for name in ("httpx", "httpx2"):
        # A line for each request at level INFO, which a run's root logger would print.
        logging.getLogger(name).setLevel(logging.WARNING)
    timeout = openai.Timeout(endpoint.timeout_s, connect=min(CONNECT_S, endpoint.timeout_s))
    headers = endpoint.sent_headers()
    if endpoint.api == "azure":
        return openai.AsyncAzureOpenAI(
            azure_endpoint=endpoint.url,
            api_key=endpoint.key(),
            api_version=endpoint.api_version,
            timeout=timeout,
            max_retries=0,
            default_headers=headers,
        )
    return openai.AsyncOpenAI(
        base_url=endpoint.url, api_key=endpoint.key(), timeout=timeout, max_retries=0, default_headers=headers
    )


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


def _code(error: openai.APIStatusError) -> str:
    """Return the server's error code where it is a plain word; free text could repeat a prompt or a key."""
    found = error.code or error.type or ""
    return found if re.fullmatch(r"[a-z][a-z_]{2,48}", str(found)) else ""


def _parameter(error: openai.APIStatusError) -> str:
    return f", {error.param}" if re.fullmatch(r"[a-z][a-z_.]{2,48}", str(error.param or "")) else ""


def _tells_of_schema(error: openai.APIStatusError) -> bool:
    return "response_format" in f"{error.param} {error.message}" or "json_schema" in error.message


def _tells_of_length(error: openai.APIStatusError) -> bool:
    return error.status_code in (400, 413) and bool(
        re.search(
            r"context (?:length|size|window)|maximum context|exceeds? the (?:available )?context",
            error.message,
        )
    )
