"""Single questions that a person answers on a page, outside the program that asks them.

A question and its answer lie in the session store, encrypted and for a while. They are named by 256 random
bits, which whoever is to answer gets, and nobody else: these bits are all it takes.
"""

from __future__ import annotations

from typing import NamedTuple

from policies.serving.sessions.session_store import SessionStore, StoredSession

_OWNER = "question"
"""In the place of a client's key: no key has this digest, so no client reads it as a session."""


class OpenQuestion(NamedTuple):
    """`text`: what is asked; `is_answered`: whether it was; `answer`: None = declined."""

    text: str
    is_answered: bool = False
    answer: str | None = None


class OpenQuestions:
    """The questions of all processes that have `store`."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def put(self, text: str) -> str:
        """Keep a question; return its name."""
        name = self._store.new_id()
        self._store.write(_OWNER, name, StoredSession(({"role": "assistant", "content": text},)))
        return name

    def read(self, name: str) -> OpenQuestion | None:
        """Return a question, None where there is none."""
        found = self._store.read(_OWNER, name)
        if found is None:
            return None
        question, *answers = found.messages
        return OpenQuestion(question["content"], bool(answers), answers[0]["content"] if answers else None)

    def answer(self, name: str, words: str | None) -> bool:
        """Answer an open question, None = declined; return False where none is open under that name."""
        found = self._store.read(_OWNER, name)
        if found is None or len(found.messages) != 1:
            return False
        messages = (*found.messages, {"role": "user", "content": words})
        return self._store.write(_OWNER, name, StoredSession(messages, version=found.version))

    def drop(self, name: str) -> None:
        """Remove a question and its answer."""
        self._store.delete(_OWNER, name)
