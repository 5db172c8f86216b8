"""The files and batches routes of the scripted server, with the ways in which batches go wrong.

A batch is worked on for a while and then holds an answer a line, in another order than asked: what the server
says to the same request sent directly. It goes on while its client is away, or dead.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from typing import Any

from envs.llm.scripted.scripted_replies import http_error, http_json, http_text, number

LINE_FAULTS = ("server_error", "invalid_prompt", "expired", "missing")
"""Ways in which one line of a batch goes wrong; `expired` ends the whole batch as expired."""

Answered = Callable[[Mapping[str, Any]], "tuple[int, Any]"]
"""Returns HTTP status and JSON of the answer to the body of a chat completion."""


@dataclass(frozen=True)
class BatchScript:
    """How batches go.

    Attributes
    ----------
    work_s : seconds from creation to the end
    fault_rate, faults, seed : which share of lines goes wrong, and how (of `LINE_FAULTS`), drawn for each
        batch and line
    most_lines : lines of all batches at work together; more: a batch fails with token_limit_exceeded
    unseen_files : so many creations find no file that was uploaded just before
    lost_creations : the answers to so many creations are lost, though the batch is made
    outages : so many requests to these routes are answered with 503
    """

    work_s: float = 0.0
    fault_rate: float = 0.0
    faults: tuple[str, ...] = LINE_FAULTS
    seed: int = 0
    most_lines: int | None = None
    unseen_files: int = 0
    lost_creations: int = 0
    outages: int = 0


@dataclass
class _Batch:
    """One batch. `lines`: (custom_id, body) as uploaded; `output`, `errors`: files, None = no lines."""

    id: str
    shown: dict[str, Any]
    lines: list[tuple[str, Any]]
    ready_at: float
    status: str = "in_progress"
    output: str | None = None
    errors: str | None = None
    failure: str | None = None
    counts: dict[str, int] = field(default_factory=dict)


class ScriptedBatches:
    """Holds files and batches; one for a server.

    Attributes
    ----------
    delivered : lines with status 200 by custom_id, as they would be billed
    sizes : lines of each batch that was taken on
    uploaded : the content of each file that a client sent
    billed : tokens of all lines that were answered
    """

    def __init__(self, script: BatchScript, answered: Answered) -> None:
        self.script = script
        self.answered = answered
        self.delivered: Counter[str] = Counter()
        self.sizes: list[int] = []
        self.uploaded: list[bytes] = []
        self.billed = 0
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, _Batch] = {}
        self._done: Counter[str] = Counter()

    @property
    def made(self) -> list[_Batch]:
        """All batches, the oldest first."""
        return list(self._batches.values())

    def serve(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> bytes | None:
        """Return the whole HTTP answer to a request for one of the routes; None: the answer is lost."""
        if self._first("outages"):
            return http_error(503, "the service is unavailable", "server_error")
        parts = path.partition("/v1/")[2].split("/")
        if parts == ["files"] and method == "POST":
            return self._uploaded(headers, raw)
        if parts[0] == "files" and parts[-1] == "content" and parts[1] in self._files:
            return http_text(200, self._files[parts[1]].decode(), "application/octet-stream")
        if parts == ["batches"] and method == "POST":
            return self._created(json.loads(raw))
        if parts == ["batches"]:
            data = [self._shown(batch) for batch in reversed(self._batches.values())]
            return http_json(200, {"object": "list", "data": data, "has_more": False})
        if parts[0] == "batches" and parts[1] in self._batches:
            batch = self._batches[parts[1]]
            if parts[-1] == "cancel":
                batch.status = "cancelled"
            return http_json(200, self._shown(batch))
        return http_error(404, f"no such path: {path}", "not_found")

    def _first(self, name: str) -> bool:
        """Tell whether this is one of the first, which the script lets go wrong in the way `name`."""
        self._done[name] += 1
        return bool(self._done[name] <= vars(self.script)[name])

    def _uploaded(self, headers: Mapping[str, str], raw: bytes) -> bytes:
        form = message_from_bytes(f"content-type: {headers['content-type']}\r\n\r\n".encode() + raw)
        fields = {str(part.get_param("name", header="content-disposition")): part for part in form.walk()}
        content = fields["file"].get_payload(decode=True)
        purpose = fields["purpose"].get_payload(decode=True)
        if purpose != b"batch" or not isinstance(content, bytes):
            return http_error(400, "expected purpose batch", "invalid_value", "purpose")
        self.uploaded.append(content)
        return http_json(200, self._kept(content))

    def _kept(self, content: bytes) -> dict[str, Any]:
        name = f"file-{len(self._files):04d}"
        self._files[name] = content
        return {"id": name, "object": "file", "bytes": len(content), "created_at": 0, "filename": "b.jsonl"}

    def _created(self, body: Mapping[str, Any]) -> bytes | None:
        file = self._files.get(body["input_file_id"])
        if file is None or self._first("unseen_files"):
            return http_error(400, f"Cannot find file {body['input_file_id']}", "invalid_request_error")
        metadata = body.get("metadata") or {}
        if len(metadata) > 16 or any(len(k) > 64 or len(v) > 512 for k, v in metadata.items()):
            return http_error(400, "metadata is too large", "invalid_value", "metadata")
        name = f"batch_{len(self._batches):04d}"
        batch = _Batch(name, dict(body), [], time.monotonic() + self.script.work_s)
        self._batches[name] = batch
        batch.failure = self._taken_on(batch, file)
        if batch.failure is not None:
            batch.status = "failed"
        else:
            self.sizes.append(len(batch.lines))
        return None if self._first("lost_creations") else http_json(200, self._shown(batch))

    def _taken_on(self, batch: _Batch, file: bytes) -> str | None:
        """Read the lines of a new batch; return the code of what is wrong with it, None = nothing."""
        try:
            rows = [json.loads(line) for line in file.decode("utf-8").split("\n") if line]
        except ValueError:
            return "invalid_json_line"
        batch.lines = [(row["custom_id"], row["body"]) for row in rows]
        if len({name for name, _ in batch.lines}) < len(batch.lines):
            return "duplicate_custom_id"
        if len({body["model"] for _, body in batch.lines}) > 1:
            return "mismatched_model"
        if any(row["url"] != batch.shown["endpoint"] or row["method"] != "POST" for row in rows):
            return "invalid_url"
        at_work = sum(len(b.lines) for b in self._batches.values() if self._at_work(b))
        most = self.script.most_lines
        return "token_limit_exceeded" if most is not None and at_work > most else None

    def _at_work(self, batch: _Batch) -> bool:
        return batch.status == "in_progress" and time.monotonic() < batch.ready_at

    def _shown(self, batch: _Batch) -> dict[str, Any]:
        if batch.status == "in_progress" and not self._at_work(batch):
            self._finish(batch)
        errors = None
        if batch.failure is not None:
            errors = {"object": "list", "data": [{"code": batch.failure, "message": "no", "line": None}]}
        return {
            "object": "batch",
            "id": batch.id,
            "endpoint": batch.shown["endpoint"],
            "input_file_id": batch.shown["input_file_id"],
            "completion_window": batch.shown.get("completion_window"),
            "metadata": batch.shown.get("metadata"),
            "created_at": 0,
            "status": batch.status,
            "output_file_id": batch.output,
            "error_file_id": batch.errors,
            "errors": errors,
            "request_counts": {"total": len(batch.lines), "completed": 0, "failed": 0} | batch.counts,
        }

    def _finish(self, batch: _Batch) -> None:
        """Answer all lines, in an order of the server's own."""
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        batch.status = "completed"
        for name, body in sorted(batch.lines, key=lambda line: number("order", batch.id, line[0])):
            fault = self._fault(batch.id, name)
            if fault == "expired":
                batch.status = "expired"
                message = "This request could not be executed before the completion window expired."
                bad.append(_row(name, None, {"code": "batch_expired", "message": message}))
            elif fault is not None and fault != "missing":
                status = 500 if fault == "server_error" else 400
                refused = {"error": {"message": "no", "type": "error", "code": fault, "param": None}}
                bad.append(_row(name, {"status_code": status, "request_id": "r", "body": refused}, None))
            elif fault is None:
                status, answer = self.answered(body)
                if status == 200:
                    self.delivered[name] += 1
                    self.billed += answer["usage"]["total_tokens"]
                row = _row(name, {"status_code": status, "request_id": "r", "body": answer}, None)
                (good if status == 200 else bad).append(row)
        batch.output = str(self._kept(_jsonl(good))["id"]) if good else None
        batch.errors = str(self._kept(_jsonl(bad))["id"]) if bad else None
        batch.counts = {"completed": len(good), "failed": len(bad)}

    def _fault(self, batch: str, name: str) -> str | None:
        script = self.script
        if number("fault", script.seed, batch, name) >= script.fault_rate:
            return None
        return script.faults[int(number("kind", script.seed, batch, name) * len(script.faults))]

    def change(self, **fields: Any) -> None:
        """Go on by another script."""
        self.script = replace(self.script, **fields)


def _row(name: str, response: Any, error: Any) -> dict[str, Any]:
    return {"id": f"line-{name}", "custom_id": name, "response": response, "error": error}


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    # As it comes: other line ends inside of texts stay, and only a newline ends a row.
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
