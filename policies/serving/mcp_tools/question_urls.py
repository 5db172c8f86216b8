"""Questions by URL: what forms of protocol revision 2025-11-25 may not ask is answered on a page."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context

from policies.serving.sessions.open_questions import OpenQuestion, OpenQuestions

MESSAGE = (
    "The next question is a personal one, and better answered outside this chat. It opens on a page of the "
    "planner, where you can decline it."
)
_LOOKS_S, _TELLS_S = 0.5, 20.0
"""Seconds between looks for the answer, and between signs of life: clients end a call that is silent."""


@dataclass(frozen=True)
class QuestionUrls:
    """`questions`: where they wait, for `think_s` seconds; `page`: URL of the service that shows them."""

    questions: OpenQuestions
    page: str
    think_s: float = 3600.0

    async def ask(self, text: str, ctx: Context[Any, Any]) -> tuple[str, str | None] | None:
        """Send the person to a page that asks `text`; return (action, words), None where nothing came."""
        name = await anyio.to_thread.run_sync(self.questions.put, text)
        elicitation_id = secrets.token_hex(8)
        try:
            url = f"{self.page.rstrip('/')}/question.html#{name}"
            consent = await ctx.elicit_url(MESSAGE, url, elicitation_id)
            if consent.action != "accept":
                return consent.action, None
            found = await self._answered(name, ctx)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.questions.drop, name)
        if found is None:
            return None
        await ctx.session.send_elicit_complete(elicitation_id)
        return "decline" if found.answer is None else "accept", found.answer

    async def _answered(self, name: str, ctx: Context[Any, Any]) -> OpenQuestion | None:
        end, told = time.monotonic() + self.think_s, 0.0
        while time.monotonic() < end:
            found = await anyio.to_thread.run_sync(self.questions.read, name)
            if found is None or found.is_answered:
                return found
            if time.monotonic() - told > _TELLS_S:
                told = time.monotonic()
                await ctx.report_progress(0, None, "a question to the person is open on a page")
            await anyio.sleep(_LOOKS_S)
        return None
