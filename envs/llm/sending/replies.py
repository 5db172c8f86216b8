"""Parse an endpoint's answer; any field may be missing or of another type."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.errors import UserError
from envs.llm.books import Tokens
from envs.llm.messages import ModelReply, TokenChoice
from envs.llm.sending.thoughts import without_thoughts

CHARACTERS_A_TOKEN = 4
"""For estimates where a server does not say what it counted."""

# How a reply can end without being whole: OpenAI's words, and those that servers hand on from others.
_FILTERED = ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii")
_LENGTH = ("length", "max_tokens", "model_length")
_BROKEN = ("error", "abort", "cancelled")


def read_reply(text: str, wants_logprobs: bool, place: str) -> ModelReply:
    """Return the reply in the body of a chat completion; `reason` says why it cannot be used.

    Raises
    ------
    UserError
        log probabilities were asked for and a complete reply has none.
    """
    choice = _choice(text)
    message = choice.get("message")
    content = _content(message.get("content")) if isinstance(message, dict) else None
    if not isinstance(message, dict) or content is None:
        return ModelReply("", reason="malformed")
    finish = choice.get("finish_reason")
    reply = ModelReply(
        text=without_thoughts(content),
        finish_reason=finish if isinstance(finish, str) else "stop",
        refused=bool(message.get("refusal")),
        tokens=_tokens(choice) if wants_logprobs else None,
    )
    reason = _reason(reply)
    if reason is None and wants_logprobs and reply.tokens is None:
        raise UserError(f"{place}.scoring=expected: the endpoint gives no log probabilities, take sampled")
    return reply.unusable(reason)


def _content(content: Any) -> str | None:
    """Return the text of a message; of a list of parts those of type text (others hold reasoning)."""
    if isinstance(content, list):
        if not all(isinstance(part, dict) for part in content):
            return None
        texts = [part.get("text") for part in content if part.get("type") == "text"]
        content = "".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, (str, type(None))):
        return None
    return _whole(content or "")


def _whole(text: str) -> str:
    """Return `text` with ? for half a surrogate pair (a character that was cut), which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _reason(reply: ModelReply) -> str | None:
    finish = reply.finish_reason.lower()
    if finish in _FILTERED:
        return "filtered"
    if reply.refused:
        return "refused"
    if finish in _LENGTH:
        return "length" if reply.text.strip() else "no_room"
    if finish in _BROKEN:
        return "broken"
    return None if reply.text.strip() else "empty"


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    """Return what an answer holds, for nobody to change: log probabilities are long, and read often."""
    return json.loads(text)


def _choice(text: str) -> dict[str, Any]:
    try:
        choices = _parsed(text)["choices"]
        return choices[0] if isinstance(choices[0], dict) else {}
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return {}


def _tokens(choice: dict[str, Any]) -> tuple[TokenChoice, ...] | None:
    try:
        return tuple(
            TokenChoice(
                _whole(str(token["token"])),
                tuple((_whole(str(top["token"])), float(top["logprob"])) for top in token["top_logprobs"]),
            )
            for token in choice["logprobs"]["content"]
        )
    except (KeyError, TypeError, ValueError):
        return None


def billed_tokens(text: str, body: Mapping[str, Any]) -> Tokens:
    """Return the tokens of an answer `text` to `body`, as it says or else estimated."""
    try:
        usage = _parsed(text)["usage"]
    except (ValueError, KeyError, TypeError, RecursionError):
        usage = None
    prompt, completion, total = (_count(usage, *names) for names in _COUNTED)
    if prompt or completion or total:
        details = _part(usage, "prompt", "input")
        cached = _count(details, "cached_tokens") or _count(usage, *_CACHED)
        written = _count(details, *_WRITTEN) or _count(usage, *_WRITTEN)
        if _counts_apart(usage, prompt):
            prompt += cached + written
        cached = min(cached, prompt)
        # Some servers (Gemini's, xAI's) count hidden reasoning, which is billed, in the total alone.
        output = max(completion, total - prompt)
        reasoning = max(_count(_part(usage, "completion", "output"), "reasoning_tokens"), output - completion)
        return Tokens(prompt, output, cached, min(reasoning, output), min(written, prompt - cached))
    content = _choice(text).get("message")
    asked = json.dumps(body.get("messages") or body.get("input") or "", ensure_ascii=False)
    said = json.dumps(content, ensure_ascii=False) if content else ""
    return Tokens(len(asked) // CHARACTERS_A_TOKEN, len(said) // CHARACTERS_A_TOKEN)


# OpenAI's names in chat completions and in responses; how DeepSeek and Anthropic name what a cache served.
_COUNTED = (
    ("prompt_tokens", "input_tokens"),
    ("completion_tokens", "output_tokens"),
    ("total_tokens",),
)
_CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def _counts_apart(usage: Any, prompt: int) -> bool:
    """Tell whether what a cache had and took in is no part of the count of the prompt: Anthropic's form.

    That names the prompt `input_tokens`. Who translates it to `prompt_tokens` adds them, or does not: then
    they may be more than the prompt.
    """
    beside = _count(usage, "cache_read_input_tokens") + _count(usage, "cache_creation_input_tokens")
    return bool(beside) and ("prompt_tokens" not in usage or beside > prompt)


def _count(usage: Any, *names: str) -> int:
    """Return the first of the counts `names` that is one, else 0."""
    found = [usage.get(name) for name in names] if isinstance(usage, dict) else []
    kept = (n for n in found if isinstance(n, (int, float)) and math.isfinite(n) and n > 0)
    return int(next(kept, 0))


def _part(usage: Any, *names: str) -> Any:
    """Return the details of the first of `names` that has some."""
    found = [usage.get(f"{name}_tokens_details") for name in names] if isinstance(usage, dict) else []
    return next((part for part in found if isinstance(part, dict)), None)


def says_simulated(text: str) -> bool:
    """Tell whether an answer says that no model gave it, as the scripted server's do."""
    try:
        return '"simulated"' in text and _parsed(text).get("simulated") is True
    except (ValueError, AttributeError, RecursionError):
        return False


def says_usage(text: str) -> bool:
    """Tell whether an answer counts its tokens."""
    try:
        return '"usage"' in text and isinstance(_parsed(text).get("usage"), dict)
    except (ValueError, AttributeError, RecursionError):
        return False


def read_embeddings(text: str, n: int) -> np.ndarray | None:
    """Return float32[n, D] in the order of the texts, None where the body is anything else."""
    try:
        data = json.loads(text)["data"]
        rows = {int(row["index"]): row["embedding"] for row in data}
        found = np.array([rows[i] for i in range(n)], dtype=np.float32)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return found if found.ndim == 2 and found.shape[1] and bool(np.all(np.isfinite(found))) else None


def read_moderation(text: str) -> dict[str, float] | None:
    """Return {category: score} of the one text that was rated, None where the body is anything else."""
    try:
        scores = json.loads(text)["results"][0]["category_scores"]
        # A category that a model does not rate is null at some servers.
        found = {str(name): float(score) for name, score in scores.items() if score is not None}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None
    return found if found and all(0 <= score <= 1 for score in found.values()) else None
