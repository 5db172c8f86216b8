"""What an endpoint's answer says, read without trust: any field may be missing or of another type."""

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


def read_reply(text: str, wants_logprobs: bool, place: str) -> Reply:
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
    finish = choice.get("finish_reason")
    reply = Reply(
        text=content or "",
        finish_reason=finish if isinstance(finish, str) else "stop",
        refused=bool(message.get("refusal")),
        tokens=_tokens(choice) if wants_logprobs else None,
    )
    reason = _reason(reply)
    if reason is None and wants_logprobs and reply.tokens is None:
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


def billed_tokens(text: str, body: Mapping[str, Any]) -> tuple[int, int]:
    """Return the (prompt, completion) tokens of an answer `text` to `body`, as it says or else estimated."""
    try:
        usage = json.loads(text)["usage"]
        found = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = []
    counts = [int(n) if isinstance(n, (int, float)) and math.isfinite(n) and n > 0 else 0 for n in found]
    if not any(counts):
        content = _choice(text).get("message")
        asked = json.dumps(body.get("messages") or body.get("input") or "", ensure_ascii=False)
        said = json.dumps(content, ensure_ascii=False) if content else ""
        counts = [len(asked) // CHARACTERS_A_TOKEN, len(said) // CHARACTERS_A_TOKEN]
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
