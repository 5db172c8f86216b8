"""One turn of a stored session: the messages it is answered from, and what is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers

from policies.serving.openai_errors import ApiError
from policies.serving.questions.chat_messages import INSTRUCTIONS
from policies.serving.sessions.session_store import SessionStore, StoredSession

HEADER = "x-raise-session"
NEW = "new"
"""Value of the header that begins a session; the response's header has its name."""


@dataclass(frozen=True)
class SessionTurn:
    """A turn of the session `session_id`; `messages`: all of the conversation, instructions left out."""

    store: SessionStore
    owner: str
    session_id: str = field(repr=False)
    before: tuple[dict[str, Any], ...] = field(repr=False)
    messages: tuple[dict[str, Any], ...] = field(repr=False)
    digest: str
    version: int

    def keep(self, text: str) -> None:
        """Keep the turn with `text` for the assistant's reply.

        Raises
        ------
        ApiError
            409: another turn of the session was faster, and what it said counts.
        """
        messages = (*self.messages, {"role": "assistant", "content": text})
        session = StoredSession(messages, len(self.before), self.digest, self.version)
        if not self.store.write(self.owner, self.session_id, session):
            raise ApiError(409, "Another message of this session was faster.", "session_conflict")


def session_turn(
    store: SessionStore | None, owner: str, headers: Headers, body: Mapping[str, Any]
) -> SessionTurn | None:
    """Return the turn that a request is, None where it names no session.

    A request that brings assistant's messages brings the conversation: it replaces what was stored. A request
    that is repeated (the client says so) replaces the turn that it was before.

    Raises
    ------
    ApiError
        no sessions are kept here, no such session, or messages that are none.
    """
    given = headers.get(HEADER)
    if given is None:
        return None
    if store is None:
        raise ApiError(400, "No sessions are kept here; send the whole conversation.", "sessions_off", HEADER)
    sent = body.get("messages")
    if not isinstance(sent, list) or not all(isinstance(m, dict) for m in sent):
        raise ApiError(400, "A session takes a list of messages.", "invalid_messages", "messages")
    session_id = store.new_id() if given == NEW else given
    stored = StoredSession() if given == NEW else store.read(owner, session_id)
    if stored is None:
        raise ApiError(404, "There is no such session.", "session_not_found", HEADER)
    own = tuple(m for m in sent if m.get("role") not in INSTRUCTIONS)
    digest = _digest(own, headers.get("idempotency-key", ""))
    repeats = headers.get("x-stainless-retry-count", "0") != "0" or "idempotency-key" in headers
    before = stored.messages[: stored.n_before] if repeats and digest == stored.turn else stored.messages
    if any(m.get("role") == "assistant" for m in own):
        before = ()
    return SessionTurn(store, owner, session_id, before, (*before, *own), digest, stored.version)


def _digest(messages: tuple[dict[str, Any], ...], key: str) -> str:
    content = json.dumps([messages, key], sort_keys=True).encode("utf-8", "replace")
    return hashlib.sha256(content).hexdigest()
