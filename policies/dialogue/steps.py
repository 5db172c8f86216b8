"""What a message does to a conversation: each step takes a state and returns another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from envs import UserError
from policies.dialogue import phrases
from policies.dialogue.conversation import Alarm, Conversation, folded
from policies.dialogue.turn import Turn, turn_of
from policies.dialogue_state import DialogueState, Policy
from policies.plan_index import Neighbours, PlanIndex
from policies.understanding.detectors.check_answer import check_answer
from policies.understanding.reading import Danger, Detector, Dialogue, Reader, Reading

REPEATS = {"why": 2, "unclear": 2, "off_topic": 1, "correct": 5}
"""How often a reply of each intent leaves the question open; the next one counts as declined."""
MAX_CHECKS = 2
"""How often the question whether the person is safe is put before an unclear answer counts as grave."""


class Responder(Protocol):
    """Lets a model answer the person."""

    def __call__(self, query: str, context: Mapping[str, str], dialogue: Dialogue) -> str | None:
        """Return the answer to `query`, which may be a follow-up, in `context`; None where there is none."""
        ...


@dataclass(frozen=True)
class Steps:
    """The steps of conversations over one table; parts as of `policies.Agent`."""

    plan_index: PlanIndex
    policy: Policy
    reader: Reader
    detector: Detector
    respond: Responder | None

    def begin(self, state: Conversation) -> Conversation:
        """Take the query of `state`."""
        danger = self.detector.check(state.query)
        return self._open(state) if danger is None else self._alarm(state, danger, state.query)

    def take(self, before: Conversation, text: str | None) -> Conversation:
        """Take a message of the person, None = declined to say anything."""
        # A reader and a detector are shown what was said before the message, the open question included.
        shown = self._spoken(before)
        heard = replace(shown.said("person", text or ""), note="")
        if before.kind in ("ask", "answer"):
            heard = replace(heard, resume=before.kind)
        if before.kind == "check":
            return self._checked(shown, heard, text)
        if text is None and before.kind == "answer":
            return before
        danger, is_old = (None, False) if text is None else self._sign(shown, text)
        if danger is not None and text is not None:
            return self._alarm(heard, danger, text)
        state = self._on(shown, heard, text)
        if is_old or before.kind == "escalate":
            return replace(state, note=phrases.joined(phrases.HELP_STAYS, state.note))
        return state

    def _on(self, shown: Conversation, heard: Conversation, text: str | None) -> Conversation:
        """Go on with a message that shows no danger, or has been settled."""
        heard = replace(heard, danger=None, held=None)
        if heard.resume == "start":
            return self._reopen(shown, heard, text)
        if heard.resume == "ask":
            return self._reply(shown, heard, text)
        return replace(heard, kind="answer") if text is None else self._follow(shown, heard, text)

    def _reply(self, shown: Conversation, heard: Conversation, text: str | None) -> Conversation:
        """Take a reply to the open question, or one that goes on after help was shown in its place."""
        name = heard.attribute
        reading = Reading({}, "decline") if text is None else self._read(shown, text, name)
        intent, told = reading.intent, reading.values
        state = heard.learn(told, intent == "correct")
        if intent == "new_query" and text is not None:
            return self._new_query(state, text, reading)
        is_told = name is None or name in told
        if intent == "stop":
            return self.answer(state.closed() if is_told else state, "no more questions were wanted")
        if intent == "why" and name is not None:
            state = replace(state, note=self.why(state, name))
        elif told and (intent == "correct" or set(told) != {name}):
            say = phrases.changed if intent == "correct" else phrases.noted
            state = replace(state, note=say(self._listed(told)))
        elif intent == "decline" and not told and text:  # words are not taken so unseen
            state = replace(state, note=phrases.LEFT)
        if is_told or intent == "decline" or (intent == "answer" and not told):
            return self.decide(state.closed())
        return self._again(state, name, intent, bool(told))

    def _again(self, state: Conversation, name: str | None, intent: str, has_told: bool) -> Conversation:
        """Put the open question once more, unless that was done often enough."""
        if intent == "answer" or (intent == "correct" and not has_told):
            intent = "off_topic"
        times = state.repeats.count(intent)
        if name is None or times >= REPEATS[intent]:
            return self.decide(replace(state.closed(), note=phrases.joined(state.note, phrases.LEFT)))
        if intent == "unclear":
            attribute = self.plan_index.schema.attributes[self.plan_index.schema.index(name)]
            state = replace(state, note=phrases.reworded(attribute, times))
        elif intent == "off_topic":
            state = replace(state, note=phrases.joined(state.note, phrases.NOT_AN_ANSWER))
        return replace(state, kind="ask", repeats=(*state.repeats, intent))

    def _follow(self, shown: Conversation, heard: Conversation, text: str) -> Conversation:
        """Take what is written after an answer: a follow-up, a correction, a new query, or thanks."""
        reading = self._read(shown, text, None)
        intent, told = reading.intent, reading.values
        state = replace(heard.learn(told, intent == "correct"), kind="answer")
        if intent == "new_query":
            return self._new_query(state, text, reading)
        thanks = intent == "decline" and "?" not in text  # who asks, however shortly, wants an answer
        if (intent == "stop" or thanks) and not told:
            return replace(state, question="", note=phrases.ALL_RIGHT)
        if intent == "correct":
            if not told:
                return replace(state, question="", note=phrases.NOTHING_CHANGED)
            state = replace(state, note=phrases.changed(self._listed(told)))
            return self.answer(state, "something known was changed", state.question or state.query)
        note = phrases.noted(self._listed(told)) if told else ""
        return self.answer(replace(state, note=note), "a follow-up", text)

    def _reopen(self, shown: Conversation, heard: Conversation, text: str | None) -> Conversation:
        """Go on where help was shown before the query was looked at."""
        reading = Reading() if text is None else self._read(shown, text, None)
        state = heard.learn(reading.values)
        if reading.intent == "new_query" and text is not None:
            return self._new_query(state, text, reading)
        if reading.intent == "stop":
            return self.answer(self._looked_up(state), "no more questions were wanted")
        return self._open(state)

    def _open(self, state: Conversation) -> Conversation:
        return self.decide(self._looked_up(state))

    def _looked_up(self, state: Conversation) -> Conversation:
        """Read the query, and find what was planned for queries like it."""
        told = self.reader.read(state.query, self.plan_index.schema).values
        return replace(
            state.learn(told), revealed=self._listed(told), neighbours=self.neighbours(state), resume="ask"
        )

    def _new_query(self, state: Conversation, text: str, reading: Reading) -> Conversation:
        """Turn to another subject: neighbours anew, a budget anew, and all that is known kept."""
        state = replace(
            state,
            query=text,
            domain=None,
            earlier=len(state.asked),
            revealed=self._listed(reading.values),
            attribute=None,
            repeats=(),
            note=phrases.new_query(self._listed(state.values)),
        )
        return self.decide(replace(state, neighbours=self.neighbours(state)))

    def _checked(self, shown: Conversation, heard: Conversation, text: str | None) -> Conversation:
        """Take the answer to the question whether the person is safe."""
        said = "unclear" if text is None else check_answer(text)
        sign = None if text is None else self.detector.check(text, None, shown.dialogue())
        held = heard.held if heard.held is not None else heard.query
        if sign is not None and sign.certain and text is not None:
            heard = replace(heard, alarms=(*heard.alarms, Alarm(sign.signal, text)))
            return self._escalate(heard, sign, held)
        if said == "grave" or (said == "unclear" and (sign is not None or heard.checks >= MAX_CHECKS)):
            return self._escalate(heard, _grave(heard.danger), held)
        if said == "unclear":
            return replace(heard, checks=heard.checks + 1, note=phrases.CHECK_AGAIN)
        quiet = replace(heard, danger=None, held=None)
        return self._open(quiet) if heard.resume == "start" else self._on(shown, quiet, held)

    def _sign(self, shown: Conversation, text: str) -> tuple[Danger | None, bool]:
        """Return (the sign of danger in `text`, whether it was acted on before)."""
        asked = shown.attribute if shown.kind == "ask" else None
        danger = self.detector.check(text, asked, shown.dialogue())
        if danger is None or not shown.alarms:
            return danger, False
        if folded(text) in {folded(alarm.words) for alarm in shown.alarms}:
            return None, True
        if danger.signal in {alarm.signal for alarm in shown.alarms}:
            # A detector that reads the whole dialogue finds the old words again: they are no new sign.
            danger = self.detector.check(text, asked)
        return danger, danger is None

    def _alarm(self, state: Conversation, danger: Danger, text: str) -> Conversation:
        if danger.certain:
            return self._escalate(state, danger, text)
        alarms = (*state.alarms, Alarm(danger.signal, text))
        return replace(state, kind="check", danger=danger, held=text, checks=1, alarms=alarms)

    def _escalate(self, state: Conversation, danger: Danger, text: str) -> Conversation:
        """Show help. What the message told counts, and the question it replied to is asked no more."""
        if state.resume != "start":
            name = state.attribute if state.resume == "ask" else None
            state = state.learn(self._read(state, text, name).values).closed()
        return replace(
            state,
            kind="escalate",
            danger=danger,
            held=None,
            reason="signs of acute danger",
            alarms=(*state.alarms, Alarm(danger.signal, text)),
        )

    def decide(self, state: Conversation) -> Conversation:
        """Ask what the policy says, or answer.

        Raises
        ------
        UserError
            the policy asks what is known, declined or no attribute.
        """
        dialogue = self.dialogue_state(state)
        decision = self.policy.decide(dialogue)
        if decision.attribute is None or dialogue.budget_left < 1:
            return self.answer(state, decision.reason)
        names = self.plan_index.schema.names
        if decision.attribute not in names or not dialogue.open[names.index(decision.attribute)]:
            raise UserError(
                f"policy: asks {decision.attribute!r}, expected an attribute neither known nor declined"
            )
        return replace(state, kind="ask", attribute=decision.attribute, repeats=(), reason=decision.reason)

    def answer(self, state: Conversation, reason: str, question: str | None = None) -> Conversation:
        """End the questions: `question` (the query where None is given) is to be answered."""
        question = state.query if question is None else question
        state = replace(
            state, kind="answer", attribute=None, repeats=(), reason=reason, question=question, response=None
        )
        if self.respond is None:
            return state
        context = state.ordered(self.plan_index.schema.names)
        return replace(state, response=self.respond(question, context, state.dialogue()))

    def dialogue_state(self, state: Conversation) -> DialogueState:
        """Return what a policy sees of `state`."""
        return DialogueState(
            self.plan_index,
            state.query,
            state.ordered(self.plan_index.schema.names),
            state.path,
            state.declined,
            state.neighbours,
            self._budget - len(state.path),
            state.domain,
            {name: value.level for name, value in state.values.items()},
        )

    def turn(self, state: Conversation) -> Turn:
        """Return what to say where `state` stands."""
        return turn_of(state, self.plan_index.schema, self._budget)

    def why(self, state: Conversation, name: str) -> str:
        """Return what the question about the attribute `name` is for, and why it comes up here."""
        index, place = self.plan_index, self.plan_index.schema.index(name)
        return phrases.why(index.schema.attributes[place], place, state.neighbours, name in index.made_up)

    def neighbours(self, state: Conversation) -> Neighbours:
        """Return the stored queries nearest to the query."""
        return self.plan_index.neighbours(state.query, self.policy.n_neighbours, state.domain)

    @property
    def _budget(self) -> int:
        return self.plan_index.budget if self.policy.budget is None else self.policy.budget

    def _read(self, shown: Conversation, text: str, asked: str | None) -> Reading:
        return self.reader.read(text, self.plan_index.schema, asked, shown.dialogue())

    def _listed(self, names: Collection[str]) -> tuple[str, ...]:
        return tuple(name for name in self.plan_index.schema.names if name in names)

    def _spoken(self, state: Conversation) -> Conversation:
        """Return `state` with what the agent said last among its messages."""
        turn = self.turn(state)
        answer = turn.response if turn.question else None
        text = {"ask": turn.question, "answer": answer, "escalate": turn.message}[turn.kind]
        return state.said("agent", text, turn.attribute) if text else state


def _grave(danger: Danger | None) -> Danger:
    """Return a suspicion that has proved right, with the message of its kind: its own was a question."""
    from policies.understanding.detectors.rules_detector import default_detector

    rules = default_detector()
    known = rules.by_name("" if danger is None else danger.signal)
    if danger is None:
        return known
    return Danger(
        danger.signal,
        danger.kind,
        rules.messages.get(danger.kind, known.message),
        danger.resources or known.resources,
    )
