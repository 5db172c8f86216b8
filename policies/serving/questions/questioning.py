"""What is done with a request: the dialogue is rebuilt from its messages, and the agent says what comes next.

Nothing that counts is kept between requests: clients resend, edit, branch and retry conversations, and what
they send is what was said. See `dialogue_cache` for what is remembered of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from envs.scenario import Profile
from policies.agent import Agent
from policies.dialogue import Turn, phrases
from policies.dialogue.transcript import consent_text, spoken
from policies.serving.questions.chat_messages import Said
from policies.serving.questions.dialogue_cache import DialogueCache
from policies.serving.questions.gates import QuestionGate
from policies.serving.questions.rebuilt_dialogue import Moment


@dataclass(frozen=True)
class NextStep:
    """What comes next.

    Attributes
    ----------
    kind : "pass": the request goes on as it is; "answer": it goes on with what is known of the person;
        "consent", "ask" and "escalate": `text` is said in the model's place
    text : see `kind`
    turn : the agent's; None for "pass"
    query : what the person asked, where the answer is about that and not about the last message
    context : {attribute: words} known
    """

    kind: Literal["pass", "answer", "consent", "ask", "escalate"]
    text: str = field(default="", repr=False)
    turn: Turn | None = None
    query: str | None = field(default=None, repr=False)
    context: Profile = field(default_factory=lambda: Profile({}))


PASS = NextStep("pass")


class Questioning:
    """Asks before a model answers; safe to call from many threads.

    `agent`: whose plans and parts are shared; `gate`: which messages may get questions; `shows_why`: the
    reason stands in the text of each question; `consent`: whether questions may come is a question first;
    `remembered`: turns whose dialogue stays in memory for a while, which spares its replay; 0: none.
    """

    def __init__(
        self,
        agent: Agent,
        gate: QuestionGate,
        shows_why: bool = False,
        consent: bool = False,
        remembered: int = 0,
    ) -> None:
        self._start = Moment(agent, gate)
        self._cache = DialogueCache(remembered)
        self._shows_why = shows_why
        self._consent = consent

    def next_step(self, said: Sequence[Said], may_ask: bool = True, owner: str = "") -> NextStep:
        """Return what comes after `said`, whose last message is the person's.

        `may_ask`: the request may be answered by a question; else what is known goes along, and no more.
        `owner`: whose dialogue it is; nobody's is told by how fast another's goes.
        """
        message = self._cache.heard(self._start, said, owner)
        found = message.next_turn(may_ask)
        if found is None:
            return PASS
        now, is_about_last = found
        assert now.agent is not None  # noqa: S101 - it is its turn
        agent, turn = now.agent, now.agent.turn
        if turn.kind == "answer" or not may_ask:
            query = None if is_about_last else agent.dialogue.query
            return NextStep("answer", "", turn, query, agent.context)
        is_first = turn.attribute is not None and not now.has_asked
        if is_first and self._consent and not now.has_consent:
            return NextStep("consent", consent_text(turn.of), turn, None, agent.context)
        if is_first and not now.has_consent:
            turn = replace(turn, note=phrases.joined(phrases.before_questions(turn.of), turn.note))
        return NextStep(turn.kind, spoken(turn, self._shows_why), turn, None, agent.context)
