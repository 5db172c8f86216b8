"""POST /v1/next: what comes next in a conversation, for programs that call the model themselves."""

from __future__ import annotations

import json
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from envs import UserError
from policies.serving.openai_errors import ApiError
from policies.serving.questions.chat_messages import dialogue_of, wants_no_question
from policies.serving.questions.context_message import with_context
from policies.serving.questions.questioning import PASS
from policies.serving.routes.own_replies import turn_field
from policies.serving.service import Service

router = APIRouter()


@router.post("/v1/next")
async def next_step(request: Request) -> Response:
    """Take the body of a chat completion; say what to do with it, and ask no model.

    `kind`: "pass": send it to the model as it is; "answer": send it with `messages` in place of its own;
    anything else: say `text` to the person in the model's place. Further fields are those of `raise`.
    """
    service: Service = request.app.state.service
    try:
        body: Any = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is no JSON.", "invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body is no JSON object.", "invalid_json")
    said = dialogue_of(body)
    step = PASS
    if said is not None:
        may_ask, owner = not wants_no_question(body), request.scope["owner"]
        try:
            step = await anyio.to_thread.run_sync(service.questioning.next_step, said, may_ask, owner)
        except UserError:
            raise ApiError(
                503, "What should be asked cannot be decided now.", "questions_unavailable"
            ) from None
    messages = with_context(body, step)["messages"] if step.kind == "answer" else None
    return JSONResponse({**turn_field(step), "text": step.text, "messages": messages})
