"""What the OpenAPI document says of the routes of OpenAI's API; bodies are checked by the upstream."""

from __future__ import annotations

from typing import Any

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": ["string", "null"]},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "integer", "null"]},
            },
        }
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Not answered", "content": {"application/json": {"schema": _ERROR}}},
    "5XX": {"description": "The upstream failed", "content": {"application/json": {"schema": _ERROR}}},
}
_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant"]},
        "content": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["type", "text"],
                        "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                    },
                },
            ]
        },
    },
}
_BODY = {
    "type": "object",
    "required": ["model", "messages"],
    "description": "Fields of OpenAI's API that are not listed go on to the upstream as they are.",
    "properties": {
        "model": {
            "type": "string",
            "description": ":direct at its end: never a question; left out: the only model of the service",
        },
        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
        "stream": {"type": "boolean"},
        "n": {"const": 1, "description": "more of them never get a question"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "max_tokens": {"type": "integer", "minimum": 1},
        "raise": {"type": "object", "description": "wants the field `raise` in the response"},
    },
}
_COMPLETION = {
    "type": "object",
    "required": ["choices"],
    "properties": {
        "choices": {"type": "array", "items": {"type": "object"}},
        "raise": {"type": "object", "description": "kind of turn, attribute, why, what is known"},
    },
}
CHAT: dict[str, Any] = {
    "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
    "responses": {
        200: {
            "description": "A question, or the upstream's answer",
            "content": {
                "application/json": {"schema": _COMPLETION},
                "text/event-stream": {},
            },
        },
        **ERRORS,
    },
}
MODELS: dict[str, Any] = {"responses": ERRORS}
