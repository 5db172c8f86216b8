"""A dialogue rebuilt from the messages of a request, message by message; no step changes the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from policies.agent import Agent
from policies.dialogue.transcript import (
    JUST_ANSWER,
    SKIP,
    asks_consent,
    consents,
    forgets,
    question_in,
)
from policies.serving.questions.gates import QuestionGate, is_alarming
from policies.understanding.reading import Danger

T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Moment:
    """Where a dialogue stands between two messages.

    Attributes
    ----------
    shared, gate : the agent whose parts all dialogues use, and what opens one
    agent : None as long as nothing was said that the layer would ask about; never changed
    has_asked, has_consent : whether a question was put, and whether the person said that questions may come
    awaits_consent : whether the person was asked that last
    follows_lost_query : the assistant's last message is a question of ours whose query was cut away
    cut_short : the query about which no further question is put, for a turn was lost on the way
    """

    shared: Agent
    gate: QuestionGate
    agent: Agent | None = None
    has_asked: bool = False
    has_consent: bool = False
    awaits_consent: bool = False
    follows_lost_query: bool = False
    cut_short: str | None = None

    def began_before(self, text: str) -> Moment:
        """Return the moment after an assistant's message that nothing stands before: that was cut away."""
        return replace(self, follows_lost_query=self.asks(text))

    def asks(self, text: str) -> bool:
        """Tell whether `text` is a question of ours."""
        return question_in(text, self.shared.plan_index.schema) is not None


class HeardMessage:
    """The person's message `text` at the moment `before`.

    What follows from it is found out when it is asked for, and once: it follows from these two alone.
    """

    def __init__(self, before: Moment, text: str) -> None:
        self.before = before
        self.text = text
        self._found: dict[str, object] = {}

    def _once(self, name: str, find: Callable[[], T]) -> T:
        # `functools.cached_property` holds one lock for all messages, up to Python 3.11: a model that reads
        # one would keep all others waiting. Two threads that find the same thing do no harm.
        if name not in self._found:
            self._found[name] = find()
        return self._found[name]  # type: ignore[return-value]

    @property
    def danger(self) -> Danger | None:
        """The sign of danger in a message that begins something new."""
        return self._once("danger", lambda: self.before.shared.detector.check(self.text))

    @property
    def is_open(self) -> bool:
        """Whether the gate lets the message lead to questions."""
        return self._once("is_open", lambda: self.before.gate.opens(self.text))

    @property
    def started(self) -> Moment:
        """The moment after it where it begins a conversation of the agent's."""
        return self._once("started", self._start)

    @property
    def taken(self) -> Moment:
        """The moment after it in a conversation that the agent is in."""
        return self._once("taken", self._take)

    def _start(self) -> Moment:
        agent = self.before.shared.new()
        agent.start(self.text)
        return replace(self.before, agent=agent)

    def _take(self) -> Moment:
        before, words, schema = self.before, self.text.strip(), self.before.shared.plan_index.schema
        assert before.agent is not None  # noqa: S101 - callers look first
        agent = before.agent.branch()
        after = replace(before, agent=agent, awaits_consent=False)
        if before.awaits_consent:
            after = replace(after, has_consent=consents(words))
            if after.has_consent:
                return after
            if self.danger is None:
                agent.answer_now()
                return after
        name = forgets(words, schema)
        if words == JUST_ANSWER:
            agent.answer_now()
        elif name is None:
            agent.reply(None if words == SKIP else self.text)
        elif name in agent.context:
            agent.forget(name)
        return after

    def answered(self, reply: str) -> Moment:
        """Return the moment after the assistant's `reply` to it."""
        before = self.before
        asks = before.asks(reply)
        if before.agent is not None:
            after = self.taken
        elif before.follows_lost_query or not (asks or asks_consent(reply) or self.danger is not None):
            return replace(before, follows_lost_query=before.follows_lost_query and asks)
        else:
            after = self.started
        if asks_consent(reply):
            return replace(after, awaits_consent=True)
        assert after.agent is not None  # noqa: S101 - started, or there before
        agent = after.agent.branch()
        is_expected = agent.said(reply)
        # A turn was lost on the way: who asks on would ask what was asked, again and again.
        cut_short = agent.dialogue.query if asks and not is_expected else after.cut_short
        return replace(after, agent=agent, has_asked=after.has_asked or asks, cut_short=cut_short)

    def next_turn(self, may_ask: bool) -> tuple[Moment, bool] | None:
        """Return the moment in which it is answered, and whether the answer is about this very message.

        None where no agent is concerned with it.
        """
        before = self.before
        if before.agent is None:
            is_open = not before.follows_lost_query and may_ask and self.is_open
            if not may_ask or not (is_open or is_alarming(self.danger, self.text)):
                return None
            return self.started, True
        after = self.taken
        assert after.agent is not None  # noqa: S101 - as before
        query = after.agent.dialogue.query
        is_new = query != before.agent.dialogue.query
        turn = after.agent.turn
        is_question = turn.kind == "ask" and turn.attribute is not None
        if is_question and (query == after.cut_short or (is_new and not self.is_open)):
            agent = after.agent.branch()
            agent.answer_now()
            after = replace(after, agent=agent)
        return after, is_new or before.agent.turn.kind == "answer"
