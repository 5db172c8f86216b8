"""Deleting a stored conversation."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from policies.serving.openai_errors import ApiError
from policies.serving.routes.documented import ERRORS
from policies.serving.service import Service

router = APIRouter(prefix="/v1")


@router.delete("/sessions/{session_id}", status_code=204, responses=ERRORS)
async def delete_session(request: Request, session_id: str) -> Response:
    """Forget a conversation."""
    service: Service = request.app.state.service
    store, owner = service.sessions, request.scope["owner"]
    if store is None or not await anyio.to_thread.run_sync(store.delete, owner, session_id):
        raise ApiError(404, "There is no such session.", "session_not_found")
    return Response(status_code=204)
