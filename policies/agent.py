"""The agent: one conversation, from a query to the context for its answer, and on from there.

    agent = Agent.load("outputs/run")            # or Agent.load(): the table that ships with the package
    turn = agent.start("Should I lend my brother the money?")
    while turn.kind == "ask":
        turn = agent.reply(input(turn.question) or None)      # None: declined
    # turn.kind is "answer" (turn.context) or "escalate" (turn.resources); reply goes on from both

Answers live in memory only. `to_json` hands them to the caller, who decides what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from envs import Schema, UserError
from envs.scenario import Profile
from policies.composed import ComposedPolicy
from policies.dialogue import Conversation, Responder, Steps, Turn, phrases
from policies.dialogue.conversation import well_formed
from policies.dialogue.known_values import known_values
from policies.dialogue.transcript import shown
from policies.dialogue_state import Policy
from policies.embeddings import Embedding
from policies.plan_index import Neighbours, PlanIndex
from policies.understanding.reading import Detector, Dialogue, Reader, Value


class Agent:
    """One conversation at a time, with an index that many agents can share.

    Parameters
    ----------
    plan_index : stored plans (`PlanIndex.load`)
    policy : decides what to ask and when to answer; default: the plan beside the table, `value` stopping
    detector, reader : signs of danger, and how free text is read; default: the rules of the package
    respond : lets a model answer, and waits; None = the caller may, and hands the text to `answered`
    """

    def __init__(
        self,
        plan_index: PlanIndex,
        policy: Policy | None = None,
        *,
        detector: Detector | None = None,
        reader: Reader | None = None,
        respond: Responder | None = None,
    ) -> None:
        from policies.understanding.detectors.rules_detector import default_detector
        from policies.understanding.readers.rules_reader import default_reader

        self.plan_index = plan_index
        self.policy = policy or ComposedPolicy()
        self.detector = detector or default_detector()
        self.reader = reader or default_reader()
        self.respond = respond
        self._state: Conversation | None = None
        self._turn: Turn | None = None
        self._history: tuple[Conversation, ...] = ()

    @classmethod
    def load(
        cls,
        paths: str | Path | None = None,
        policy: Policy | None = None,
        *,
        embedding: Embedding | None = None,
        schema: Schema | None = None,
        index: str | Path | None = None,
        detector: Detector | None = None,
        reader: Reader | None = None,
        respond: Responder | None = None,
    ) -> Agent:
        """Return an agent that follows the plans in `paths`, a run folder or a Parquet file.

        `paths=None` is the small table that ships with the package. `embedding`, `schema`, `index`: see
        `PlanIndex.load`; the others as for `Agent`.

        Raises
        ------
        UserError
            one line: what is wrong with a file.
        """
        plan_index = PlanIndex.load(paths, embedding, schema, index)
        return cls(plan_index, policy, detector=detector, reader=reader, respond=respond)

    def __repr__(self) -> str:
        kind = "not started" if self._turn is None else self._turn.kind
        return f"Agent({len(self.plan_index)} plans, {kind})"

    def new(self) -> Agent:
        """Return an agent for another conversation that shares everything with this one."""
        return Agent(
            self.plan_index, self.policy, detector=self.detector, reader=self.reader, respond=self.respond
        )

    def branch(self) -> Agent:
        """Return an agent where this one stands; what is said to either is not said to the other."""
        other = self.new()
        other._state, other._turn, other._history = self._state, self._turn, self._history
        return other

    @property
    def turn(self) -> Turn:
        """The last turn; `UserError` before `start`."""
        if self._turn is None:
            raise UserError("agent: no conversation has begun, expected start(query) first")
        return self._turn

    @property
    def neighbours(self) -> Neighbours:
        """The stored queries nearest to this conversation's query; empty after an escalation at once."""
        return self._running().neighbours

    @property
    def context(self) -> Profile:
        """What is known by now, {attribute: words}, in schema order."""
        return self._running().ordered(self.plan_index.schema.names)

    @property
    def dialogue(self) -> Dialogue:
        """What was said so far, for a model that answers."""
        return self._running().dialogue()

    def start(
        self, query: str, known: Mapping[str, str | Value] | None = None, *, domain: str | None = None
    ) -> Turn:
        """Begin a conversation, forgetting the one before.

        `known`: what the caller knows already, {attribute: words or `Value`}; it is not asked. `domain`: the
        query's, where the caller knows it; then only plans of that domain are looked at.

        Raises
        ------
        UserError
            the query is empty or no text; `known` names no attribute, or a value is none.
        """
        if not isinstance(query, str) or not query.strip():
            raise UserError("query: found nothing, expected what the person asks")
        text, note = phrases.cut(well_formed(query))
        state = Conversation(text, domain, known_values(known or {}, self.plan_index.schema, self.reader))
        state = self._steps.begin(state)
        return self._now(replace(state, note=phrases.joined(note, state.note)), ())

    def reply(self, text: str | None) -> Turn:
        """Take what the person says next, whatever the last turn was; None = declined to answer.

        A reply may answer, decline, ask why or for other words, correct something, tell several things at
        once, end the questions, or ask something else: the reader says which. Where a part fails with an
        error (an endpoint that is down) nothing has changed, and the reply can be given again.

        Raises
        ------
        UserError
            no conversation has begun, or `text` is neither text nor None.
        """
        before = self._running()
        if not isinstance(text, str | None):
            raise UserError(f"agent.reply: found a {type(text).__name__}, expected a text or None")
        words, note = (None, "") if text is None or not text.strip() else phrases.cut(well_formed(text))
        state = self._steps.take(before, words)
        if state is before:
            return self.turn
        return self._now(replace(state, note=phrases.joined(note, state.note)), (*self._history, before))

    def why(self) -> str:
        """Return what the open question is for, and why it comes up here; "" where none is open."""
        state = self._running()
        name = state.attribute if state.kind == "ask" else None
        return "" if name is None else self._steps.why(state, name)

    def undo(self) -> Turn:
        """Take back the last reply: return the turn before it.

        Raises
        ------
        UserError
            nothing was said since the start, or what was is forgotten.
        """
        self._running()
        if not self._history:
            raise UserError("agent.undo: found no reply to take back")
        return self._now(self._history[-1], self._history[:-1])

    def forget(self, attribute: str) -> Turn:
        """Forget what is known of `attribute`, in what was said too; it is not asked again, nor undone.

        Raises
        ------
        UserError
            it is not known.
        """
        state = self._running()
        if attribute not in state.values:
            raise UserError(f"agent.forget: nothing is known of {attribute!r}")
        question = "" if state.kind == "answer" else state.question  # which is not answered once more
        state = replace(state.without(attribute), question=question, note=phrases.forgotten(attribute))
        return self._now(state, ())

    def answer_now(self) -> Turn:
        """End the questions: return the answer with what is known so far.

        A question whether the person is safe stays: that comes first.

        Raises
        ------
        UserError
            no conversation has begun.
        """
        before = self._running()
        if before.kind in ("answer", "check"):
            return self.turn
        state = replace(before, note="", danger=None)
        state = self._steps.answer(state, "the questions were ended")
        return self._now(state, (*self._history, before))

    def answered(self, text: str) -> Turn:
        """Keep `text` as what a model answered to `turn.question`; follow-ups are answered knowing it.

        Raises
        ------
        UserError
            the last turn is no answer.
        """
        if self.turn.kind != "answer":
            raise UserError(f"agent.answered: the last turn is {self.turn.kind!r}, expected 'answer'")
        return self._now(replace(self._running(), response=well_formed(text)), self._history)

    def said(self, text: str) -> bool:
        """Take `text` for what was said to the person last; return whether it is what this agent says here.

        Clients of a chat resend a conversation as they show it: turns are edited, lost, or somebody else's.
        A question of the schema, or its listed rewording, is the open one then, whichever the policy would
        ask; any other text has answered the person.

        Raises
        ------
        UserError
            no conversation has begun.
        """
        state, is_expected = shown(self._running(), self.turn, text, self.plan_index.schema)
        self._now(state, self._history)
        return is_expected

    def to_json(self) -> str:
        """Return the conversation as JSON, with somebody's answers in it; `UserError` before `start`."""
        from policies.dialogue.saved_conversation import to_json

        return to_json(self._running(), self._history, self.plan_index)

    @classmethod
    def from_json(cls, text: str, source: Agent | str | Path | None = None) -> Agent:
        """Return an agent that goes on where `to_json` left off.

        `source`: an agent whose index and policy to share (what a server does), or the paths to load with
        the default policy; None = those that the conversation was begun with. Their place is in
        `text`: say it yourself where `text` has been in other hands. Over a table that was planned anew it
        goes on too, with plans of that table, as far as the schema still has the attributes.

        Raises
        ------
        UserError
            no JSON of a conversation, or of another version.
        """
        from policies.dialogue.saved_conversation import read_json, restored

        saved = read_json(text)
        if source is None:
            source = saved.source or None
        agent = source.new() if isinstance(source, Agent) else cls.load(source)
        state, history = restored(saved, agent.plan_index, agent.policy.n_neighbours)
        if state.kind == "ask" and state.attribute is None:
            state = agent._steps.decide(state)
        agent._now(state, history)
        return agent

    @property
    def _steps(self) -> Steps:
        return Steps(self.plan_index, self.policy, self.reader, self.detector, self.respond)

    def _running(self) -> Conversation:
        if self._state is None:
            raise UserError("agent: no conversation has begun, expected start(query) first")
        return self._state

    def _now(self, state: Conversation, history: tuple[Conversation, ...]) -> Turn:
        """Make `state` the conversation's: all together and last, so that an error leaves no half."""
        turn = self._steps.turn(state)
        self._state, self._turn, self._history = state, turn, history
        return turn


def converse(agent: Agent, query: str, answer: Callable[[Turn], str | None]) -> Turn:
    """Hold a whole conversation: `answer` gives the reply to each question. Return the last turn."""
    turn = agent.start(query)
    while turn.kind == "ask":
        turn = agent.reply(answer(turn))
    return turn
