"""A question that an MCP client sent a person to: what the page at /question.html reads and sends.

The name of the question comes in the body, never in an address: addresses end up in logs and histories.
"""

from __future__ import annotations

import json
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from policies.serving.openai_errors import ApiError
from policies.serving.service import Service
from policies.serving.sessions.open_questions import OpenQuestions

QUESTION_PATHS = ("/v1/question", "/v1/question/answer")
"""Open to whoever knows a question's name: that is their key."""
MOST_CHARACTERS = 20_000

router = APIRouter(include_in_schema=False)


@router.post(QUESTION_PATHS[0])
async def read_question(request: Request) -> Response:
    """Return {"question": text, "answered": whether it was}."""
    questions, body = _questions(request), await _body(request)
    found = await anyio.to_thread.run_sync(questions.read, body["name"])
    if found is None:
        raise ApiError(404, "There is no such question, or it is over.", "question_not_found")
    return JSONResponse({"question": found.text, "answered": found.is_answered})


@router.post(QUESTION_PATHS[1], status_code=204)
async def answer_question(request: Request) -> Response:
    """Take {"name": ..., "answer": words, or null to decline}, once."""
    questions, body = _questions(request), await _body(request)
    words = body.get("answer")
    if words is not None and not isinstance(words, str):
        raise ApiError(400, "An answer is a text, or null.", "invalid_answer", "answer")
    told = None if words is None or not words.strip() else words[:MOST_CHARACTERS]
    if not await anyio.to_thread.run_sync(questions.answer, body["name"], told):
        raise ApiError(404, "There is no such question, or it is over.", "question_not_found")
    return Response(status_code=204)


def _questions(request: Request) -> OpenQuestions:
    service: Service = request.app.state.service
    if service.sessions is None:
        raise ApiError(404, "There is no such question, or it is over.", "question_not_found")
    return OpenQuestions(service.sessions)


async def _body(request: Request) -> dict[str, Any]:
    try:
        body: Any = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is no JSON.", "invalid_json") from None
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        raise ApiError(400, "The name of the question is missing.", "invalid_name", "name")
    return body
