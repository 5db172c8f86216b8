"""The files and batches routes of an endpoint, by the `openai` package: sent again where that can help.

What is uploaded and created twice would be paid twice, so a batch carries our own id in its metadata, and is
looked for under it before it is created, and again after each creation that nothing was heard of.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import openai

from envs.llm.admission.hints import wait_of
from envs.llm.batch.batch_store import LineAnswer
from envs.llm.dialects import refusals
from envs.llm.dialects.refusals import Refusal
from envs.llm.endpoint import Endpoint, EndpointDown, EndpointError

T = TypeVar("T")

METADATA = "raise_planner_batch"
WINDOW: Any = "24h"
"""The one that the API has."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
UNSEEN_FILE_TRIES = 8
"""How often a batch is created of a file that was uploaded and is not found yet."""
_LOG = logging.getLogger(__name__)


class BatchState(NamedTuple):
    """A batch as the server shows it. `codes`: why it failed as a whole; `refused`: (line from 1, code)."""

    id: str
    status: str
    output_file: str | None
    error_file: str | None
    codes: tuple[str, ...]
    refused: tuple[tuple[int, str], ...]

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will come of it."""
        return self.status in ("completed", "failed", "expired", "cancelled")


class BatchService:
    """Batches at one endpoint; `client`: with the endpoint's address and key."""

    def __init__(self, endpoint: Endpoint, client: openai.AsyncOpenAI) -> None:
        self.endpoint = endpoint
        self.answered = False  # whether any of these requests was: somebody is there
        self._client = client

    async def create(self, batch: str, content: bytes, route: Any) -> BatchState:
        """Upload the lines `content` and have them worked on as `batch`, our id of it.

        Raises
        ------
        EndpointError
            the endpoint has no batches, or refuses this one; `EndpointDown` when it does not answer.
        """
        name = f"{batch}.jsonl"

        async def upload() -> Any:
            return await self._client.files.create(
                file=(name, content, "application/jsonl"), purpose="batch", timeout=self.endpoint.timeout_s
            )

        file = await self._patiently(upload)
        unseen = 0

        async def make() -> Any:
            nonlocal unseen
            found = await self._found(batch)
            if found is not None:
                return found
            try:
                return await self._client.batches.create(
                    input_file_id=file.id,
                    endpoint=route,
                    completion_window=WINDOW,
                    metadata={METADATA: batch},
                )
            except openai.BadRequestError as error:
                unseen += 1
                if "cannot find file" not in error.message.lower() or unseen >= UNSEEN_FILE_TRIES:
                    raise
                raise _NotYet from None

        return _state(await self._patiently(make))

    async def state(self, server_id: str) -> BatchState | None:
        """Return how a batch is; None where the server knows none of that id."""

        async def look() -> Any:
            try:
                return await self._client.batches.retrieve(server_id)
            except openai.NotFoundError:
                return None

        found = await self._patiently(look)
        return None if found is None else _state(found)

    async def find(self, batch: str) -> BatchState | None:
        """Return the batch that has our id `batch`, None where it was never created."""
        found = await self._patiently(lambda: self._found(batch))
        return None if found is None else _state(found)

    async def answers(self, state: BatchState) -> dict[str, LineAnswer | None]:
        """Return {custom_id: answer} of both files of a batch; None: the line was not worked on.

        Either file may be missing, lines are in any order, and of two answers to one line the first counts.
        """
        found: dict[str, LineAnswer | None] = {}
        for file in (state.output_file, state.error_file):
            if file is not None:
                for name, answer in read_answers(await self._content(file)):
                    if found.get(name) is None:
                        found[name] = answer
        return found

    async def _content(self, file: str) -> str:
        async def load() -> str:
            return (await self._client.files.content(file)).content.decode("utf-8", "replace")

        return await self._patiently(load)

    async def _found(self, batch: str) -> Any:
        async for shown in self._client.batches.list(limit=100):
            if (shown.metadata or {}).get(METADATA) == batch:
                return shown
        return None

    def route(self, url: str) -> Any:
        """Return the route `url` as the lines of a file name it."""
        return url if self.endpoint.api == "azure" else f"/v1{url}"

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` does; it is repeated for `give_up_after` seconds where that can help."""
        since, wait_s = time.monotonic(), FIRST_WAIT_S
        while True:
            asked_s: float | None = None
            try:
                found = await call()
                self.answered = True
                return found
            except _NotYet:
                pass
            except openai.APIStatusError as status:
                error = Refusal.of(status)
                if refusals.passing(error) is None:
                    raise self._final(error) from None
                asked_s = wait_of(error.headers, error.body)
            except openai.APIConnectionError:
                pass
            wait_s = min(LONGEST_WAIT_S, 2.0 * wait_s)
            pause_s = max(wait_s, asked_s or 0.0)
            if time.monotonic() + pause_s - since >= self.endpoint.give_up_after:
                raise EndpointDown(
                    f"{self.endpoint.place}: batches at {self.endpoint.url}: no answer for "
                    f"{time.monotonic() - since:,.0f} s; they go on there, resume=true takes them up again"
                )
            await asyncio.sleep(pause_s)

    def _final(self, error: Refusal) -> EndpointError:
        if error.status in (404, 405):
            return EndpointError(
                f"{self.endpoint.place}.batch: {self.endpoint.url} has no routes /files and /batches, "
                f"expected {self.endpoint.place}.batch=false"
            )
        return refusals.final(error, self.endpoint, sent_schema=False)


class _NotYet(Exception):
    """What was uploaded is not seen yet."""


def read_answers(text: str) -> list[tuple[str, LineAnswer | None]]:
    """Return (custom_id, answer) of each line of a file of results; what is no such line is left out.

    Only a newline ends a line: other line ends (U+2028, U+0085) stand inside of texts.
    """
    found: list[tuple[str, LineAnswer | None]] = []
    for line in text.split("\n"):
        try:
            row = json.loads(line) if line.strip() else {}
        except ValueError:
            row = {}
        name = row.get("custom_id") if isinstance(row, Mapping) else None
        if isinstance(name, str):
            found.append((name, _answer(row)))
    return found


def _answer(row: Mapping[str, Any]) -> LineAnswer | None:
    response, error = row.get("response"), row.get("error")
    if isinstance(response, Mapping) and isinstance(response.get("status_code"), int):
        return LineAnswer(response["status_code"], json.dumps(response.get("body")))
    code = error.get("code") if isinstance(error, Mapping) else None
    if code in (None, "batch_expired", "batch_cancelled"):
        return None
    return LineAnswer(400, json.dumps({"error": error}))


def _state(shown: Any) -> BatchState:
    errors = (None if shown.errors is None else shown.errors.data) or ()
    named = [(error.line, str(error.code or "")) for error in errors]
    return BatchState(
        str(shown.id),
        str(shown.status),
        shown.output_file_id,
        shown.error_file_id,
        tuple(code for line, code in named if line is None),
        tuple((line, code) for line, code in named if line is not None),
    )
