"""What is asked of an endpoint, and how its answer is taken: a completion, embeddings, a moderation."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from envs.llm.books import Tokens
from envs.llm.dialects.dialect import CHAT, Dialect
from envs.llm.messages import ChatRequest, ModelReply
from envs.llm.sending.replies import (
    billed_tokens,
    read_embeddings,
    read_moderation,
    read_reply,
    says_simulated,
)

FILTERED = '{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}'
"""The answer in place of an error by which a filter at the endpoint refuses a request."""

Answer_co = TypeVar("Answer_co", covariant=True)
Keep = Callable[[ModelReply], Awaitable[ModelReply]]
"""Stores a reply that came, and returns the one that is held."""


class Exchange(Protocol[Answer_co]):
    """One question to an endpoint. `path`: its route; `key`: what tells it from others."""

    @property
    def path(self) -> str: ...  # noqa: D102 - as above

    @property
    def key(self) -> str: ...  # noqa: D102 - as above

    def body(self, dialect: Dialect) -> dict[str, Any]:
        """Return what is sent, as the endpoint is known to take it by now."""
        ...

    async def take(self, text: str, body: Mapping[str, Any]) -> Answer_co:
        """Return what the answer `text` to `body` says; its request counts as under way until then."""
        ...


@dataclass(frozen=True)
class ChatExchange:
    """A chat completion.

    `attempt` counts earlier replies to it that could not be used; `place`: of the endpoint, for errors;
    `keep`: what is done with the reply that came before its request is over, so that a kill never loses more
    than what may be in flight.
    """

    request: ChatRequest
    attempt: int
    name: str
    place: str
    keep: Keep | None = None
    path = CHAT

    @property
    def key(self) -> str:
        """The request's name and its attempt."""
        return f"{self.name}/{self.attempt}"

    def body(self, dialect: Dialect) -> dict[str, Any]:
        """Return the body in the endpoint's dialect."""
        return dialect.body(self.request, self.attempt)

    async def take(self, text: str, body: Mapping[str, Any]) -> ModelReply:
        """Return the reply, kept."""
        counts = Tokens() if text == FILTERED else billed_tokens(text, body)
        reply = replace(
            read_reply(text, self.request.top_logprobs > 0, self.place),
            input_tokens=counts.input,
            output_tokens=counts.output,
            simulated=says_simulated(text),
        )
        return reply if self.keep is None else await self.keep(reply)


@dataclass(frozen=True)
class EmbeddingExchange:
    """Embeddings of `texts`."""

    texts: Sequence[str]
    path = "/embeddings"

    @property
    def key(self) -> str:
        """Hash of the texts."""
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()

    def body(self, dialect: Dialect) -> dict[str, Any]:
        """Return the body."""
        return {"model": dialect.endpoint.model, "input": list(self.texts), "encoding_format": "float"}

    async def take(self, text: str, body: Mapping[str, Any]) -> np.ndarray | None:
        """Return float32[len(texts), D], None where the answer holds none."""
        return read_embeddings(text, len(self.texts))


@dataclass(frozen=True)
class ModerationExchange:
    """A rating of `text` by the endpoint's filter."""

    text: str
    path = "/moderations"

    @property
    def key(self) -> str:
        """Hash of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def body(self, dialect: Dialect) -> dict[str, Any]:
        """Return the body."""
        return {"model": dialect.endpoint.model, "input": self.text}

    async def take(self, text: str, body: Mapping[str, Any]) -> dict[str, float] | None:
        """Return {category: score in [0, 1]}, None where the answer holds none."""
        return read_moderation(text)
