"""Chat and embedding models at an endpoint for live conversations; no reply is kept.

The client has no cache here: what a person says belongs to that conversation, and goes nowhere but to the
endpoint that the configuration names.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from string import Template
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from envs import UserError
from envs.judges.llm.prompting import MAX_ANSWER, MAX_QUERY, MAX_VALUE, fenced, messages, neutral, one_line
from envs.llm import ChatRequest, Client, Endpoint, ModelReply
from envs.llm.endpoint import EndpointSettings, Sampling
from envs.llm.local.local_server import LocalServer
from policies.understanding.reading import Dialogue

FOLDER = Path(__file__).parent / "prompts"
VERSION = "v1"
MAX_SAID = 8000
"""Characters of what was said before that get into a prompt, the last ones."""

Messages = tuple[tuple[str, str], ...]
"""(role, content) pairs."""


class Chat(Protocol):
    """A model that is asked something."""

    def ask(self, messages: Messages, usable: Callable[[str], bool]) -> str | None:
        """Return a reply that is `usable`, None where there is none after all repetitions."""
        ...


class StreamedChat(Protocol):
    """A model whose reply comes piece by piece."""

    def stream(self, messages: Messages) -> Generator[str, None, None]:
        """Yield the reply's pieces."""
        ...

    def astream(self, messages: Messages) -> AsyncGenerator[str, None]:
        """Yield them to a coroutine."""
        ...


class EndpointChat:
    """A model at an OpenAI-compatible endpoint; see `envs.llm.Endpoint` for model, URL and key.

    `model`, `base_url`, `timeout_s`, `max_retries`, `give_up_after`: see `envs.llm.Endpoint`.
    `temperature`: of each reply, None = not sent. `max_output_tokens`: tokens of a reply, at most;
    `max_requests`: of this object's life, None = no limit.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        temperature: float | None = 0.0,
        max_output_tokens: int = 512,
        timeout_s: float = 60.0,
        max_requests: int | None = None,
        max_retries: int = 6,
        give_up_after: float = 20.0,
    ) -> None:
        settings = EndpointSettings(
            model,
            base_url,
            timeout_s=timeout_s,
            max_requests=max_requests,
            max_retries=max_retries,
            give_up_after=give_up_after,
            place="chat",
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

        def check(reply: ModelReply) -> str | None:
            return None if usable(reply.text) else "unusable"

        reply = self._client.complete(self._request(messages), check)
        return reply.text if reply.reason is None else None

    def stream(self, messages: Messages) -> Generator[str, None, None]:
        """Yield the model's reply piece by piece; `EndpointError`, `LimitReached` as `ask`."""
        return self._client.stream(self._request(messages))

    def astream(self, messages: Messages) -> AsyncGenerator[str, None]:
        """Yield it to a coroutine."""
        return self._client.astream(self._request(messages))

    def _request(self, messages: Messages) -> ChatRequest:
        return self._sampling.request(messages)


class LocalChat(EndpointChat):
    """A small model on this machine, served by llama.cpp on loopback as long as this object lives.

    `model_path`, `context`, `threads`, `chat_template`: see `envs.llm.local.local_server.LocalServer`.

    Raises
    ------
    UserError
        xllamacpp or the model is missing.
    """

    def __init__(
        self,
        model_path: str | None = None,
        context: int = 4096,
        threads: int = 1,
        chat_template: str | None = None,
        temperature: float = 0.0,
        max_output_tokens: int = 512,
        timeout_s: float = 600.0,
    ) -> None:
        self.server = LocalServer(model_path, context, threads, chat_template, "target.chat")
        super().__init__(
            self.server.name,
            self.server.url,
            temperature,
            max_output_tokens,
            timeout_s,
            max_retries=1,
            give_up_after=timeout_s,
        )


class TargetModel:
    """The model that answers the person, given what is known.

    `chat`: the model. The prompt is the one that the judges' target model gets; a follow-up has one of its
    own, with what was said before. Answers are cut at `MAX_ANSWER` characters.
    """

    def __init__(self, chat: StreamedChat) -> None:
        self.chat = chat

    def __call__(self, query: str, context: Mapping[str, str], dialogue: Dialogue | None = None) -> str:
        """Return the whole answer; see `stream`."""
        return "".join(self.stream(query, context, dialogue)).strip()

    def stream(
        self, query: str, context: Mapping[str, str], dialogue: Dialogue | None = None
    ) -> Generator[str, None, None]:
        """Yield the answer to `query` piece by piece.

        `dialogue`: what was said so far; where its query is another one, `query` is a follow-up.

        Raises
        ------
        UserError
            the model cannot be asked, gave no text, or broke off after the pieces that came.
        """
        left = MAX_ANSWER
        with closing(self.chat.stream(target_messages(query, context, dialogue))) as pieces:
            for piece in pieces:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

    async def astream(
        self, query: str, context: Mapping[str, str], dialogue: Dialogue | None = None
    ) -> AsyncGenerator[str, None]:
        """Yield what `stream` does, for a coroutine."""
        left = MAX_ANSWER
        async with aclosing(self.chat.astream(target_messages(query, context, dialogue))) as pieces:
            async for piece in pieces:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return


def target_messages(query: str, context: Mapping[str, str], dialogue: Dialogue | None = None) -> Messages:
    """Return the prompt for an answer to `query`, all that a person or a model wrote behind fences."""
    known = known_block(context)
    if dialogue is None or dialogue.query == query:
        return messages("target", {"query": query_block(query), "known": known})
    speakers = {"person": "The person", "agent": "You"}
    before = dialogue.turns[:-1] if dialogue.turns and dialogue.turns[-1].text == query else dialogue.turns
    said = "\n".join(f"{speakers[m.speaker]}: {m.text}" for m in before)
    parts = {
        "query": query_block(dialogue.query),
        "known": known,
        "said": fenced("said", neutral(said[-MAX_SAID:], MAX_SAID).split("\n")),
        "follow_up": fenced("follow_up", neutral(query, MAX_QUERY).split("\n")),
    }
    return prompt("follow_up", parts)


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
