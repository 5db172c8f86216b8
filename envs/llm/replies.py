"""Parse an endpoint's answer; any field may be missing or of another type."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.errors import UserError
from envs.llm.messages import Reply, TokenChoice

CHARACTERS_A_TOKEN = 4
"""For estimates where a server does not say what it counted."""

# How a reply can end without being whole: OpenAI's words, and those that servers hand on from others.
_FILTERED = ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii")
_LENGTH = ("length", "max_tokens", "model_length")
_BROKEN = ("error", "abort", "cancelled")


def read_reply(text: str, wants_logprobs: bool, place: str) -> Reply:
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
        return Reply("", reason="malformed")
    finish = choice.get("finish_reason")
    reply = Reply(
        text=_said(content),
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


def _said(text: str) -> str:
    """Return `text` without a reasoning model's thoughts before it; thoughts that do not end are all it is.

    Some chat templates open the block in the prompt, so that a reply has its end alone.
    """
    thoughts, end, rest = text.partition("</think>")
    if end:
        return rest.lstrip()
    return "" if thoughts.lstrip().startswith("<think>") else text


def _reason(reply: Reply) -> str | None:
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


def _choice(text: str) -> dict[str, Any]:
    try:
        choices = json.loads(text)["choices"]
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


def billed_tokens(text: str, body: Mapping[str, Any]) -> tuple[int, int]:
    """Return the (prompt, completion) tokens of an answer `text` to `body`, as it says or else estimated."""
    try:
        usage = json.loads(text)["usage"]
        found = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = []
    counts = [int(n) if isinstance(n, (int, float)) and math.isfinite(n) and n > 0 else 0 for n in found]
    if any(counts):
        # Some servers (Gemini's) count hidden reasoning, which is billed, in the total alone.
        return counts[0], max(counts[1], counts[2] - counts[0])
    content = _choice(text).get("message")
    asked = json.dumps(body.get("messages") or body.get("input") or "", ensure_ascii=False)
    said = json.dumps(content, ensure_ascii=False) if content else ""
    return len(asked) // CHARACTERS_A_TOKEN, len(said) // CHARACTERS_A_TOKEN


def read_embeddings(text: str, n: int) -> np.ndarray | None:
    """Return float32[n, D] in the order of the texts, None where the body is anything else."""
    try:
        data = json.loads(text)["data"]
        rows = {int(row["index"]): row["embedding"] for row in data}
        found = np.array([rows[i] for i in range(n)], dtype=np.float32)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return found if found.ndim == 2 and found.shape[1] and bool(np.all(np.isfinite(found))) else None
