"""The route `/responses`: requests and answers of chat completions, translated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_AS_IT_IS = ("model", "temperature", "top_p", "stream")
_ENDINGS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def responses_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body for `/responses` that asks what the chat completion `body` does."""
    found: dict[str, Any] = {key: body[key] for key in _AS_IT_IS if key in body}
    found |= {"input": body["messages"], "store": False}
    for name in ("max_tokens", "max_completion_tokens"):
        if name in body:
            found["max_output_tokens"] = body[name]
    shape = body.get("response_format", {}).get("json_schema")
    if shape is not None:
        found["text"] = {"format": {"type": "json_schema", **shape}}
    if body.get("logprobs"):
        found |= {"top_logprobs": body["top_logprobs"], "include": ["message.output_text.logprobs"]}
    known = {
        *_AS_IT_IS,
        "messages",
        "response_format",
        "logprobs",
        "seed",
        "max_tokens",
        "max_completion_tokens",
    }
    return {key: value for key, value in body.items() if key not in known} | found


def as_chat(text: str) -> str:
    """Return an answer of `/responses` as a chat completion; anything else as it is."""
    try:
        answer = json.loads(text)
        parts = [part for item in answer["output"] for part in _parts(item)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    said = [part for part in parts if part.get("type") == "output_text"]
    refusals = [part.get("refusal") for part in parts if part.get("type") == "refusal"]
    tokens = [token for part in said for token in part.get("logprobs") or ()]
    choice: dict[str, Any] = {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": "".join(str(part.get("text", "")) for part in said),
            "refusal": refusals[0] if refusals else None,
        },
        "finish_reason": _ending(answer),
    }
    if tokens:
        choice["logprobs"] = {"content": tokens}
    return json.dumps({**answer, "choices": [choice], "usage": _usage(answer.get("usage"))})


def chunk_of(event: Any) -> Any:
    """Return an event of a streamed response as a chunk of a chat completion; others have no text."""
    if not isinstance(event, Mapping) or "choices" in event:
        return event
    kind = event.get("type")
    if kind == "response.output_text.delta":
        return {"choices": [{"index": 0, "delta": {"content": event.get("delta")}, "finish_reason": None}]}
    if kind in ("response.completed", "response.incomplete", "response.failed"):
        return {"choices": [{"index": 0, "delta": {}, "finish_reason": _ending(event.get("response"))}]}
    return {}


def _parts(item: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(item, Mapping) and item.get("type", "message") == "message":
        for part in item.get("content") or ():
            if isinstance(part, Mapping):
                yield part


def _ending(answer: Any) -> str:
    status = answer.get("status") if isinstance(answer, Mapping) else None
    if status == "incomplete":
        why = (answer.get("incomplete_details") or {}).get("reason")
        return _ENDINGS.get(str(why), "length")
    return "error" if status in ("failed", "cancelled") else "stop"


def _usage(usage: Any) -> Any:
    """Return the counts under the names of chat completions, with those of its own beside them."""
    if not isinstance(usage, Mapping):
        return None
    names = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    details = (
        ("prompt_tokens_details", "input_tokens_details"),
        ("completion_tokens_details", "output_tokens_details"),
    )
    return {**usage, **{chat: usage[own] for chat, own in (*names, *details) if own in usage}}
