"""Collects what is asked of one model, and sends it as a batch when nothing more is asked.

Many plans ask at once and each waits for its reply before it goes on. So when nobody has asked anything for a
moment, all of them wait, and what is collected is the next batch: nobody needs to say where a wave ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from envs import interrupts
from envs.errors import UserError
from envs.llm.batch.batch_service import BatchService, BatchState
from envs.llm.batch.batch_store import BatchStore, LineAnswer, OpenBatch, custom_id
from envs.llm.endpoint import EndpointDown, EndpointError

MOST_LINES, MOST_BYTES = 50_000, 190_000_000
"""What a file holds at most: OpenAI's limit is 200 MB, and the same number of lines."""
QUIET_S = 0.5
"""Seconds without a further request after which what is collected is sent."""
FIRST_LOOK_S, LAST_LOOK_S = 0.5, 60.0
"""Seconds between two looks at a batch: a tenth of its age, between these."""
HANDED_OUT_AT_ONCE = 50
GOES_ON = "what was answered is saved, resume=true goes on from there"
_QUEUE_FULL = "token_limit_exceeded"
_LINE_HEAD = 200
"""Bytes of a line of a file beside the body, at most."""
_LOG = logging.getLogger(__name__)

Waiting = asyncio.Future[LineAnswer | None]
"""What waits for the answer to a line; None: it was not worked on."""


class _Line(NamedTuple):
    """A line that waits to be sent. `body`: JSON of the request; `url`: the route, as `/chat/completions`."""

    id: str
    url: str
    body: str
    answer: Waiting

    def in_file(self, batch: str, route: str) -> str:
        """Return the line of the file: JSON, ASCII alone, without a line end."""
        name = custom_id(batch, self.id)
        head = json.dumps({"custom_id": name, "method": "POST", "url": route})
        return f'{head[:-1]}, "body": {self.body}}}'


class Batcher:
    """Batches of one model at one endpoint; used on one loop.

    Parameters
    ----------
    lane : model and endpoint, as the store knows them
    service : where batches are sent
    store : what is under way
    """

    def __init__(self, lane: str, service: BatchService, store: BatchStore) -> None:
        self.lane = lane
        self.service = service
        self.store = store
        self._loop = asyncio.get_running_loop()
        self._collected: list[_Line] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[str, Waiting] = {}
        self._listening: set[asyncio.Task[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._most_lines = MOST_LINES
        self._at_work: set[asyncio.Task[BatchState]] = set()
        self._recovered = self._start(self._recover())
        interrupts.register(self)

    async def held(self, line: str) -> Waiting | LineAnswer | None:
        """Return the answer to a line that was sent before, or what waits for it; None: it was not sent."""
        await asyncio.shield(self._recovered)
        return self.store.answer(line) or self._waiting.get(line)

    async def ask(self, line: str, url: str, body: Mapping[str, Any]) -> LineAnswer | None:
        """Send a line with the next batch; return its answer, None: it was not worked on.

        Raises
        ------
        EndpointError
            its batch was refused as a whole, or cancelled; `EndpointDown`.
        """
        asked = _Line(line, url, json.dumps(dict(body)), self._wait(line))
        size = len(asked.body) + _LINE_HEAD
        if self._size + size > MOST_BYTES or len(self._collected) >= MOST_LINES:
            self._send()
        self._collected.append(asked)
        self._size += size
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(QUIET_S, self._send)
        return await self.heard(asked.answer)

    async def heard(self, answer: Waiting) -> LineAnswer | None:
        """Wait for what was sent; raises CancelledError when all let go, and what was sent goes on."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it is this coroutine's
        self._listening.add(task)
        try:
            return await asyncio.shield(answer)
        finally:
            self._listening.discard(task)

    def let_go(self) -> None:
        """Wait for nothing more; called from any thread. What was sent is worked on, and taken up later."""
        self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        unsent, self._collected = self._collected, []
        for line in unsent:
            line.answer.cancel()
        for task in list(self._listening):
            task.cancel()

    def _wait(self, line: str) -> Waiting:
        future: Waiting = self._loop.create_future()
        self._waiting[line] = future

        def over(_: Waiting) -> None:
            if self._waiting.get(line) is future:
                del self._waiting[line]
            if not future.cancelled():
                future.exception()  # nobody need be there to hear it

        future.add_done_callback(over)
        return future

    def _send(self) -> None:
        """Send what is collected, a file for each route."""
        if self._timer is not None:
            self._timer.cancel()
        lines, self._collected, self._size, self._timer = self._collected, [], 0, None
        for url in dict.fromkeys(line.url for line in lines):
            self._start(self._see_through([line for line in lines if line.url == url]))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _see_through(self, lines: Sequence[_Line]) -> None:
        """Have `lines` worked on, in as many batches after each other as the endpoint wants."""
        left, back_off_s = list(lines), FIRST_LOOK_S
        try:
            while left:
                part = left[: self._most_lines]
                if await self._worked_on(part):
                    left, back_off_s = left[len(part) :], FIRST_LOOK_S
                    continue
                # More is queued than the endpoint takes: what failed may count for a while.
                if self._at_work:
                    await asyncio.wait(self._at_work, return_when=asyncio.FIRST_COMPLETED)
                    continue
                if back_off_s > self.service.endpoint.give_up_after:
                    raise EndpointDown(f"{self._place}: its queue of batches stays full; {GOES_ON}")
                self._most_lines = max(1, len(part) // 2)
                await asyncio.sleep(back_off_s)
                back_off_s *= 2.0
        except UserError as error:
            for line in left:
                if not line.answer.done():
                    line.answer.set_exception(error)

    async def _worked_on(self, lines: Sequence[_Line]) -> bool:
        """Create one batch and hand out its answers; False where the endpoint's queue is full."""
        batch = uuid.uuid4().hex
        self.store.begin(batch, self.lane, [line.id for line in lines])
        route = self.service.route(lines[0].url)
        content = "".join(f"{line.in_file(batch, route)}\n" for line in lines).encode("ascii")
        state = await self.service.create(batch, content, route)
        self.store.created(batch, state.id)
        _LOG.info("batch %s: %s requests to %s", state.id, f"{len(lines):,}", self.lane)
        over = await self._over(state)
        if over.status == "failed" and _QUEUE_FULL in over.codes:
            self.store.collect(batch, {})
            return False
        refused = {lines[n - 1].id: code for n, code in over.refused if 1 <= n <= len(lines)}
        came = await self.service.answers(over)
        await self._hand_out(over, batch, [line.id for line in lines], came, refused)
        return True

    async def _over(self, state: BatchState) -> BatchState:
        """Return how a batch ended."""
        task = self._loop.create_task(self._watched(state))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return await task

    async def _watched(self, state: BatchState) -> BatchState:
        since = time.monotonic()
        while not state.is_over:
            age_s = time.monotonic() - since
            await asyncio.sleep(min(LAST_LOOK_S, max(FIRST_LOOK_S, 0.1 * age_s)))
            found = await self.service.state(state.id)
            if found is None:
                return state._replace(status="cancelled")  # nobody knows it any more
            state = found
        return state

    async def _hand_out(
        self,
        state: BatchState,
        batch: str,
        lines: Sequence[str],
        came: Mapping[str, LineAnswer | None],
        refused: Mapping[str, str],
    ) -> None:
        """Enter what came of the batch, and give it to who waits. `refused`: code of lines named as bad.

        A few at a time: storing thousands of replies at once would keep the loop from all else for long.
        """
        found = {line: came.get(custom_id(batch, line)) for line in lines}
        found |= {line: _refusal(code) for line, code in refused.items()}
        answers = {line: answer for line, answer in found.items() if answer is not None}
        self.store.collect(batch, answers)
        good = sum(answer.status == 200 for answer in answers.values())
        _LOG.info(
            "batch %s %s: of %s requests %s were answered, %s failed, %s were not worked on",
            *(state.id, state.status, len(lines), good, len(answers) - good, len(lines) - len(answers)),
        )
        dead = state.status == "cancelled" or (state.status == "failed" and not refused)
        code = next(iter(state.codes), "no code given")
        for number, line in enumerate(lines, 1):
            if number % HANDED_OUT_AT_ONCE == 0:
                await asyncio.sleep(0)
            future = self._waiting.get(line)
            if future is None or future.done():
                continue
            if line in answers or not dead:
                future.set_result(answers.get(line))
            else:
                what = f"was refused ({_word(code)})" if state.status == "failed" else "was cancelled"
                future.set_exception(
                    EndpointError(f"{self._place}: batch {_word(state.id)} {what}; {GOES_ON}")
                )

    async def _recover(self) -> None:
        """Take up what an earlier session sent and did not fetch."""
        for open_batch in self.store.open_batches(self.lane):
            number = open_batch.server_id
            state = await (self.service.find(open_batch.id) if number is None else self.service.state(number))
            if state is not None:
                for line in open_batch.lines:
                    self._wait(line)
                _LOG.info("batch %s: taken up again, %s requests", state.id, len(open_batch.lines))
                self._start(self._taken_up(state, open_batch))
            elif number is not None:  # without one, another process may be about to create it
                self.store.collect(open_batch.id, {})

    async def _taken_up(self, state: BatchState, batch: OpenBatch) -> None:
        try:
            self.store.created(batch.id, state.id)
            over = await self._over(state)
            came = await self.service.answers(over)
            # What failed as a whole, or somebody cancelled, is asked as if it had not been sent.
            await self._hand_out(over._replace(status="expired"), batch.id, batch.lines, came, {})
        except UserError as error:
            for line in batch.lines:
                future = self._waiting.get(line)
                if future is not None and not future.done():
                    future.set_exception(error)

    @property
    def _place(self) -> str:
        return f"{self.service.endpoint.place}: {self.lane}"


def _refusal(code: str) -> LineAnswer:
    return LineAnswer(400, json.dumps({"error": {"code": code, "message": code}}))


def _word(text: str) -> str:
    """Return `text` where it is a plain word; free text could repeat a prompt."""
    return text if re.fullmatch(r"[\w-]{1,80}", text) else "no code given"
