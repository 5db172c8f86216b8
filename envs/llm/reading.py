"""What an endpoint's answer says, read without trust: any field may be missing or of another type."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from envs.errors import UserError
from envs.llm.messages import ChatRequest, Reply, TokenChoice

CHARACTERS_A_TOKEN = 4
"""For estimates where a server does not say what it counted."""


def read_reply(text: str, request: ChatRequest, place: str) -> Reply:
    """Return the reply in the body of a chat completion; `reason` says why it cannot be used.

    Raises
    ------
    UserError
        log probabilities were asked for and a complete reply has none.
    """
    choice = _choice(text)
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(content, (str, type(None))):
        return Reply("", reason="malformed")
    refused = bool(message.get("refusal"))
    finish = choice.get("finish_reason")
    tokens = _tokens(choice) if request.top_logprobs else None
    reply = Reply(
        text=content or "",
        finish_reason=finish if isinstance(finish, str) else "stop",
        refused=refused,
        tokens=tokens,
    )
    input_tokens, output_tokens = used_tokens(text)
    if not input_tokens and not output_tokens:
        asked = sum(len(part) for _, part in request.messages)
        input_tokens, output_tokens = asked // CHARACTERS_A_TOKEN, len(reply.text) // CHARACTERS_A_TOKEN
    reply = Reply(**{**vars(reply), "input_tokens": input_tokens, "output_tokens": output_tokens})
    reason = _reason(reply)
    if reason is None and request.top_logprobs and tokens is None:
        raise UserError(f"{place}.scoring=expected: the endpoint gives no log probabilities, take sampled")
    return reply.unusable(reason)


def _reason(reply: Reply) -> str | None:
    if reply.finish_reason == "content_filter":
        return "filtered"
    if reply.refused:
        return "refused"
    if reply.finish_reason == "length":
        return "length"
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
                str(token["token"]),
                tuple((str(top["token"]), float(top["logprob"])) for top in token["top_logprobs"]),
            )
            for token in choice["logprobs"]["content"]
        )
    except (KeyError, TypeError, ValueError):
        return None


def used_tokens(text: str) -> tuple[int, int]:
    """Return the (prompt, completion) tokens that a body says were billed, zeros where it does not."""
    try:
        usage = json.loads(text)["usage"]
        found = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 0, 0
    counts = [int(n) if isinstance(n, (int, float)) and math.isfinite(n) and n > 0 else 0 for n in found]
    return counts[0], counts[1]


def read_embeddings(text: str, n: int) -> np.ndarray | None:
    """Return float32[n, D] in the order of the texts, None where the body is anything else."""
    try:
        data = json.loads(text)["data"]
        rows = {int(row["index"]): row["embedding"] for row in data}
        found = np.array([rows[i] for i in range(n)], dtype=np.float32)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return found if found.ndim == 2 and found.shape[1] and bool(np.all(np.isfinite(found))) else None
