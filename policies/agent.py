"""The agent: one conversation, from a query to the context for its answer.

    agent = Agent.load("outputs/run")            # or Agent.load(): the table that ships with the package
    turn = agent.start("Should I lend my brother the money?")
    while turn.kind == "ask":
        turn = agent.reply(input(turn.question) or None)      # None: declined
    # turn.kind is "answer" (turn.context) or "escalate" (turn.resources)

Answers live in memory only. `to_json` hands them to the caller, who decides what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from envs import Schema, UserError
from envs.scenario import Profile
from policies.composed import ComposedPolicy
from policies.conversation import Conversation, Turn, well_formed
from policies.dialogue_state import DialogueState, Policy
from policies.embeddings import Embedding
from policies.plan_index import Neighbours, PlanIndex
from policies.understanding.detector import Danger, Detector, default_detector
from policies.understanding.reader import Reader, default_reader

Responder = Callable[[str, Profile], "str | None"]
"""(query, context) -> the answer of the target model, None where it gave none."""


class Agent:
    """One conversation at a time, with an index that many agents can share.

    Parameters
    ----------
    plan_index : stored plans (`PlanIndex.load`)
    policy : decides what to ask and when to answer; default: vote of the neighbours, `value` stopping
    detector, reader : signs of danger, and how free text is read; default: the files in `policies/data`
    respond : (query, context) -> the target model's answer; None = no model is configured
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
        self.plan_index = plan_index
        self.policy = policy or ComposedPolicy()
        self.detector = detector or default_detector()
        self.reader = reader or default_reader()
        self.respond = respond
        self._state: Conversation | None = None
        self._turn: Turn | None = None

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

    def start(self, query: str, domain: str | None = None) -> Turn:
        """Begin a conversation, forgetting the one before.

        `domain`: the query's, where the caller knows it; then only plans of that domain are looked at.

        Raises
        ------
        UserError
            the query is empty or no text.
        """
        if not isinstance(query, str) or not query.strip():
            raise UserError("query: found nothing, expected what the person asks")
        state = Conversation(well_formed(query), domain)
        danger = self.detector.check(state.query)
        if danger is not None:
            return self._now(state, self._escalate(state, danger))
        state.neighbours = self.plan_index.neighbours(state.query, self.policy.n_neighbours, domain)
        state.context.update(self.reader.reveals(state.query, self.plan_index.schema))
        state.revealed = tuple(state.context)
        return self._now(state, self._decide(state))

    def reply(self, text: str | None) -> Turn:
        """Take the answer to the last question; None, and words that tell nothing, count as declined.

        Where the policy or the target model fails with an error the question stays open, and the reply can be
        given again.

        Raises
        ------
        UserError
            no question is open, or `text` is neither text nor None.
        """
        before, attribute = self._running(), self.turn.attribute
        if attribute is None:
            raise UserError(f"agent.reply: the last turn is {self.turn.kind!r}, expected an open question")
        if not isinstance(text, str | None):
            raise UserError(f"agent.reply: found a {type(text).__name__}, expected a text or None")
        text = None if text is None else well_formed(text)
        danger = None if text is None else self.detector.check(text, attribute)
        state = before.copy()
        state.asked += (attribute,)
        if text is None or self.reader.tells_nothing(text):
            state.declined += (attribute,)
        else:
            state.context[attribute] = text.strip()
        turn = self._decide(state) if danger is None else self._escalate(state, danger)
        return self._now(state, turn)

    def answer_now(self) -> Turn:
        """End the questions: return the answer with what is known so far.

        Raises
        ------
        UserError
            the conversation has not begun, or ended with an escalation.
        """
        if self.turn.kind == "escalate":
            raise UserError("agent.answer_now: the conversation ended with an escalation")
        if self.turn.kind == "answer":
            return self.turn
        state = self._running()
        return self._now(state, self._answer(state, "the questions were ended"))

    def to_json(self) -> str:
        """Return the conversation as JSON, values included: keep it as what it is, somebody's answers.

        Raises
        ------
        UserError
            no conversation has begun.
        """
        turn = self.turn
        return self._running().to_json(
            turn.kind, turn.attribute, turn.reason, turn.response, turn.signal, self.plan_index
        )

    @classmethod
    def from_json(cls, text: str, source: Agent | str | Path | None = None) -> Agent:
        """Return an agent that goes on where `to_json` left off.

        `source`: an agent whose index and policy to share (what a server does), or the paths to load with
        the default policy; None = those that the conversation was begun with. Their place is in
        `text`: say it yourself where `text` has been in other hands.

        Raises
        ------
        UserError
            no JSON of a conversation, or it was begun with another table or embedding.
        """
        state, saved = Conversation.from_json(text)
        if source is None:
            source = saved.source or None
        agent = source.new() if isinstance(source, Agent) else cls.load(source)
        state.attach(saved, agent.plan_index)
        if saved.kind == "ask" and saved.attribute is not None:
            turn = agent._ask(state, saved.attribute, saved.reason)
        elif saved.kind == "answer":
            turn = agent._ended(state, saved.reason, saved.response)
        else:
            turn = agent._escalate(state, agent.detector.by_name(saved.signal))
        agent._now(state, turn)
        return agent

    def _running(self) -> Conversation:
        if self._state is None:
            raise UserError("agent: no conversation has begun, expected start(query) first")
        return self._state

    def _now(self, state: Conversation, turn: Turn) -> Turn:
        """Make `state` and `turn` the conversation's: together and last, so that an error leaves no half."""
        self._state, self._turn = state, turn
        return turn

    def _dialogue(self, state: Conversation) -> DialogueState:
        budget = self.plan_index.budget if self.policy.budget is None else self.policy.budget
        return DialogueState(
            self.plan_index,
            state.query,
            state.ordered(self.plan_index.schema.names),
            state.asked,
            state.declined,
            state.neighbours,
            budget - len(state.asked),
            state.domain,
        )

    def _decide(self, state: Conversation) -> Turn:
        dialogue = self._dialogue(state)
        decision = self.policy.decide(dialogue)
        if decision.attribute is None or dialogue.budget_left < 1:
            return self._answer(state, decision.reason)
        names = self.plan_index.schema.names
        if decision.attribute not in names or not dialogue.open[names.index(decision.attribute)]:
            raise UserError(
                f"policy: asks {decision.attribute!r}, expected an attribute neither known nor declined"
            )
        return self._ask(state, decision.attribute, decision.reason)

    def _ask(self, state: Conversation, name: str, reason: str) -> Turn:
        attribute = self.plan_index.schema.attributes[self.plan_index.schema.index(name)]
        return Turn(
            "ask",
            name,
            attribute.question,
            attribute.why,
            reason,
            path=state.asked,
            declined=state.declined,
            revealed=state.revealed,
        )

    def _answer(self, state: Conversation, reason: str) -> Turn:
        context = state.ordered(self.plan_index.schema.names)
        response = None if self.respond is None else self.respond(state.query, context)
        return self._ended(state, reason, response)

    def _ended(self, state: Conversation, reason: str, response: str | None) -> Turn:
        return Turn(
            "answer",
            reason=reason,
            context=state.ordered(self.plan_index.schema.names),
            path=state.asked,
            declined=state.declined,
            revealed=state.revealed,
            response=response,
        )

    def _escalate(self, state: Conversation, danger: Danger) -> Turn:
        return Turn(
            "escalate",
            reason="signs of acute danger",
            path=state.asked,
            declined=state.declined,
            message=danger.message,
            resources=danger.resources,
            signal=danger.signal,
        )


def converse(agent: Agent, query: str, answer: Callable[[Turn], str | None]) -> Turn:
    """Hold a whole conversation: `answer` gives the reply to each question. Return the last turn."""
    turn = agent.start(query)
    while turn.kind == "ask":
        turn = agent.reply(answer(turn))
    return turn
