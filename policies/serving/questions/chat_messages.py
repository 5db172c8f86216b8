"""What a request to /v1/chat/completions holds, as far as this layer looks at it; nothing is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

INSTRUCTIONS = ("system", "developer")
"""Roles of messages that tell a model what to do."""
_ASKS_FOR_A_FORM = ("tools", "functions", "response_format", "modalities", "audio", "prediction")
"""Fields of requests whose answer a program reads: it would take a question for its result."""
_BACKGROUND = re.compile(
    r"^\s*### Task:|<chat_history>|\b5-word-or-less title\b|^\s*Provide a concise,? 5-word", re.I | re.M
)
"""How chat programs write what they ask for themselves: titles, tags, follow-ups, search queries."""


class Said(NamedTuple):
    """One message of a dialogue, neighbours of the same speaker in one."""

    speaker: Literal["person", "assistant"]
    text: str


def text_of(content: object) -> str | None:
    """Return the text of a message's content, a string or a list of parts; None where it has another part."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence):
        return None
    parts = [part if isinstance(part, str) else _part(part) for part in content]
    return None if None in parts else "\n".join(part for part in parts if part)


def _part(part: object) -> str | None:
    if not isinstance(part, Mapping) or part.get("type") not in ("text", "input_text", "refusal"):
        return None
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else None


def wants_no_question(body: Mapping[str, Any]) -> bool:
    """Tell whether the request is one that is never answered by a question."""
    shape = body.get("response_format")
    plain = isinstance(shape, Mapping) and shape.get("type") == "text"
    asked = {key for key in _ASKS_FOR_A_FORM if body.get(key)} - ({"response_format"} if plain else set())
    if asked == {"modalities"} and body["modalities"] == ["text"]:
        asked = set()
    return bool(asked) or body.get("n") not in (None, 1)


def dialogue_of(body: Mapping[str, Any]) -> list[Said] | None:
    """Return what person and assistant said, None where the last message is no text of a person.

    Messages of other roles are instructions or results of tools, and not looked at. Images and files in
    earlier messages are left out.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, Mapping) for m in messages):
        return None
    last = messages[-1]
    newest = text_of(last.get("content")) if last.get("role") == "user" else None
    if newest is None or not newest.strip() or _BACKGROUND.search(newest):
        return None
    said: list[Said] = []
    speakers: dict[object, Literal["person", "assistant"]] = {"user": "person", "assistant": "assistant"}
    for message in messages:
        role, text = message.get("role"), text_of(message.get("content"))
        if not isinstance(role, str) or role not in speakers or not text or not text.strip():
            continue
        if said and said[-1].speaker == speakers[role]:
            text = f"{said.pop().text}\n{text}"
        said.append(Said(speakers[role], text))
    return said
