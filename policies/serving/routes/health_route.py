"""Whether the service lives and is ready, and its counters."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from policies.serving.openai_errors import ApiError
from policies.serving.service import Service

router = APIRouter()


@router.get("/healthz")
async def healthz() -> Response:
    """Tell that the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Tell that plans are loaded and sessions can be kept; the upstream is not asked."""
    service: Service = request.app.state.service
    store = service.sessions
    if store is not None and not await anyio.to_thread.run_sync(store.is_ready):
        raise ApiError(503, "Sessions cannot be kept.", "not_ready")
    return JSONResponse({"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return the counters in Prometheus' text form."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
