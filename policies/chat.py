"""Chat and embedding models at an endpoint for live conversations; no reply is kept.

The client has no cache here: what a person says belongs to that conversation, and goes nowhere but to the
endpoint that the configuration names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from envs import UserError
from envs.judges.llm.prompting import MAX_ANSWER, MAX_QUERY, MAX_VALUE, fenced, messages, neutral, one_line
from envs.llm import ChatRequest, Client, Endpoint, Reply
from envs.llm.endpoint import EndpointSettings, Sampling

FOLDER = Path(__file__).parent / "prompts"
VERSION = "v1"

Messages = tuple[tuple[str, str], ...]
"""(role, content) pairs."""


class Chat(Protocol):
    """A model that is asked something."""

    def ask(self, messages: Messages, usable: Callable[[str], bool]) -> str | None:
        """Return a reply that is `usable`, None where there is none after all repetitions."""
        ...


class EndpointChat:
    """A model at an OpenAI-compatible endpoint; see `envs.llm.Endpoint` for model, URL and key.

    `model`, `base_url`, `timeout_s`: see `envs.llm.Endpoint`. `temperature`: of each reply.
    `max_output_tokens`: tokens of a reply, at most; `max_requests`: of this object's life, None = no limit.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        temperature: float = 0.0,
        max_output_tokens: int = 512,
        timeout_s: float = 60.0,
        max_requests: int | None = None,
    ) -> None:
        settings = EndpointSettings(
            model, base_url, timeout_s=timeout_s, max_requests=max_requests, place="chat"
        )
        self._client = Client(settings, settings)
        self._sampling = Sampling(temperature=temperature, max_output_tokens=max_output_tokens, place="chat")

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, repetitions included."""
        return self._client.spent.requests

    def ask(self, messages: Messages, usable: Callable[[str], bool]) -> str | None:
        """Return the model's reply, None where no usable one comes.

        Raises
        ------
        EndpointError, LimitReached
            the endpoint cannot work, or `max_requests` is used up.
        """

        def check(reply: Reply) -> str | None:
            return None if usable(reply.text) else "unusable"

        request = ChatRequest(
            messages, self._sampling.temperature, max_output_tokens=self._sampling.max_output_tokens
        )
        reply = self._client.complete(request, check)
        return reply.text if reply.reason is None else None


class TargetModel:
    """The model that answers the person, given what is known; `Agent(respond=...)` takes it.

    `chat`: the model. The prompt is the one that the judges' target model gets.
    """

    def __init__(self, chat: Chat) -> None:
        self.chat = chat

    def __call__(self, query: str, context: Mapping[str, str]) -> str | None:
        """Return the answer, None where the model gave none that can be used."""
        prompt = messages("target", {"query": query_block(query), "known": known_block(context)})
        found = self.chat.ask(prompt, lambda text: bool(text.strip()))
        return None if found is None else found.strip()[:MAX_ANSWER]


class EndpointEmbedding:
    """An embeddings model at an OpenAI-compatible endpoint. The first request tells its dimension.

    `model`, `base_url`, `timeout_s`: see `envs.llm.Endpoint`.

    Raises
    ------
    EndpointError
        the endpoint cannot work.
    """

    def __init__(self, model: str, base_url: str | None = None, timeout_s: float = 60.0) -> None:
        endpoint = Endpoint(model, base_url, timeout_s=timeout_s, place="embedding")
        self._client = Client(endpoint)
        self.name = model
        self.version = f"at {urlsplit(endpoint.url).hostname}"
        self.dim = int(self.embed(["dimension"]).shape[1])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32[len(texts), D]."""
        return self._client.embed(list(texts))


def query_block(query: str) -> str:
    """Return the person's question, fenced."""
    return fenced("query", neutral(query, MAX_QUERY).split("\n"))


def known_block(context: Mapping[str, str]) -> str:
    """Return attributes with their values, fenced, in the order of `context`."""
    lines = [f"{one_line(name, 100)}: {one_line(value, MAX_VALUE)}" for name, value in context.items()]
    return fenced("known", lines)


def prompt(name: str, parts: Mapping[str, str]) -> Messages:
    """Return the messages of the prompt file `name` in `policies/prompts`, with `parts` in their places."""
    text = (FOLDER / f"{name}.{VERSION}.txt").read_text(encoding="utf-8")
    found = []
    for section in re.split(r"^=== ", text, flags=re.M)[1:]:
        role, _, content = section.partition(" ===\n")
        found.append((role, Template(content).substitute(parts).strip()))
    return tuple(found)


def last_line(text: str, key: str) -> str | None:
    """Return what follows `key: ` in the last line of `text` that is not blank; None where it does not."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = re.fullmatch(rf"[*_`\s]*{key}\s*:\s*(.+?)[*_`.\s]*", lines[-1], re.I) if lines else None
    return found[1].strip("*_`\"' ") if found else None


def checked_threshold(value: int, place: str) -> int:
    """Return `value`; `UserError` unless it is an integer from 0 to 5."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 5:
        raise UserError(f"{place}: found {value!r}, expected an integer from 0 to 5")
    return value
