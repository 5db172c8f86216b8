"""The web application: `create_app` puts the parts together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from envs import OutsideError
from policies.agent import Agent
from policies.serving.openai_errors import ApiError
from policies.serving.questions.gates import QuestionGate
from policies.serving.questions.questioning import Questioning
from policies.serving.request_guard import RequestGuard, keys_of
from policies.serving.routes import (
    chat_route,
    health_route,
    next_route,
    page_route,
    question_route,
    session_route,
)
from policies.serving.routes.documented import ERRORS
from policies.serving.serve_settings import ALONE, AskSettings, ServiceSettings, UpstreamSettings, Workers
from policies.serving.server_log import keep_words_out
from policies.serving.service import Service
from policies.serving.service_metrics import ServiceMetrics
from policies.serving.sessions.session_store import SessionSettings, SessionStore
from policies.serving.upstreams.upstream import Upstream
from policies.serving.upstreams.while_connected import ClientLeft
from policies.understanding.detectors.rules_detector import default_detector
from policies.understanding.readers.rules_reader import default_reader
from policies.understanding.risk import risk_probability

ROUTERS: tuple[APIRouter, ...] = (
    chat_route.router,
    session_route.router,
    next_route.router,
    health_route.router,
    page_route.router,
    question_route.router,
)
"""All routes; those of a file beside this one are added here."""


def create_app(
    agent: Agent,
    gate: QuestionGate,
    upstream: UpstreamSettings | None = None,
    *,
    ask: AskSettings | None = None,
    settings: ServiceSettings | None = None,
    session: SessionSettings | None = None,
    workers: Workers = ALONE,
    routers: Sequence[APIRouter] = ROUTERS,
) -> FastAPI:
    """Return the application: the agent in front of `upstream`.

    `agent`: whose plans, policy, reader and detector all conversations share; `gate`: which messages may lead
    to questions; `session`: where conversations are kept, None = nowhere; the others: see `serve_settings`.
    One application serves one process; `workers`: of how many, and what they share.

    Raises
    ------
    UserError
        a setting that cannot work.
    """
    ask, settings = ask or AskSettings(), settings or ServiceSettings()
    keys = keys_of(settings)
    keep_words_out()
    service = Service(
        Questioning(agent, gate, ask.shows_why, ask.consent, ask.remembered_turns),
        Upstream(upstream or UpstreamSettings()),
        ServiceMetrics(),
        settings,
        None if session is None else SessionStore(session),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(_loaded, agent)
        yield
        await service.upstream.close()

    app = FastAPI(
        title="raise-planner", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )
    app.state.service = service
    for router in routers:
        is_api = router not in (page_route.router, question_route.router)
        app.include_router(router, responses=ERRORS, include_in_schema=is_api)
    app.add_middleware(RequestGuard, settings=settings, keys=keys, metrics=service.metrics, workers=workers)
    _open_to_origins(app, settings)
    for kind in (ApiError, HTTPException, RequestValidationError, ClientLeft, OutsideError, 500):
        app.add_exception_handler(kind, _told)
    return app


def _open_to_origins(app: FastAPI, settings: ServiceSettings) -> None:
    """Let pages of other origins in, where any are named."""
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["x-raise-kind", "x-raise-attribute", "x-raise-why", "x-raise-session"],
        )


def _loaded(agent: Agent) -> None:
    """Load what the first message would load, so that who is ready is quick."""
    risk_probability("hello")
    default_detector().check("hello")
    default_reader().read("hello", agent.plan_index.schema)
    agent.plan_index.neighbours("hello", 1)


async def _told(request: Request, error: Exception) -> Response:
    """Return any error in OpenAI's form; nothing of the request is in it."""
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, ClientLeft):
        return Response(status_code=499)
    if isinstance(error, OutsideError):
        return ApiError(503, "Sessions cannot be kept now.", "sessions_unavailable").response()
    if isinstance(error, HTTPException):
        words = {404: "There is nothing here.", 405: "This method is not known here."}
        message = words.get(error.status_code, "The request cannot be answered.")
        return ApiError(error.status_code, message, "invalid_request", headers=error.headers).response()
    if isinstance(error, RequestValidationError):
        return ApiError(
            400, "The request does not have the form that is described.", "invalid_request"
        ).response()
    return ApiError(500, "Something went wrong here.", "internal_error").response()
