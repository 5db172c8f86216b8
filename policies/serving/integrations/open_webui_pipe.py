"""
title: raise-planner
description: Asks before a model answers; `raise-planner serve` decides.

A pipe function of Open WebUI: paste it under Admin Panel, Functions. Questions come as dialogs, or as
messages where there is none. What a dialog told counts for that one answer: the chat does not hold it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from pydantic import BaseModel, Field
from socketio.exceptions import TimeoutError as NoReply

OURS = ("model", "metadata", "tools", "tool_choice", "stream")


class Pipe:
    """One model more in the list of models."""

    class Valves(BaseModel):
        """What the administrator sets."""

        url: str = Field(default="http://127.0.0.1:8000", description="where raise-planner serve listens")
        key: str = Field(default="", description="its key, where it wants one")
        model: str = Field(default="", description="the model that answers")
        dialog_s: float = Field(default=120, description="seconds a dialog stays open; 0: no dialogs")

    def __init__(self) -> None:
        self.valves = self.Valves()

    async def pipe(
        self, body: dict[str, Any], __task__: Any = None, __event_call__: Any = None, __metadata__: Any = None
    ) -> str | AsyncGenerator[str, None]:
        """Return a question, help, or the pieces of the model's answer."""
        sent = {key: value for key, value in body.items() if key not in OURS}
        if __task__:  # a title, tags, follow-ups: nobody is there to be asked
            return self._answer(sent)
        (*before, last), told = body["messages"], list[dict[str, Any]]()
        asked = last | {"content": (__metadata__ or {}).get("user_prompt") or last["content"]}
        while (step := await self._next([*before, asked, *told]))["kind"] in ("ask", "consent"):
            if (reply := await self._dialog(step, __event_call__)) is None:
                break
            told += [{"role": "assistant", "content": step["text"]}, {"role": "user", "content": reply}]
        if step["text"]:
            return str(step["text"])
        known = step["messages"] or [*before, asked, *told]  # with what was told, for the model
        return self._answer(sent | {"messages": [last if m == asked else m for m in known]})

    async def _dialog(self, step: dict[str, Any], call: Any) -> str | None:  # None: nobody saw it
        form = {"title": step["attribute"] or "First", "message": step["text"], "placeholder": step["why"]}
        try:
            async with asyncio.timeout(self.valves.dialog_s):
                found = await call({"type": "input", "data": form}) if call and self.valves.dialog_s else None
        except (TimeoutError, NoReply):
            return None
        if found is None or isinstance(found, dict):  # no dialog, or {"error": ...}: the browser is gone
            return None
        return found if isinstance(found, str) and found.strip() else "Skip this question."

    async def _next(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        async with self._client() as to, to.post("/v1/next", json={"messages": messages}) as found:
            found.raise_for_status()
            return dict(await found.json())

    async def _answer(self, sent: dict[str, Any]) -> AsyncGenerator[str, None]:
        body = {**sent, "model": self.valves.model + ":direct", "stream": True}
        async with self._client() as to, to.post("/v1/chat/completions", json=body) as found:
            async for line in found.content:
                piece = json.loads(line.removeprefix(b"data:")) if b"{" in line else {}
                for choice in piece.get("choices", ()):
                    yield choice["delta"].get("content") or ""
                if "error" in piece:  # in the stream, or in its place
                    yield "data: " + json.dumps({"error": {"detail": piece["error"]["message"]}})

    def _client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.valves.url, headers={"authorization": f"Bearer {self.valves.key}"})
