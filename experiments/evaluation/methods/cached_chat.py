"""Language model that chooses questions and rates contexts in an evaluation: cached, limited, counted.

A conversation with a person keeps nothing of what is said (`policies.chat`). An evaluation asks about
scenarios that are on file, and keeps the replies: what was paid for once is free in every later run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pydantic import Field

from envs.checking.validation import MaybeCount, settings, takes
from envs.llm import ChatRequest
from envs.llm.cached_model import CachedModel, CachedModelSettings
from envs.llm.client import ATTEMPTS
from envs.llm.costs import RequestCost, request_cost
from envs.llm.endpoint import Seconds, Temperature
from policies.chat import Messages
from policies.dialogue_state import Abstention, Acquisition
from policies.llm_policies import BinaryAbstention, LLMAcquisition, ScaleAbstention

CHOOSES, RATES, SAYS = "names the next question (llm)", "rates the context (scale)", "says yes or no (binary)"
CHOSEN_ASKS = "chosen policy"
THRESHOLDS = (1, 2, 3, 4, 5)
"""Operating points of `scale`; 0 would answer at once. The authors' scripts have 4, on real queries 3."""
MOST_REQUESTS = 2 * ATTEMPTS - 1
"""Of one question to the model: unusable replies, each cached, and a last one that the client repeats."""
REPLY_TOKENS = 60
"""What a line with a reason has on average; for estimates alone."""


class Topic:
    """What the model is asked about, one kind of question; a `policies.chat.Chat`.

    Every distinct prompt counts once, however many methods ask it, so that the counts are the same whatever
    the order.
    """

    def __init__(self, name: str, reply: Callable[[Messages, Callable[[str], bool]], str | None]) -> None:
        self.name = name
        self._reply = reply
        self._known: dict[Messages, str | None] = {}
        self._lock = threading.Lock()

    def ask(self, messages: Messages, usable: Callable[[str], bool]) -> str | None:
        """Return a usable reply, None where there is none after all repetitions."""
        if messages in self._known:
            return self._known[messages]
        found = self._reply(messages, usable)
        with self._lock:  # of two threads that asked the same, both go on with the first reply
            return self._known.setdefault(messages, found)

    @property
    def n_asked(self) -> int:
        """Distinct prompts so far."""
        return len(self._known)

    @property
    def n_invalid(self) -> int:
        """Those of them without a usable reply."""
        return sum(reply is None for reply in self._known.values())


@settings
class ChatSettings(CachedModelSettings):
    """The model's endpoint, how its replies are drawn, and what they may take."""

    temperature: Temperature = Field(default=0.0, description="null: not sent")
    max_output_tokens: MaybeCount = Field(default=512, description="of a reply; null: not sent")
    timeout_s: Seconds = Field(default=60.0, description="seconds a request may take")
    place: str = "chat"


class CachedChat(CachedModel):
    """A model at an OpenAI-compatible endpoint, its replies cached whether they can be used or not.

    An unusable reply is asked for again up to twice, under the next sample index, as an agent would; each of
    the replies is kept, so that a second run sends nothing. Safe to call from many threads.

    Parameters are the fields of `ChatSettings`, by keyword; raises as `CachedModel`.
    """

    @takes(ChatSettings)
    def __init__(self, settings: ChatSettings) -> None:
        self.name = settings.model
        super().__init__(settings)
        self.topics: dict[str, Topic] = {}

    def about(self, name: str) -> Topic:
        """Return the topic `name`, counted by itself."""
        return self.topics.setdefault(name, Topic(name, self._reply))

    def ask(self, messages: Messages, usable: Callable[[str], bool]) -> str | None:
        """Return a usable reply, None where there is none after all repetitions.

        Raises
        ------
        EndpointError, LimitReached
            the endpoint cannot work, or a limit is used up.
        """
        return self.about(CHOSEN_ASKS).ask(messages, usable)

    def acquisition(self) -> Acquisition:
        """Return `llm`."""
        return LLMAcquisition(self.about(CHOOSES))

    def abstentions(self) -> dict[str, Abstention]:
        """Return `scale` at each threshold, and `binary`, by name."""
        rating = self.about(RATES)
        found: dict[str, Abstention] = {f"scale {t}": ScaleAbstention(rating, t) for t in THRESHOLDS}
        return {**found, "binary": BinaryAbstention(self.about(SAYS))}

    def cost(self, messages: Messages) -> RequestCost:
        """Return what one request with `messages` takes; nothing is sent."""
        return request_cost(self.client, self._request(messages, 0), REPLY_TOKENS)

    def _request(self, messages: Messages, sample: int) -> ChatRequest:
        return self._sampling.request(messages, sample=sample)

    def _reply(self, messages: Messages, usable: Callable[[str], bool]) -> str | None:
        for sample in range(ATTEMPTS):
            reply = self.client.complete(self._request(messages, sample))
            if reply.reason is not None:
                return None  # the client has repeated it
            if usable(reply.text):
                return reply.text
        return None
