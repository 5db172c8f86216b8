"""The routes of OpenAI's API: chat completions that may be answered by a question, and the list of models."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from envs import UserError
from policies.serving.openai_errors import ApiError
from policies.serving.questions.chat_messages import INSTRUCTIONS, dialogue_of, wants_no_question
from policies.serving.questions.context_message import with_context
from policies.serving.questions.questioning import PASS, NextStep
from policies.serving.routes.documented import CHAT, MODELS
from policies.serving.routes.own_replies import chunks, completion, turn_field, turn_headers
from policies.serving.routes.passed_on import EVENTS, passed_on
from policies.serving.service import Service
from policies.serving.sessions.session_turn import HEADER, SessionTurn, session_turn
from policies.serving.upstreams.upstream import read_all
from policies.serving.upstreams.while_connected import while_connected

DIRECT = ":direct"
"""Behind a model's name: the same model, never a question (for titles, tags and the like)."""
LIST_S = 8.0
"""Seconds that the upstream may take to list its models: chat programs wait ten for it at their start."""

router = APIRouter(prefix="/v1")


@router.post("/chat/completions", **CHAT)
async def chat_completions(request: Request) -> Response:
    """Answer a chat by a question, or let the upstream answer it."""
    began = time.perf_counter()
    service: Service = request.app.state.service
    raw = await request.body()
    body = _parsed(raw)
    sent = dict(body)
    wants_field = "raise" in body
    body.pop("raise", None)
    is_direct = _choose_model(body, service)
    turn = await _session_turn(request, service, body)
    step = PASS if is_direct else await _next_step(request, service, body)
    if step.kind == "answer":
        body = with_context(body, step)
    headers = turn_headers(step) | ({} if turn is None else {HEADER: turn.session_id})
    extra = {"raise": turn_field(step)} if wants_field else {}
    service.metrics.turn(step.kind, time.perf_counter() - began)
    if step.text:
        if turn is not None:
            await anyio.to_thread.run_sync(turn.keep, step.text)
        return _own(body, step.text, headers, extra)
    keep = None if turn is None else turn.keep
    return await passed_on(request, service, raw if body == sent else _dumped(body), headers, extra, keep)


def _own(body: dict[str, Any], text: str, headers: dict[str, str], extra: dict[str, Any]) -> Response:
    """Return a reply in the model's place."""
    if body.get("stream") is True:
        return Response(chunks(body, text, extra), 200, headers | EVENTS, "text/event-stream")
    return JSONResponse(completion(body, text, extra), headers=headers)


async def _next_step(request: Request, service: Service, body: dict[str, Any]) -> NextStep:
    said = dialogue_of(body)
    if said is None:
        return PASS
    may_ask, owner = not wants_no_question(body), request.scope["owner"]
    work = anyio.to_thread.run_sync(service.questioning.next_step, said, may_ask, owner)
    try:
        return await while_connected(request, work)
    except UserError:  # a model that reads or decides fails
        raise ApiError(503, "What should be asked cannot be decided now.", "questions_unavailable") from None


async def _session_turn(request: Request, service: Service, body: dict[str, Any]) -> SessionTurn | None:
    """Return the turn of a stored session, and put what was said before into `body`."""
    found = await anyio.to_thread.run_sync(
        session_turn, service.sessions, request.scope["owner"], request.headers, body
    )
    if found is not None:
        own = [message for message in body["messages"] if message.get("role") in INSTRUCTIONS]
        body["messages"] = [*own, *found.messages]
    return found


@router.get("/models", **MODELS)
async def models(request: Request) -> Response:
    """List the upstream's models, each also as one that never asks."""
    service: Service = request.app.state.service
    return JSONResponse({"object": "list", "data": await _models(request, service)})


@router.get("/models/{model:path}", **MODELS)
async def one_model(request: Request, model: str) -> Response:
    """Return one of them."""
    service: Service = request.app.state.service
    for row in await _models(request, service):
        if row["id"] == model:
            return JSONResponse(row)
    raise ApiError(404, "There is no such model.", "model_not_found", "model")


async def _models(request: Request, service: Service) -> list[dict[str, Any]]:
    only = service.upstream.settings.model
    if only is not None:
        rows: Any = [{"id": only, "object": "model", "created": 0, "owned_by": "upstream"}]
    else:
        async with service.upstream.opened("GET", "/models", request.headers, most_s=LIST_S) as response:
            text = await read_all(response)
        try:
            rows = json.loads(text)["data"]
        except (ValueError, KeyError, TypeError):
            raise ApiError(502, "The model's endpoint lists no models.", "upstream_not_json") from None
    own = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    return [*own, *({**row, "id": row["id"] + DIRECT} for row in own)]


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is no JSON.", "invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body is no JSON object.", "invalid_json")
    return body


def _dumped(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _choose_model(body: dict[str, Any], service: Service) -> bool:
    """Put the upstream's name of the model into `body`; return whether no question is wanted with it."""
    name = body.get("model")
    is_direct = isinstance(name, str) and name.endswith(DIRECT)
    if is_direct:
        body["model"] = name = str(name).removesuffix(DIRECT)
    only = service.upstream.settings.model
    if only is not None and name in (None, ""):
        body["model"] = name = only
    if only is not None and name != only:
        raise ApiError(404, f"There is no such model here, only {only}.", "model_not_found", "model")
    return is_direct
