"""What the routes of one process share."""

from __future__ import annotations

from dataclasses import dataclass

from policies.serving.questions.questioning import Questioning
from policies.serving.serve_settings import ServiceSettings
from policies.serving.service_metrics import ServiceMetrics
from policies.serving.sessions.session_store import SessionStore
from policies.serving.upstreams.event_stream import event
from policies.serving.upstreams.upstream import Upstream


@dataclass(frozen=True)
class Service:
    """`questioning` decides what comes next, `upstream` answers, `metrics` counts.

    `sessions`: None where nothing is kept.
    """

    questioning: Questioning
    upstream: Upstream
    metrics: ServiceMetrics
    settings: ServiceSettings
    sessions: SessionStore | None = None

    def keep_alive(self) -> bytes:
        """Return what keeps an idle stream open."""
        if self.settings.keep_alive == "comment":
            return b": keep-alive\n\n"
        if self.settings.keep_alive == "chunk":
            return event({"object": "chat.completion.chunk", "choices": []})
        return b""
