"""What a model at an endpoint was found to take: bodies of requests, and how they change after a refusal."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from envs.llm.dialects import refusals
from envs.llm.dialects.refusals import Refusal
from envs.llm.endpoint import Endpoint
from envs.llm.messages import ChatRequest

CHAT, RESPONSES = "/chat/completions", "/responses"
_LIMITS = ("max_tokens", "max_completion_tokens")
_SAME_WITHOUT = ("seed", "temperature", "top_p")
"""What can go: a seed changes no distribution, for replies are kept; temperature and top_p see `_can_go`."""
_OPTIONAL = ("seed", "temperature", "top_p", "response_format")
"""What goes together where a refusal does not say why. Prompts name the form of a reply as well."""
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}
_LOG = logging.getLogger(__name__)


class Dialect:
    """Bodies for one model at one endpoint; what was found out goes along when it is pickled."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # OpenAI's newer models take the new name alone, many servers only know the old one.
        own = endpoint.api == "azure" or f".{urlsplit(endpoint.url).hostname}".endswith(".api.openai.com")
        self.route = CHAT
        self._limit = _LIMITS[own]
        self._limit_changed = False
        self._left_out: set[str] = set()
        self._said: set[str] = set()
        self._most_logprobs: int | None = None
        self._system = True
        self._streams_only = False
        # Others cache what prompts have in common unasked; of Claude it has to be marked.
        self._marks_shared = "claude" in endpoint.model.lower()

    def body(self, request: ChatRequest, attempt: int) -> dict[str, Any]:
        """Return the body of a chat completion; `attempt` counts earlier replies that could not be used."""
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
        }
        if not self._system:
            body["messages"] = merged(body["messages"])
        if self._marks_shared and self._system:
            body["messages"] = marked(body["messages"], request.shared)
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
            most = request.top_logprobs if self._most_logprobs is None else self._most_logprobs
            body |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, most)}
        if request.seeded:
            body["seed"] = request.seed(self.endpoint.model, attempt)
        for name in self._left_out:
            if _can_go(name, body, with_schema=True):
                del body[name]
        if self._streams_only:
            body |= _STREAM
        return body | dict(self.endpoint.extra_body)

    def adapt(self, error: Refusal, body: dict[str, Any]) -> bool:
        """Change `body`, and all later ones, into what the endpoint takes; False where nothing would help."""
        if self._marks_shared and refusals.takes_no_marks(error):
            body["messages"], self._marks_shared = plain(body["messages"]), False
            self._say("takes no marks for its cache of prompts")
            return True
        if refusals.takes_no_system(error) and body.get("messages") != merged(body.get("messages", [])):
            body["messages"], self._system = merged(body["messages"]), False
            return True
        if refusals.streams_only(error) and not body.get("stream"):
            body.update(_STREAM)
            self._streams_only = True
            self._say("answers in streams alone, and is asked for them")
            return True
        if refusals.wants_responses(error) and self.route == CHAT:
            self.route = RESPONSES
            self._say("is asked by the route /responses, which alone serves it")
            return True
        return self._parameter_changed(error, body)

    def without_optional(self, body: dict[str, Any]) -> tuple[str, ...]:
        """Take out of `body` what a request can do without, and return the names."""
        found = tuple(
            n for n in _OPTIONAL if n not in self.endpoint.extra_body and _can_go(n, body, with_schema=True)
        )
        for name in found:
            del body[name]
        return found

    def remember(self, names: Sequence[str]) -> None:
        """Leave `names` out from now on: a request that was refused passed without them."""
        self._left_out.update(names)
        self._say(f"refused a request and did not say why; without {', '.join(names)} it takes it")

    def _parameter_changed(self, error: Refusal, body: dict[str, Any]) -> bool:
        """Send from now on what means the same without the parameter that is refused.

        Reasoning models take `max_completion_tokens` alone and many servers only the older `max_tokens`.
        """
        name = refusals.parameter_not_taken(error)
        if name in ("logprobs", "top_logprobs"):
            return self._fewer_logprobs(error, body)
        if name not in body or name in self.endpoint.extra_body:
            return False
        if name in _LIMITS:
            if name == self._limit:
                if self._limit_changed:
                    return False
                self._limit, self._limit_changed = next(n for n in _LIMITS if n != name), True
            body[self._limit] = body.pop(name)
            return True
        if name in _SAME_WITHOUT and _can_go(name, body):
            if name != "seed" and body[name] != 1:
                self._say(f"takes no {name}: its replies are drawn at its own")
            self._left_out.add(name)
            del body[name]
            return True
        return False

    def _fewer_logprobs(self, error: Refusal, body: dict[str, Any]) -> bool:
        asked = body.get("top_logprobs", 0)
        most = refusals.most_logprobs(error, asked)
        if most is None or "top_logprobs" in self.endpoint.extra_body:
            return False
        if self._most_logprobs != most:
            self._say(f"gives {most} alternatives of a token at most, of {asked} wanted")
        self._most_logprobs = body["top_logprobs"] = most
        return True

    def _say(self, what: str) -> None:
        """Log it once: all requests that were under way find it out."""
        if what in self._said:
            return
        self._said.add(what)
        _LOG.warning("%s: model %s %s", self.endpoint.place, self.endpoint.model, what)


def _can_go(name: str, body: Mapping[str, Any], with_schema: bool = False) -> bool:
    """Tell whether a request without the parameter still asks for the same.

    A temperature of 0 cannot go: what counts on the same reply every time would get draws.
    """
    if name not in body or (name == "response_format" and not with_schema):
        return False
    return name != "temperature" or body[name] != 0


def marked(messages: list[dict[str, Any]], shared: int) -> list[dict[str, Any]]:
    """Return `messages` with a mark (`cache_control`) behind `shared` characters of the last one."""
    text = messages[-1]["content"]
    if not 0 < shared < len(text):
        return messages
    head = {"type": "text", "text": text[:shared], "cache_control": {"type": "ephemeral"}}
    parts = [head, {"type": "text", "text": text[shared:]}]
    return [*messages[:-1], {**messages[-1], "content": parts}]


def plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `messages` as text alone."""
    return [
        {**m, "content": "".join(part["text"] for part in m["content"])}
        if isinstance(m["content"], list)
        else m
        for m in messages
    ]


def merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `messages` with a system message at the head of the user's, for models that know none."""
    messages = plain(messages)
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    text = "\n\n".join(message["content"] for message in messages[:2])
    return [{"role": messages[1]["role"], "content": text}, *messages[2:]]
