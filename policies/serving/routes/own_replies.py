"""Chat completions that this layer writes itself: a question, or whom to turn to, in the model's place."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from policies.dialogue import Turn
from policies.serving.questions.questioning import NextStep
from policies.serving.upstreams.event_stream import DONE, event

NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""No model was asked, so no token was used."""


def completion(body: Mapping[str, Any], text: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole chat completion that says `text`."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**_head(body, text, "chat.completion"), "choices": [choice], "usage": NO_USAGE, **extra}


def chunks(body: Mapping[str, Any], text: str, extra: Mapping[str, Any]) -> bytes:
    """Return the same as a stream: role, text, end, usage where it is wanted, [DONE]."""
    options = body.get("stream_options")
    counts = isinstance(options, Mapping) and options.get("include_usage") is True
    head = _head(body, text, "chat.completion.chunk") | ({"usage": None} if counts else {})
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": text}, None), ({}, "stop")]
    found: list[bytes] = []
    for delta, reason in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        found.append(event({**head, "choices": [choice], **({} if found else extra)}))
    usage = [event({**head, "choices": [], "usage": NO_USAGE})] if counts else []
    return b"".join([*found, *usage, DONE])


def _head(body: Mapping[str, Any], text: str, kind: str) -> dict[str, Any]:
    # The same turn has the same id, however often a client repeats its request.
    seen = json.dumps([body.get("messages"), text], sort_keys=True).encode("utf-8", "replace")
    return {
        "id": f"chatcmpl-raise-{hashlib.sha256(seen).hexdigest()[:24]}",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model") if isinstance(body.get("model"), str) else "",
    }


def turn_headers(step: NextStep) -> dict[str, str]:
    """Return the headers that tell what kind of turn this is; none holds a value or what was said."""
    turn = step.turn
    told: dict[str, str] = {"x-raise-kind": step.kind}
    if turn is not None and step.kind == "ask":
        told |= {"x-raise-attribute": turn.attribute or "", "x-raise-why": turn.why}
        told |= {"x-raise-number": str(turn.number), "x-raise-of": str(turn.of)} if turn.number else {}
    return {name: quote(value, safe=" ,.;:!?'()-/") for name, value in told.items() if value}


def turn_field(step: NextStep) -> dict[str, Any]:
    """Return the field `raise` of a response, for a client that asked for it by sending one."""
    turn: Turn | None = step.turn
    if turn is None:
        return {"kind": step.kind}
    return {
        "kind": step.kind,
        "attribute": turn.attribute,
        "question": turn.question if step.kind == "ask" else "",
        "why": turn.why,
        "note": turn.note,
        "number": turn.number,
        "of": turn.of,
        "reason": turn.reason,
        "known": dict(step.context),
        "declined": list(turn.declined),
        "resources": [{"where": r.where, "name": r.name, "contact": r.contact} for r in turn.resources],
    }
