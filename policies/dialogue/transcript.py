"""A turn as plain text, and back: what a chat client shows of a conversation and sends again."""

from __future__ import annotations

import functools
import re
from dataclasses import replace

from envs import Schema
from policies.dialogue import phrases
from policies.dialogue.conversation import Conversation, well_formed
from policies.dialogue.turn import Turn

SKIP = "Skip this question."
JUST_ANSWER = "Just answer now."
FORGET = "Forget this: {name}."
"""What buttons say in the person's place; they are taken by their words, without a reader."""
_CONSENT = re.compile(re.escape(phrases.may_i_ask(2).casefold()).replace("2", r"\d+"))
_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|ya|sure|ok|okay|k|go ahead|go on|please|of course|fine|al ?right|ask|why not"
    r"|ja|oui|si|s[ií])\b",
    re.I,
)
_NO = re.compile(r"\b(?:no|nope|not|don't|dont|won't|rather|just answer|without|nein|non)\b", re.I)


def spoken(turn: Turn, shows_why: bool = False) -> str:
    """Return what `turn` says to the person, "" for an answer without a note.

    The question is the last paragraph, a message of help the first: by these `question_in` and `says` find
    them again. `shows_why`: the number of a question, its attribute and its reason stand before it.
    """
    if turn.kind == "answer":
        return turn.note
    if turn.kind == "escalate":
        places = "\n".join(f"- {r.where}: {r.name}, {r.contact}" for r in turn.resources)
        return _paragraphs(_one_line(turn.message), places, turn.note)
    why = ""
    if shows_why and turn.attribute is not None:
        why = heading(turn)
    return _paragraphs(turn.note, _one_line(why), _one_line(turn.question))


def heading(turn: Turn) -> str:
    """Return what stands above the question of `turn`: its number, its attribute, and its reason if any."""
    about = f"Question {turn.number} of at most {turn.of}. {turn.attribute}"
    return f"{about}: {turn.why}" if turn.why else about


def consent_text(of: int) -> str:
    """Return the step before the first of at most `of` questions: whether they may come."""
    return _paragraphs(phrases.CONSENT_WHY, phrases.may_i_ask(of))


def asks_consent(text: str) -> bool:
    """Tell whether `text` ends with the question of `consent_text`."""
    paragraphs = _read(text)
    return bool(paragraphs) and _CONSENT.fullmatch(paragraphs[-1]) is not None


def consents(text: str) -> bool:
    """Tell whether `text` is a clear yes; anything else is none."""
    return _YES.search(text) is not None and _NO.search(text) is None


def forgets(text: str, schema: Schema) -> str | None:
    """Return the attribute that `text`, the words of `FORGET`, is about; None for other words."""
    return next((name for name in schema.names if text == FORGET.format(name=name)), None)


def says(text: str, turn: Turn) -> bool:
    """Tell whether `text` is what `spoken` made of `turn`, with or without notes around it."""
    paragraphs = _read(text)
    if turn.kind == "ask":
        return bool(paragraphs) and paragraphs[-1] == _folded(turn.question)
    return turn.kind == "escalate" and _folded(turn.message) in paragraphs


def question_in(text: str, schema: Schema) -> str | None:
    """Return the attribute that `text` asks for at its end, by its question or the listed rewording."""
    paragraphs = _read(text)
    return _questions(schema).get(paragraphs[-1]) if paragraphs else None


def shown(state: Conversation, turn: Turn, text: str, schema: Schema) -> tuple[Conversation, bool]:
    """Return the state after `text` was said at `turn`, and whether that is what the agent says there."""
    if says(text, turn):
        return state, True
    name = question_in(text, schema)
    if name is not None:
        is_open = turn.kind == "ask" and turn.attribute == name
        return state if is_open else state.asking(name), is_open
    question = state.question if state.kind == "answer" else state.query
    state = replace(state, kind="answer", attribute=None, repeats=(), question=question, note="")
    return replace(state, danger=None, held=None, response=well_formed(text)), turn.kind == "answer"


@functools.lru_cache(maxsize=8)
def _questions(schema: Schema) -> dict[str, str]:
    worded = {_folded(a.reworded): a.name for a in schema.attributes if a.reworded}
    return worded | {_folded(a.question): a.name for a in schema.attributes}


def _read(text: str) -> list[str]:
    return [found for part in re.split(r"\n\s*\n", text) if (found := _folded(part))]


def _folded(text: str) -> str:
    return _one_line(text).casefold()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
