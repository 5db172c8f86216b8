"""The web application of the labelling page: blind, by keyboard, each rater with a key of their own."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from envs import Scenario, UserError
from envs.judges.llm import prompting
from experiments.judging.labelling.label_store import LabelStore
from policies.serving.openai_errors import ApiError
from policies.serving.request_guard import RequestGuard
from policies.serving.routes.page_route import FOLDER, page_router
from policies.serving.serve_settings import ServiceSettings
from policies.serving.service_metrics import ServiceMetrics

OWN = Path(__file__).parent / "page"
PAGE_FILES = {
    "/": (OWN / "label.html", "text/html"),
    "/page.css": (FOLDER / "page.css", "text/css"),
    "/label.css": (OWN / "label.css", "text/css"),
    "/label.js": (OWN / "label.js", "text/javascript"),
}
"""Path -> (file, its type); the look is that of the service's page."""
_PRIVATE = {"cache-control": "no-store"}


class LabelLevels(BaseModel):
    """What a rater sends: levels 1 to 5, 0 = cannot say, null = not chosen yet."""

    model_config = ConfigDict(extra="forbid", strict=True)
    place: int = Field(ge=0)
    final: bool
    risk_sensitivity: int | None = Field(default=None, ge=0, le=5)
    emotional_empathy: int | None = Field(default=None, ge=0, le=5)
    personalization: int | None = Field(default=None, ge=0, le=5)


class LabelDimension(NamedTuple):
    """A dimension of the rubric: its name, the question, and what levels 1 to 5 mean."""

    name: str
    question: str
    anchors: tuple[str, ...]


@functools.cache
def rubric() -> tuple[LabelDimension, ...]:
    """Return the judge's own rubric, so that people and judge rate by the same words."""
    blocks = prompting.template("rubric").strip().split("\n\n")[1:]
    found = []
    for block in blocks:
        head, *levels = block.splitlines()
        name, _, question = head.partition(": ")
        found.append(LabelDimension(name, question, tuple(line[2:] for line in levels)))
    return tuple(found)


def create_label_app(
    store: LabelStore, scenarios: Mapping[str, Scenario], raters: Mapping[str, str], settings: ServiceSettings
) -> FastAPI:
    """Return the application over `store`. `raters`: digest of a key (`digest_of`) -> the name of who has it.

    Nothing of a person or an answer is in a log or an error, and a browser keeps none of it.
    """
    app = FastAPI(title="raise-planner label", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(page_router(PAGE_FILES))
    app.include_router(_router(store, scenarios, raters))
    app.add_middleware(
        RequestGuard,
        settings=settings,
        keys=tuple(raters),
        metrics=ServiceMetrics(),
        open_paths=tuple(PAGE_FILES),
    )
    for kind in (ApiError, UserError, RequestValidationError):
        app.add_exception_handler(kind, _told)
    return app


def _router(store: LabelStore, scenarios: Mapping[str, Scenario], raters: Mapping[str, str]) -> APIRouter:
    router = APIRouter()

    def rater_of(request: Request) -> str:
        return raters[request.scope["owner"]]

    @router.get("/v1/rubric")
    def dimensions() -> Response:
        return JSONResponse([dimension._asdict() for dimension in rubric()])

    @router.get("/v1/answer")
    def answer(request: Request, place: int | None = None) -> Response:
        """Return the answer at `place`, or the first that is not labelled; `answer` null: there is none."""
        rater = rater_of(request)
        found = store.at(rater, place)
        said = {"rater": rater, "done": store.done(rater), "of": store.size}
        if found is None:
            return JSONResponse({**said, "answer": None}, headers=_PRIVATE)
        scenario = scenarios[found.answer.scenario_id]
        profile = [[name, str(scenario.profile[name])] for name in prompting.known_names(scenario)]
        shown = {"query": scenario.query, "profile": profile, "answer": found.answer.text}
        own = {"place": found.place, "levels": found.levels, "final": found.final}
        return JSONResponse({**said, **shown, **own}, headers=_PRIVATE)

    @router.post("/v1/levels")
    def levels(request: Request, body: LabelLevels) -> Response:
        """Keep what a rater chose; the answer says so when it is kept."""
        rater, chosen = rater_of(request), body.model_dump(exclude={"place", "final"})
        if body.final and None in chosen.values():
            raise ApiError(400, "A level is missing.", "incomplete")
        if not store.save(rater, body.place, chosen, body.final):
            raise ApiError(404, "There is no such answer.", "no_answer")
        return JSONResponse({"saved": True, "done": store.done(rater), "of": store.size}, headers=_PRIVATE)

    return router


async def _told(request: Request, error: Exception) -> Response:
    """Return an error; nothing of the request is in it."""
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, UserError):
        return ApiError(503, "It cannot be saved now.", "not_saved").response()
    return ApiError(400, "The request does not have the form that is expected.", "invalid_request").response()
