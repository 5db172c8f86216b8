"""Ask a model at an endpoint for a JSON object about what a person wrote; what was written is fenced.

Nothing of it is kept, unless the settings name a file: an evaluation over scenarios that are on file may.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from envs.checking.json_values import json_object
from envs.checking.validation import MaybeCount, settings
from envs.judges.llm.prompting import MAX_QUERY, MAX_VALUE, fenced, messages_of, neutral, one_line
from envs.llm import Client, EndpointError, LimitReached, ModelReply
from envs.llm.cached_model import Booked
from envs.llm.endpoint import Endpoint, EndpointDown, Limits, Sampling, Temperature
from policies.understanding.reading import Dialogue

T = TypeVar("T")

PROMPTS = Path(__file__).parent.parent / "prompts"
MAX_TURNS = 12
"""Messages said before that get into a prompt, the last ones."""
_LOG = logging.getLogger(__name__)


@settings
class UnderstandingSettings(Limits, Endpoint):
    """An endpoint that sees what a person writes."""

    timeout_s: float = Field(default=20.0, gt=0, description="seconds a request may take; a person waits")
    max_retries: int = Field(
        default=1, ge=0, description="repetitions of a request that fails while others are answered"
    )
    give_up_after: float = Field(
        default=10.0, gt=0, description="seconds without any answer after which the endpoint counts as down"
    )

    def check_access(self) -> None:
        """Raise a `UserError` where the URL is none or the key is not there: before anybody has written."""
        self.url  # noqa: B018 - raises
        self.key()


@settings
class StructuredSettings(Sampling, UnderstandingSettings):
    """The same of a model that is asked for JSON."""

    temperature: Temperature = Field(default=0.0, description="null: not sent")
    max_output_tokens: MaybeCount = Field(default=800, description="of one reply; null: not sent")
    cache: str | None = Field(
        default=None,
        description="SQLite file of replies, for evaluations: it holds what was said; null: nothing is kept",
    )


class StructuredModel(Booked):
    """A model that is asked for JSON, by a schema where the endpoint takes one; for many threads at once."""

    def __init__(self, settings: StructuredSettings) -> None:
        """Take the settings.

        Raises
        ------
        UserError
            no URL, or no key for it.
        """
        settings.check_access()
        self._settings = settings
        cache = None if settings.cache is None else str(Path(settings.cache).expanduser().absolute())
        self.client = Client(settings, settings, cache)

    def ask(
        self,
        prompt: str,
        parts: Mapping[str, str],
        schema: Mapping[str, Any],
        parse: Callable[[Mapping[str, Any]], T | None],
    ) -> T | None:
        """Return what `parse` makes of the reply to the prompt file `prompt`; None where there is none.

        `parse` returns None for an object that is not what was asked for. Why there is nothing is one word in
        the log.
        """
        sections = messages_of(PROMPTS / f"{prompt}.v1.txt", parts)

        def read(reply: ModelReply) -> T | None:
            found = json_object(reply.text)
            return None if found is None else parse(found)

        own = self._settings
        request = own.request(sections, schema=schema)
        try:
            reply = self.client.complete_object(
                request, lambda reply: "unusable" if read(reply) is None else None
            )
        except (EndpointError, LimitReached) as error:
            word: str | None = why_not(error)
        else:
            word = reply.reason
        if word is None:
            return read(reply)
        _LOG.warning("%s: the rules stand in for the model (%s)", self._settings.place, word)
        return None


def why_not(error: EndpointError | LimitReached) -> str:
    """Return the word for an error that is logged."""
    if isinstance(error, LimitReached):
        return "limit"
    return "unreachable" if isinstance(error, EndpointDown) else "refused"


def message_block(text: str) -> str:
    """Return the message at hand, fenced."""
    return fenced("message", neutral(text, MAX_QUERY).split("\n"))


def dialogue_blocks(dialogue: Dialogue | None) -> dict[str, str]:
    """Return the parts `query`, `turns` and `known` of a prompt, fenced."""
    query = [] if dialogue is None else neutral(dialogue.query, MAX_QUERY).split("\n")
    turns: Sequence[str] = ()
    known: Sequence[str] = ()
    if dialogue is not None:
        turns = [f"{turn.speaker}: {one_line(turn.text, MAX_VALUE)}" for turn in dialogue.turns[-MAX_TURNS:]]
        context = dialogue.context.items()
        known = [f"{one_line(name, 100)}: {one_line(value.words, MAX_VALUE)}" for name, value in context]
    return {"query": fenced("query", query), "turns": fenced("turns", turns), "known": fenced("known", known)}
