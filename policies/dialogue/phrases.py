"""What the agent says beside the questions of the schema: reasons, other wordings, small notes."""

from __future__ import annotations

from collections.abc import Iterable

from envs.schema.attribute import Attribute
from policies.plan_index import Neighbours
from policies.understanding.reading import LONGEST

LEFT = "All right, let us leave that one."
NOT_AN_ANSWER = "I am not sure that answers it. Let me ask once more; you can also skip it."
NOTHING_CHANGED = 'What should I change? Something like "I am 43, not 34" is enough.'
CHECK_AGAIN = "Please tell me this first. A yes or a no is enough."
HELP_STAYS = "The places to turn to that I named are there for you at any time."
ALL_RIGHT = "All right. I am here if something else comes up."
CONSENT_WHY = "What is safe to suggest depends on the person. With a no I answer at once."


def before_questions(of: int) -> str:
    """Return why questions come, said before the first of at most `of`."""
    count = "a short question" if of == 1 else f"up to {of} short questions"
    return _sentences(
        f"Before I answer I would like to ask {count}, for what is safe to suggest depends on the person.",
        'You can skip any of them, or write "just answer".',
    )


def may_i_ask(of: int) -> str:
    """Return the question whether up to `of` questions may come."""
    count = "a short question" if of == 1 else f"up to {of} short questions"
    return f"May I ask you {count} before I answer? A yes or a no is enough."


def why(attribute: Attribute, index: int, neighbours: Neighbours, made_up: bool = False) -> str:
    """Return what the question about `attribute` (schema index `index`) is for, and why it comes up here.

    `made_up`: the judge of the stored plans made up what it is worth.
    """
    total = len(neighbours.rows)
    count = int((neighbours.paths == index).any(axis=1).sum())
    if count:
        found = f"{count} of the {total} stored questions most like yours were planned to ask it too"
        reason = (
            "by a formula that made up what it is worth"
            if made_up
            else "for answers were judged better with it"
        )
        plan = f"I ask because {found}, {reason}."
    else:
        plan = "I ask because the stored plans find it the most useful of what I do not know yet."
    return _sentences(attribute.why, plan, "You can skip it.")


def reworded(attribute: Attribute, time: int) -> str:
    """Return another wording of the question: the schema's or one from its levels, the `time`-th (0, 1)."""
    levels = _levels(attribute)
    if time == 0 and attribute.reworded:
        return attribute.reworded
    subject = f"I mean your {attribute.name.lower() if attribute.name.istitle() else attribute.name}"
    return _sentences(f"{subject}.", levels, "A word or two is enough, and you can skip it.")


def noted(names: Iterable[str]) -> str:
    """Return that the attributes `names` were understood."""
    return f"Thank you, I noted: {_listed(names)}."


def changed(names: Iterable[str]) -> str:
    """Return that the attributes `names` have another value now."""
    return f"Thank you, I changed: {_listed(names)}."


def forgotten(name: str) -> str:
    """Return that `name` is known no more."""
    return f"Forgotten: {name}. I will not ask for it again."


def new_query(known: Iterable[str]) -> str:
    """Return that the subject is a new one, with the names of what is `known` still."""
    kept = _listed(known)
    return _sentences(
        "That is a new question, so I looked again at what matters for it.",
        f"What you told me still counts: {kept}." if kept else "",
    )


def cut(text: str) -> tuple[str, str]:
    """Return what is read of `text`, and what to say where that is not all."""
    if len(text) <= LONGEST:
        return text, ""
    return text[:LONGEST], f"That was more than I can take in: I read its first {LONGEST:,} characters."


def _levels(attribute: Attribute) -> str:
    names = [level.name for level in attribute.levels if level.phrases]
    if attribute.levels and not names:
        return "A number, or a rough guess at it, will do."
    if len(names) < 2:
        return f"For example: {names[0]}." if names else ""
    return f"For example: {', '.join(names[:-1])} or {names[-1]}."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def joined(*notes: str) -> str:
    """Return the notes that say something, one after the other."""
    return _sentences(*dict.fromkeys(notes))
