"""The route `/responses` of the scripted server: what it is asked and says as chat completions have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ENDINGS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def as_asked_in_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chat completion that a request to `/responses` asks for."""
    given = body["input"]
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    found = {key: body[key] for key in ("model", "temperature", "top_p", "stream") if key in body}
    found |= {"messages": messages, "max_completion_tokens": body.get("max_output_tokens")}
    shape = dict(body.get("text", {}).get("format", {}))
    if shape.pop("type", None) == "json_schema":
        found["response_format"] = {"type": "json_schema", "json_schema": shape}
    if "message.output_text.logprobs" in body.get("include", ()):
        found |= {"logprobs": True, "top_logprobs": body.get("top_logprobs", 0)}
    return found


def as_response_of(chat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of `/responses` that says what the chat completion `chat` does."""
    choice, usage = chat["choices"][0], chat["usage"]
    message = choice["message"]
    said: dict[str, Any] = {"type": "output_text", "text": message["content"] or "", "annotations": []}
    if "logprobs" in choice:
        said["logprobs"] = choice["logprobs"]["content"]
    if message.get("refusal"):
        said = {"type": "refusal", "refusal": message["refusal"]}
    ending = _ENDINGS.get(choice["finish_reason"])
    thoughts = {"type": "reasoning", "summary": []}
    return {
        "id": f"resp-{chat['id']}",
        "object": "response",
        "model": chat["model"],
        "simulated": chat.get("simulated"),
        "status": "incomplete" if ending else "completed",
        "incomplete_details": {"reason": ending} if ending else None,
        "output": [thoughts, {"type": "message", "role": "assistant", "content": [said]}],
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        },
    }


def as_events(chat: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events of the same as a stream."""
    text = chat["choices"][0]["message"]["content"] or ""
    words = [word + " " for word in text.split(" ")]
    deltas = [{"type": "response.output_text.delta", "delta": w} for w in [*words[:-1], words[-1][:-1]]]
    return [
        {"type": "response.created"},
        *deltas,
        {"type": "response.completed", "response": as_response_of(chat)},
    ]
