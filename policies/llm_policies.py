"""Acquisition and abstention by a language model (METHOD: "Online agent").

The prompts are files in `policies/prompts`; queries, values and stored queries stand in them behind fences.
"""

from __future__ import annotations

from policies.acquisition import VoteAcquisition
from policies.chat import (
    Chat,
    Messages,
    checked_threshold,
    fenced,
    known_block,
    last_line,
    one_line,
    prompt,
    query_block,
)
from policies.dialogue_state import Choice, DialogueState
from policies.plan_index import NO_ATTRIBUTE

EXAMPLES = 5
"""Stored queries that a model is shown (the paper's k)."""


class LLMAcquisition:
    """A model names the next attribute, shown the queries and paths of the nearest `EXAMPLES` neighbours.

    `chat`: the model. A reply that names no open attribute, after the client's repetitions, falls back to the
    vote of the neighbours (`temperature`) and is counted.

    Attributes
    ----------
    n_asked, n_invalid : int, questions the model was to choose, and those that the vote chose instead
    """

    name = "llm"

    def __init__(self, chat: Chat, temperature: float = 0.1) -> None:
        self.chat = chat
        self.fallback = VoteAcquisition(temperature)
        self.n_asked = 0
        self.n_invalid = 0

    def choose(self, dialogue: DialogueState) -> Choice:
        """Return the attribute that the model names; without a gain, for it names none."""
        names = dialogue.schema.names
        allowed = {names[a].casefold(): a for a in range(len(names)) if dialogue.open[a]}
        self.n_asked += 1
        text = self.chat.ask(
            next_question(dialogue), lambda reply: (last_line(reply, "next") or "").casefold() in allowed
        )
        found = None if text is None else allowed.get((last_line(text, "next") or "").casefold())
        if found is None:
            self.n_invalid += 1
            choice = self.fallback.choose(dialogue)
            return choice._replace(reason=f"{choice.reason}, for the model named no open attribute")
        return Choice(found, reason="the model's choice")


class ScaleAbstention:
    """A model rates from 0 to 5 whether the context is sufficient; at `threshold` or above it is.

    The authors' scripts stop at >= 4 on synthetic queries and at >= 3 on real ones. A reply without a rating
    counts as insufficient: the agent asks on, and the budget ends it.

    Attributes
    ----------
    n_asked, n_invalid : int, contexts that were to be rated, and those without a rating
    """

    name = "scale"

    def __init__(self, chat: Chat, threshold: int = 4) -> None:
        self.chat = chat
        self.threshold = checked_threshold(threshold, "threshold")
        self.n_asked = 0
        self.n_invalid = 0

    def should_stop(self, dialogue: DialogueState, choice: Choice) -> tuple[bool, str]:
        """Ask for a rating of the names and values that are known."""
        self.n_asked += 1
        ratings = {str(rating): rating for rating in range(6)}
        text = self.chat.ask(
            sufficiency("scale", dialogue), lambda reply: last_line(reply, "sufficiency") in ratings
        )
        rating = None if text is None else ratings.get(last_line(text, "sufficiency") or "")
        if rating is None:
            self.n_invalid += 1
            return False, "the model gave no rating"
        return rating >= self.threshold, f"sufficiency {rating} of 5, {self.threshold} wanted"


class BinaryAbstention:
    """A model says whether the context is sufficient; a reply that says neither counts as insufficient.

    Attributes
    ----------
    n_asked, n_invalid : int, contexts asked about, and those without a yes or no
    """

    name = "binary"

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.n_asked = 0
        self.n_invalid = 0

    def should_stop(self, dialogue: DialogueState, choice: Choice) -> tuple[bool, str]:
        """Ask about the names and values that are known."""
        self.n_asked += 1
        verdicts = {"yes": True, "no": False}
        text = self.chat.ask(
            sufficiency("binary", dialogue),
            lambda reply: (last_line(reply, "sufficient") or "").casefold() in verdicts,
        )
        verdict = None if text is None else verdicts.get((last_line(text, "sufficient") or "").casefold())
        if verdict is None:
            self.n_invalid += 1
            return False, "the model said neither yes nor no"
        return verdict, f"the model finds the context {'sufficient' if verdict else 'insufficient'}"


def next_question(dialogue: DialogueState) -> Messages:
    """Return the prompt for the next question."""
    names, found = dialogue.schema.names, dialogue.neighbours
    examples = [
        f"{one_line(query, 300)} -> {', '.join(names[a] for a in path if a != NO_ATTRIBUTE) or 'nothing'}"
        for query, path in zip(
            dialogue.plan_index.queries(found.rows[:EXAMPLES]), found.paths[:EXAMPLES].tolist(), strict=True
        )
    ]
    return prompt(
        "next_question",
        {
            "query": query_block(dialogue.query),
            "known": known_block(dialogue.context),
            "examples": fenced("examples", examples),
            "open": "\n".join(f"- {name}" for name in _open(dialogue)),
        },
    )


def sufficiency(name: str, dialogue: DialogueState) -> Messages:
    """Return the prompt `name` (`scale` or `binary`) about the known names and values."""
    return prompt(
        name,
        {
            "query": query_block(dialogue.query),
            "known": known_block(dialogue.context),
            "unknown": ", ".join(_open(dialogue)) or "nothing",
        },
    )


def _open(dialogue: DialogueState) -> list[str]:
    return [name for name, is_open in zip(dialogue.schema.names, dialogue.open, strict=True) if is_open]
