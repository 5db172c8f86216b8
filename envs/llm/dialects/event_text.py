"""Answers that came as a stream of events though they are wanted whole: put together again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from envs.llm.dialects.responses_route import as_chat


def put_together(text: str) -> str:
    """Return the chat completion whose chunks the events in `text` are; a text of no events as it is."""
    if not text.lstrip().startswith(("data:", "event:", ":")):
        return text
    said, ending, usage = "", None, None
    tokens: list[Any] = []
    for event in _events(text):
        if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            return as_chat(json.dumps(event.get("response")))
        if event.get("error"):
            return json.dumps(event)
        usage = event.get("usage") or usage
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping):
            continue
        delta, logprobs = choice.get("delta"), choice.get("logprobs")
        content = delta.get("content") if isinstance(delta, Mapping) else None
        said += content if isinstance(content, str) else ""
        tokens += (logprobs.get("content") or []) if isinstance(logprobs, Mapping) else []
        ending = choice.get("finish_reason") or ending
    # A stream that was cut looks like one that ended, but for this sign.
    found: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": said},
        "finish_reason": ending or "error",
    }
    if tokens:
        found["logprobs"] = {"content": tokens}
    return json.dumps({"choices": [found], "usage": usage})


def _events(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.split("\n"):
        if not line.startswith("data:"):
            continue
        try:
            event = json.loads(line[5:])
        except ValueError:
            continue  # [DONE], or a line that was cut
        if isinstance(event, Mapping):
            yield event
