"""Replies of the scripted server: a function of the request alone, with faults on demand.

The same request (and its seed, where the temperature is not 0) always gets the same reply, so that runs
against the server can be compared row by row. What it says means nothing: its verdicts are SIMULATED.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEVELS = "12345"

TRANSPORT_FAULTS = ("rate_limit", "server_error", "html_429", "timeout", "drop")
REPLY_FAULTS = (
    "html_ok",
    "truncated_json",
    "wrong_types",
    "empty",
    "score_0",
    "score_6",
    "score_of_10",
    "score_negative",
    "refusal",
    "content_filter",
    "length",
)
FAULTS = (*TRANSPORT_FAULTS, *REPLY_FAULTS)


def number(*parts: object) -> float:
    """Return a number in [0, 1) that follows from `parts` (anything JSON can say)."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@dataclass(frozen=True)
class Completion:
    """One reply: its text and how it ended."""

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None


def identity(body: Mapping[str, Any]) -> list[Any]:
    """Return what a reply depends on: model, messages, and the seed unless the temperature is 0."""
    drawn = body.get("temperature", 1) != 0
    return [body.get("model"), body.get("messages"), body.get("seed") if drawn else None]


def default_completion(body: Mapping[str, Any]) -> Completion:
    """Return a reply that fits the request: its JSON schema, the verdict lines it asks for, or a sentence.

    Asked once more for a form, behind a reply of its own, it holds to what it thought at first.
    """
    messages = body.get("messages", ())
    first = itertools.takewhile(lambda message: message.get("role") != "assistant", messages)
    thought = identity({**body, "messages": list(first)})
    shape = body.get("response_format") or {}
    if shape.get("type") == "json_schema":
        filled = fill(shape["json_schema"]["schema"], thought)
        return Completion(json.dumps(filled))
    prompt = "\n".join(str(m.get("content")) for m in messages)
    names = list(dict.fromkeys(re.findall(r"^(\w+): <", prompt, re.M)))
    if names:
        return Completion("\n".join(f"{name}: {fill(_LEVEL, [thought, name])}" for name in names))
    return Completion(f"Scripted reply {int(number(identity(body)) * 1e9):09d}.")


_LEVEL: dict[str, Any] = {"type": "integer", "enum": [1, 2, 3, 4, 5]}


def fill(schema: Mapping[str, Any], who: Any) -> Any:
    """Return a value that satisfies `schema` (objects, arrays, enums, integers, strings), drawn by `who`."""
    if "enum" in schema:
        return schema["enum"][int(number(who) * len(schema["enum"]))]
    kind = schema.get("type")
    if kind == "object":
        return {name: fill(part, [who, name]) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return _fill_array(schema, who)
    if kind in ("integer", "number"):
        low = schema.get("minimum", 1)
        return low + int(number(who) * (schema.get("maximum", low + 4) - low + 1))
    return f"scripted {int(number(who) * 1e6):06d}"


def _fill_array(schema: Mapping[str, Any], who: Any) -> list[Any]:
    items = schema.get("items", {})
    if "enum" in items:  # distinct ones, in an order of their own: a ranking
        return sorted(items["enum"], key=lambda value: number(who, value))
    return [fill(items, [who, i]) for i in range(max(1, schema.get("minItems", 1)))]


def apply_fault(fault: str, body: Mapping[str, Any], completion: Completion) -> Completion:
    """Return `completion` as a fault of the reply's content leaves it."""
    wrong = {"score_0": "0", "score_6": "6", "score_of_10": '"8/10"', "score_negative": '"-0.4"'}
    text = completion.text or ""
    if fault in wrong:
        return Completion(re.sub(r"(?<=: )\d+", wrong[fault], text))
    if fault == "empty":
        return Completion("")
    if fault == "refusal":
        return Completion(None, refusal="I cannot help with that.")
    if fault == "content_filter":
        return Completion(text[: len(text) // 2], finish_reason="content_filter")
    if fault == "length":
        return Completion(text[: len(text) // 2], finish_reason="length")
    return completion


def chat_body(body: Mapping[str, Any], completion: Completion, logprobs: bool = True) -> dict[str, Any]:
    """Return the JSON of a chat completion."""
    message = {"role": "assistant", "content": completion.text, "refusal": completion.refusal}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": completion.finish_reason}
    if body.get("logprobs") and logprobs:
        choice["logprobs"] = {"content": log_probabilities(completion.text or "", identity(body))}
    prompt = sum(len(str(m.get("content"))) for m in body.get("messages", ()))
    counts = (prompt // 4, len(completion.text or "") // 4)
    return {
        "id": f"scripted-{int(number(identity(body)) * 1e9):09d}",
        "object": "chat.completion",
        "created": 0,
        "model": body.get("model"),
        "choices": [choice],
        "usage": {
            "prompt_tokens": counts[0],
            "completion_tokens": counts[1],
            "total_tokens": sum(counts),
        },
        "simulated": True,
    }


def stream_events(
    body: Mapping[str, Any], completion: Completion, dialect: Callable[[dict[str, Any]], Any]
) -> list[str]:
    """Return the events of a streamed chat completion, a word each, as JSON; the last one ends it."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\S+\s*", completion.text or "")]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": completion.finish_reason})
    shared = {"object": "chat.completion.chunk", "created": 0, "model": body.get("model")}
    return [*(json.dumps(dialect(shared | {"choices": [choice]})) for choice in choices), "[DONE]"]


def log_probabilities(text: str, who: Any, mass: float = 0.9) -> list[dict[str, Any]]:
    """Return the log probabilities of each token of `text`; a single digit gets `mass` spread over 1 to 5."""
    tokens = re.findall(r"\d|[^\W\d]+|\s+|[^\w\s]|_", text)
    return [_token(token, [who, i], mass) for i, token in enumerate(tokens)]


def _token(token: str, who: Any, mass: float) -> dict[str, Any]:
    tops = [(token, mass)]
    if len(token) == 1 and token in LEVELS:
        weights = [1.0 + 4.0 * number(who, level) for level in LEVELS]
        tops = [(level, mass * w / sum(weights)) for level, w in zip(LEVELS, weights, strict=True)]
    tops.append(("the", 1.0 - mass))
    rows = [{"token": name, "logprob": math.log(p), "bytes": None} for name, p in tops if p > 0]
    own = next((row["logprob"] for row in rows if row["token"] == token), rows[0]["logprob"])
    return {"token": token, "logprob": own, "bytes": None, "top_logprobs": rows}


def embedding(text: str, dimensions: int = 64) -> list[float]:
    """Return a unit vector: words hashed into `dimensions` bins, so that texts that share words are near."""
    bins = [0.0] * dimensions
    for word in re.findall(r"\w+", text.casefold()) or [""]:
        place = number("word", word)
        bins[int(place * dimensions)] += 1.0 if number("sign", word) < 0.5 else -1.0
    length = math.sqrt(sum(x * x for x in bins))
    return [x / length for x in bins] if length else [1.0, *bins[1:]]


def embeddings_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of embeddings."""
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    rows = [
        {"object": "embedding", "index": i, "embedding": embedding(str(text))} for i, text in enumerate(texts)
    ]
    tokens = sum(len(str(text)) // 4 for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": body.get("model"), "data": rows, "usage": usage}


def pick_fault(kinds: Sequence[str], rate: float, seed: int, who: Any, arrival: int) -> str | None:
    """Return the fault of the `arrival`-th request of its kind; it does not depend on what else arrives."""
    if not kinds or number("fault", seed, who, arrival) >= rate:
        return None
    return kinds[int(number("kind", seed, who, arrival) * len(kinds))]


@dataclass(frozen=True)
class EventStream:
    """An answer of server-sent events: JSON texts, seconds before each, and whether it is cut at the end."""

    events: Sequence[str]
    pause_s: float = 0.0
    is_cut: bool = False


Answer = Callable[[str, str, Mapping[str, str], bytes], Awaitable["bytes | EventStream | None"]]
"""Returns the whole answer to (method, path, headers, body), None where the connection is to be dropped."""

_PHRASES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class Http(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as clients of this API use it: bodies come with their length."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self.transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        """End the answer that nobody waits for any more."""
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer a request once all of it is there."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, path, _ = lines[0].split(" ", 2)
        self.task = asyncio.get_running_loop().create_task(self._serve(method, path, headers, rest[:length]))

    async def _serve(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> None:
        answer = await self.answer(method, path.partition("?")[0], headers, raw)
        if answer is None:
            self.transport.abort()
        elif isinstance(answer, EventStream):
            await self._send(answer)
        else:
            self.transport.write(answer)

    async def _send(self, stream: EventStream) -> None:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self.transport.write(head.encode())
        for event in stream.events:
            await asyncio.sleep(stream.pause_s)
            raw = f"data: {event}\n\n".encode()
            self.transport.write(b"%x\r\n%b\r\n" % (len(raw), raw))
        if stream.is_cut:
            await asyncio.sleep(0.05)  # what was written is to arrive first
            self.transport.abort()
        else:
            self.transport.write(b"0\r\n\r\n")


def http_json(status: int, body: Mapping[str, Any]) -> bytes:
    """Return an answer of JSON."""
    return http_text(status, json.dumps(body))


def http_text(status: int, text: str, kind: str = "application/json", headers: str = "") -> bytes:
    """Return an answer; `headers`: more lines, each with its end."""
    raw = text.encode()
    phrase = _PHRASES.get(status, "Error")
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n{headers}\r\n"
    )
    return head.encode() + raw


def http_html(status: int, text: str) -> bytes:
    """Return a page."""
    return http_text(status, text, "text/html")


def http_error(status: int, message: str, code: str, param: str | None = None, headers: str = "") -> bytes:
    """Return an error in OpenAI's form."""
    body = {"error": {"message": message, "type": "error", "code": code, "param": param}}
    return http_text(status, json.dumps(body), headers=headers)
