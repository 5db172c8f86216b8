"""What is known of the person, put into the request for the model that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.chat import known_block, prompt, query_block
from policies.serving.questions.chat_messages import INSTRUCTIONS
from policies.serving.questions.questioning import NextStep

_FIRST_QUERY = (
    "The questions are over: answer now, in full, what they asked before them (between <query> and </query>)."
)
_LAST_MESSAGE = "Answer their last message."


def with_context(body: Mapping[str, Any], step: NextStep) -> dict[str, Any]:
    """Return the request with the context of `step` in its instructions; its other messages as they were.

    The context joins the first message where that holds instructions: many models take one such message
    alone, and at the head.
    """
    if not step.context and step.query is None:
        return dict(body)
    query = "" if step.query is None else f"\n{query_block(step.query)}\n"
    task = _LAST_MESSAGE if step.query is None else _FIRST_QUERY
    ((_, text),) = prompt("layer", {"known": known_block(step.context), "query": query, "task": task})
    messages = list(body["messages"])
    first = messages[0]
    if first.get("role") in INSTRUCTIONS and isinstance(first.get("content"), str | list):
        content = first["content"]
        added = (
            f"{content}\n\n{text}" if isinstance(content, str) else [*content, {"type": "text", "text": text}]
        )
        messages[0] = {**first, "content": added}
    else:
        messages.insert(0, {"role": "system", "content": text})
    return {**body, "messages": messages}
