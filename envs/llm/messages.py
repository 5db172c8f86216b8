"""Requests to a model and its replies as plain data; the cache key of a request."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

_KEY_VERSION = 1


class TokenChoice(NamedTuple):
    """One generated token: its text, and the most probable tokens there as (text, log probability)."""

    text: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ChatRequest:
    """One chat completion.

    Attributes
    ----------
    messages : (role, content) pairs
    temperature, top_p : None = not sent, the server's default
    max_output_tokens : None = not sent
    schema : JSON schema the reply has to satisfy, None = free text
    top_logprobs : alternatives wanted for each token, 0 = no log probabilities
    sample : index of the look: the same request with another index is another draw
    seeded : send a `seed` that follows from the rest of the request
    takes_cut : a reply that the limit of tokens cut is one, where the caller's check takes it
    shared : characters at the head of the last message that other requests begin with as well
    """

    messages: tuple[tuple[str, str], ...] = field(repr=False)
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    top_logprobs: int = 0
    sample: int = 0
    seeded: bool = True
    takes_cut: bool = False
    shared: int = 0

    def key(self, model: str, extra_body: Mapping[str, object]) -> str:
        """Return the cache key: SHA-256 of model, full prompt, schema, sampling settings, sample index.

        No time, no hidden state: the same question to the same model is the same key anywhere. Whose reply it
        is stands beside it in the cache (`Endpoint.identity`).
        """
        return hashlib.sha256(self._text(model, extra_body, self.sample)).hexdigest()

    def seed(self, model: str, attempt: int) -> int:
        """Return the seed that is sent, in [0, 2^31): it follows from what is asked, and from the attempt."""
        digest = hashlib.sha256(self._text(model, {"attempt": attempt}, self.sample)).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    def _text(self, model: str, extra: Mapping[str, object], sample: int) -> bytes:
        parts = (_KEY_VERSION, model), (dict(extra), sample)
        before, after = (json.dumps(part, sort_keys=True, separators=(",", ":")) for part in parts)
        return f"{before[:-1]},{self._asked},{after[1:]}".encode()

    @functools.cached_property
    def _asked(self) -> str:
        """What key and seed have in common, and nearly all of their text."""
        settings = [self.temperature, self.top_p, self.max_output_tokens, self.top_logprobs, self.seeded]
        parts = [self.messages, self.schema, settings]
        return json.dumps(parts, sort_keys=True, separators=(",", ":"))[1:-1]


@dataclass(frozen=True)
class ModelReply:
    """What a model answered.

    Attributes
    ----------
    text : content of the reply, "" where there is none
    finish_reason : the server's ("stop", "length", "content_filter", ...)
    refused : the model declined
    tokens : generated tokens with alternatives; None where not asked for or not supported
    input_tokens, output_tokens : billed, as the server says, or estimated at four characters a token
    reason : why the reply cannot be used, None = usable: `length` (cut), `no_room` (cut before it said
        anything: a reasoning model's tokens were used up), `broken` (the server says that it failed midway),
        `refused`, `filtered`, `empty`, `malformed`, `unavailable`, or what the caller's check said
    requests : HTTP requests that this call sent; 0 = from the cache, or from another call of the same request
    simulated : the endpoint said that no model gave it
    """

    text: str = field(repr=False)
    finish_reason: str = "stop"
    refused: bool = False
    tokens: tuple[TokenChoice, ...] | None = field(default=None, repr=False)
    input_tokens: int = 0
    output_tokens: int = 0
    reason: str | None = None
    requests: int = 0
    simulated: bool = False

    def to_json(self) -> str:
        """Return the reply as the cache keeps it: as it came, whatever a caller's check says."""
        row: dict[str, Any] = {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }
        if self.tokens is not None:
            row["tokens"] = self.tokens
        faults = {"refused": self.refused, "reason": self.reason, "simulated": self.simulated}
        row |= {name: value for name, value in faults.items() if value}
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ModelReply:
        """Return the reply that `to_json` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError
            it is none.
        """
        row = json.loads(text)
        tokens = row.get("tokens")
        return cls(
            text=row["text"],
            finish_reason=row["finish_reason"],
            refused=bool(row.get("refused", False)),
            reason=row.get("reason"),
            simulated=bool(row.get("simulated", False)),
            input_tokens=int(row["input_tokens"]),
            output_tokens=int(row["output_tokens"]),
            tokens=None
            if tokens is None
            else tuple(TokenChoice(t, tuple((a, float(p)) for a, p in top)) for t, top in tokens),
        )

    def unusable(self, reason: str | None) -> ModelReply:
        """Return the reply with the reason why it cannot be used."""
        return replace(self, reason=reason)


Check = Callable[[ModelReply], "str | None"]
"""Returns why a reply cannot be used, or None."""
Again = Callable[[ChatRequest, ModelReply], ChatRequest]
"""Returns what is asked after a reply to a request that cannot be used."""


def checked(request: ChatRequest, reply: ModelReply, check: Check | None) -> ModelReply:
    """Return `reply` with the reason why it cannot be used as an answer to `request`, if there is one."""
    if reply.reason == "length" and request.takes_cut:
        reply = reply.unusable(None)
    return reply if reply.reason is not None or check is None else reply.unusable(check(reply))
