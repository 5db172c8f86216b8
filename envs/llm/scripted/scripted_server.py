"""An OpenAI-compatible server without a model, for tests and benchmarks.

`python -m envs.llm.scripted.scripted_server` serves chat completions (JSON schema, log probabilities),
embeddings and the list of models over plain asyncio, with the latency and the faults that are asked for.
What it says is SIMULATED (see `scripted_replies`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from envs.errors import UserError
from envs.llm.scripted import scripted_replies as replies
from envs.llm.scripted.scripted_batches import BatchScript, ScriptedBatches
from envs.llm.scripted.scripted_replies import EventStream, Http, http_error, http_html, http_json, http_text
from envs.llm.scripted.scripted_responses import as_asked_in_chat, as_events, as_response_of

Rule = Callable[[Mapping[str, Any]], replies.Completion]
"""Returns what is said to the body of a chat completion."""
Refusal = Callable[[Mapping[str, Any]], "tuple[int, Any] | tuple[int, Any, str] | None"]
"""Returns HTTP status and JSON of an error (and header lines), or None for a request that is answered."""
Moderation = Callable[[str], Mapping[str, Any]]
"""Returns {category: score} of a text."""
Dialect = Callable[[dict[str, Any]], Any]
"""Returns the JSON of a chat completion, or of a chunk of one, as another server would write it."""


@dataclass(frozen=True)
class Script:
    """How the server behaves.

    Attributes
    ----------
    rule : what is said; the default fits the request and follows from it alone
    latency_s : seconds until an answer
    piece_s : seconds before each piece of a streamed answer
    fault_rate, faults, seed : which share of answers is faulty, by which kinds (of `scripted_replies.FAULTS`)
    key : the bearer token that is wanted, None = any
    models : names that exist, None = any
    json_schema, logprobs : whether the server has them; without, `response_format` is a 400
    max_prompt : characters of a prompt that fit the context, None = any
    retry_after_s : what a 429 asks for
    moderation : what /moderations says of a text, None = no such route
    batches : how batches go, None = no such routes
    refusal, dialect : errors and forms of an answer of one's own: what other servers do
    route : of completions: /chat/completions or /responses
    headers : more lines of each good answer, each with its end
    """

    rule: Rule = replies.default_completion
    latency_s: float = 0.0
    piece_s: float = 0.0
    fault_rate: float = 0.0
    faults: Sequence[str] = replies.FAULTS
    seed: int = 0
    key: str | None = None
    models: Sequence[str] | None = None
    json_schema: bool = True
    logprobs: bool = True
    max_prompt: int | None = None
    retry_after_s: float = 0.05
    moderation: Moderation | None = None
    batches: BatchScript | None = None
    refusal: Refusal | None = None
    dialect: Dialect | None = None
    route: str = "/chat/completions"
    headers: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.faults) - set(replies.FAULTS)
        if unknown:
            raise UserError(f"faults: found {min(unknown)!r}, expected some of {', '.join(replies.FAULTS)}")


@dataclass
class Seen:
    """What the server has seen. `requests`: POSTs; `faults`: by kind; `most_at_once`: requests in flight.

    `billed`: tokens of completions that were made, whether they arrived or not; `delivered`: of each that was
    sent whole to somebody who was still there.
    """

    requests: int = 0
    billed: int = 0
    at_once: int = 0
    most_at_once: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    bodies: list[Any] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)


class ScriptedServer:
    """Serves in a background thread; use as a context manager.

    Parameters
    ----------
    script : how it behaves
    port : 0 = any free one, of loopback
    keep_bodies : remember each request's body in `seen.bodies`
    """

    def __init__(self, script: Script | None = None, port: int = 0, keep_bodies: bool = False) -> None:
        self.script = script or Script()
        self.port = port
        self.keep_bodies = keep_bodies
        self.seen = Seen()
        self.batches = ScriptedBatches(self.script.batches or BatchScript(), self._to_line)
        self._arrivals: Counter[float] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, as `base_url` wants it."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def listen(self) -> asyncio.Server:
        """Start to listen on the running loop."""
        server = await asyncio.get_running_loop().create_server(
            lambda: Http(self.answer), "127.0.0.1", self.port, backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        return server

    def __enter__(self) -> ScriptedServer:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-server", daemon=True)
        self._thread.start()
        self._listening = asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None and self._thread is not None  # noqa: S101, PT018 - __enter__ made them
        asyncio.run_coroutine_threadsafe(_ended(self._listening), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], raw: bytes
    ) -> bytes | EventStream | None:
        """Return the whole HTTP answer, or None where the connection is to be dropped."""
        if method == "GET" and path.endswith("/models"):
            names = self.script.models or ("scripted",)
            return http_json(200, {"object": "list", "data": [{"id": n, "object": "model"} for n in names]})
        if re.search(r"/(?:files|batches)(?:/|$)", path):
            if self.script.batches is None:
                return http_error(404, f"no such path: {path}", "not_found")
            return self._unknown_key(headers) or self.batches.serve(method, path, headers, raw)
        self.seen.requests += 1
        self.seen.at_once += 1
        self.seen.most_at_once = max(self.seen.most_at_once, self.seen.at_once)
        try:
            body = json.loads(raw)
            if self.keep_bodies:
                self.seen.bodies.append(body)
            if self.script.latency_s:
                await asyncio.sleep(self.script.latency_s)
            refused = self._refused(path, headers, body)
            if refused is not None:
                return refused
            if path.endswith("/embeddings"):
                return http_json(200, replies.embeddings_body(body))
            if path.endswith("/moderations"):
                return http_json(200, self._moderated(body))
            as_response = path.endswith("/responses")
            return await self._chat(as_asked_in_chat(body) if as_response else body, as_response)
        finally:
            self.seen.at_once -= 1

    def _refused(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> bytes | None:
        script = self.script
        unknown = self._unknown_key(headers)
        if unknown is not None:
            return unknown
        known = path.startswith(("/v1/", "/openai/deployments/"))
        routes = [script.route, "/embeddings"] + ["/moderations"] * (script.moderation is not None)
        if not known or not path.endswith(tuple(routes)):
            return http_error(404, f"no such path: {path}", "not_found")
        if script.models is not None and body.get("model") not in script.models:
            return http_error(404, f"the model {body.get('model')} does not exist", "model_not_found")
        if not script.json_schema and "response_format" in body:
            return http_error(
                400, "response_format is not supported", "unsupported_parameter", "response_format"
            )
        own = None if script.refusal is None else script.refusal(body)
        if own is not None:
            return http_text(own[0], json.dumps(own[1]), headers=own[2] if len(own) == 3 else "")
        size = sum(len(str(m.get("content"))) for m in body.get("messages", ()))
        if script.max_prompt is not None and size > script.max_prompt:
            # Servers do repeat prompts in errors, and clients must not.
            start = str(body.get("messages"))[:200]
            return http_error(400, f"maximum context length passed: {start}", "context_length_exceeded")
        return None

    def _unknown_key(self, headers: Mapping[str, str]) -> bytes | None:
        given, key = headers.get("authorization", "none"), self.script.key
        if key is None or given == f"Bearer {key}":
            return None
        return http_error(401, f"Incorrect API key provided: {given}", "invalid_api_key")

    def _to_line(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Return status and JSON of the answer to a line of a batch."""
        own = None if self.script.refusal is None else self.script.refusal(body)
        if own is not None:
            return own[0], own[1]
        found = replies.chat_body(body, self.script.rule(body), self.script.logprobs)
        return 200, found if self.script.dialect is None else self.script.dialect(found)

    def _moderated(self, body: Mapping[str, Any]) -> dict[str, Any]:
        assert self.script.moderation is not None  # noqa: S101 - the route is there with it alone
        scores = dict(self.script.moderation(str(body["input"])))
        return {"id": "modr-0", "model": body.get("model"), "results": [{"category_scores": scores}]}

    async def _chat(self, body: Mapping[str, Any], as_response: bool) -> bytes | EventStream | None:
        script, who = self.script, replies.identity(body)
        place = replies.number(who)
        fault = replies.pick_fault(script.faults, script.fault_rate, script.seed, who, self._arrivals[place])
        self._arrivals[place] += 1
        if fault is not None:
            self.seen.faults[fault] += 1
        if fault == "rate_limit":
            wait = f"{script.retry_after_s:g}"
            return http_error(429, "slow down", "rate_limit_exceeded", headers=f"retry-after: {wait}\r\n")
        if fault == "server_error":
            return http_error(500, "something broke", "server_error")
        if fault == "html_429":
            return http_html(502, "<html><body><h1>429 Too Many Requests</h1></body></html>")
        if fault == "html_ok":
            return http_html(200, "<html><body>Error 429, score 5</body></html>")
        said = replies.apply_fault(fault or "", body, script.rule(body))
        found = replies.chat_body(body, said, script.logprobs)
        self.seen.billed += found["usage"]["total_tokens"]
        if fault == "drop":
            return None
        if fault == "timeout":
            await asyncio.sleep(3600)
        if fault != "truncated_json":
            self.seen.delivered.append(found["usage"]["total_tokens"])
        if body.get("stream"):
            is_cut = fault == "truncated_json"
            events = replies.stream_events(body, said, script.dialect or dict)
            events = [json.dumps(event) for event in as_events(found)] if as_response else events
            return EventStream(events[: len(events) // 2] if is_cut else events, script.piece_s, is_cut)
        if fault == "wrong_types":
            found["choices"][0]["message"] = [5, 5, 5]
        found = as_response_of(found) if as_response else found
        text = json.dumps(found if script.dialect is None else script.dialect(found))
        text = text[: len(text) // 2] if fault == "truncated_json" else text
        return http_text(200, text, headers=script.headers)


async def _ended(listening: asyncio.Server) -> None:
    """Listen no more, and end what is still being answered."""
    listening.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Serve until interrupted; the first line on standard output is the base URL."""
    parser = argparse.ArgumentParser(prog="python -m envs.llm.scripted.scripted_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 = any free one, of loopback")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share of faulty answers")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--batch-work", type=float, default=1.0, help="seconds that a batch takes")
    given = parser.parse_args()
    batches = BatchScript(given.batch_work, given.fault_rate, seed=given.seed)
    script = Script(latency_s=given.latency, fault_rate=given.fault_rate, seed=given.seed, batches=batches)
    server = ScriptedServer(script, given.port)

    async def serve() -> None:
        listening = await server.listen()
        print(server.url, flush=True)
        await listening.serve_forever()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        seen, lines = server.seen, sum(server.batches.delivered.values())
        print(f"{seen.requests} requests, at most {seen.most_at_once} at once; {lines} lines of batches")


if __name__ == "__main__":
    main()
