"""A served layer over the scripted upstream, on real sockets."""

import asyncio
import contextlib
import json
import threading
import time

import uvicorn

from envs.llm.scripted.scripted_server import ScriptedServer
from experiments.serve_conversations import QUERY as QUERY
from experiments.serve_conversations import REPLIES as REPLIES
from policies.serving.app import create_app
from policies.serving.serve_settings import UpstreamSettings


@contextlib.contextmanager
def served(app):
    """Yield the base URL of `app`, served by uvicorn in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def layer(agent, gate, script=None, **settings):
    """Yield (URL of the layer, the scripted upstream behind it)."""
    with ScriptedServer(script, keep_bodies=True) as upstream:
        own = settings.pop("upstream", {})
        app = create_app(agent, gate, UpstreamSettings(base_url=upstream.url, **own), **settings)
        with served(app) as url:
            yield url, upstream


class RawUpstream:
    """An upstream that sends whatever bytes it is told to, with pauses, and knows when a client leaves.

    `answer`: returns for a request's JSON what is written: bytes, seconds to wait, or `CUT`.
    """

    CUT = object()

    def __init__(self, answer):
        self.answer = answer
        self.bodies, self.headers = [], []
        self.left = threading.Event()

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        self.headers.append(headers)
        self.bodies.append(json.loads(raw) if raw else None)
        gone = asyncio.ensure_future(reader.read())
        for part in self.answer(self.bodies[-1]):
            if part is self.CUT:
                writer.transport.abort()
                return
            if isinstance(part, bytes):
                writer.write(part)
                continue
            await asyncio.wait({gone}, timeout=part)
            if gone.done():
                self.left.set()
                break
        writer.close()


EVENT_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def json_answer(content, status=200):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


def chunk(delta=None, reason=None, **changes):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    } | changes


def events(*contents):
    return b"".join(
        b"data: " + (c if isinstance(c, bytes) else json.dumps(c).encode()) + b"\n\n" for c in contents
    )


@contextlib.contextmanager
def layer_over(agent, gate, answer, **settings):
    """Yield (URL of the layer, the raw upstream behind it)."""
    with RawUpstream(answer) as upstream:
        app = create_app(agent, gate, UpstreamSettings(base_url=upstream.url), **settings)
        with served(app) as url:
            yield url, upstream
