"""What a message does: whether it tells something of what was asked, and if not, what else it is about.

Two classifiers (`experiments.train_understanding` makes them): `tells` says whether a reply tells anything of
one attribute, its n-grams and embedding crossed with the attribute; `kinds` says what a message does whatever
was asked. Both also get `cues`: what simple rules see, such as words of the attribute's question or levels,
which are what speaks for an attribute that was never trained.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping

from envs.schema.attribute import UNKNOWN, Attribute
from policies.understanding.reading import INTENTS, Dialogue, Intent, Value
from policies.understanding.text_classifier import DATA, TextClassifier, folded

TELLS, KINDS = DATA / "tells.npz", DATA / "kinds.npz"
_ENDS = 300
"""Characters at each end of a message that show what it does."""
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_LENGTHS = (1, 2, 4, 8, 15, 25)
_STEM = 5
_COMMON = frozenset(
    _WORD.findall(
        "the and for you your are does with that this what how here there would have has been any anything "
        "something else about matter matters right now can could like not yes ever own words time take took "
        "far roughly describe moment during week things"
    )
)
"""Words of questions that say nothing of their subject."""
_OTHERS = (
    r"(?:my|our|his|her|their) (?:\w+ )?(?:mother|mom|mum|dad|father|parents|sister|brother|son|daughter"
    r"|kids?|child|children|aunt|uncle|grand\w+|gran|nan|friend|mate|boss|neighbou?r|roommate|flatmate|cousin|niece"
    r"|nephew|manager|colleague|coworker|ex|teacher|landlord|girlfriend|boyfriend|husband|wife|partner)s?\b"
)
_PATTERNS = {
    "asks": re.compile(r"\?\s*$"),
    "asks within": re.compile(r"\?."),
    "digits": re.compile(r"\d"),
    "first person": re.compile(r"\b(?:i|i'm|im|my|me|i've|ive|i'd|we|our)\b"),
    "starts in first person": re.compile(r"(?:i|i'm|im|my|i've|ive|me)\b"),
    "second person": re.compile(r"\b(?:you|your|u|ur)\b"),
    "starts as a question": re.compile(r"(?:why|what|how|does|do|is|who|can|could)\b"),
    "starts with others": re.compile(rf"(?:well |so |oh |and |but )?{_OTHERS}"),
    "others": re.compile(rf"\b{_OTHERS}"),
}


class IntentClassifier:
    """Both classifiers, and thresholds.

    `share_of_kinds`, `told` and `told_with_level` were set on replies of authors whom the training never met:
    of 7,448 such replies 97 % of direct and 92 % of partial ones are kept, and 13 % of off-topic ones
    (`docs/results/understanding.md`), which is no measure any more.
    """

    share_of_kinds = 0.3
    """Weight of the log-odds that a message answers anything."""
    told = 0.38
    """Least probability at which a reply counts as telling something of the attribute."""
    told_with_level = 0.33
    """The same where the words also name a level or a number of the attribute."""
    refused = 0.9
    """Least probability of declining, asking or stopping at which nothing else counts."""
    stopped = 0.5
    corrected = (0.5, 0.2, 0.03)
    """Least probabilities of a correction, by how plainly words mark one (`corrections.marked`)."""
    unasked = 0.5
    """Least probability of an intent of a message that replies to no question."""

    def __init__(self, tells: TextClassifier, kinds: TextClassifier) -> None:
        self._tells, self._kinds = tells, kinds

    @classmethod
    def load(cls) -> IntentClassifier:
        """Read the coefficients that ship with the package."""
        return cls(TextClassifier.load(TELLS), TextClassifier.load(KINDS))

    def tells(
        self,
        text: str,
        attribute: Attribute,
        found: Mapping[str, Value],
        kinds: Mapping[Intent, float],
    ) -> float:
        """Return the probability that `text`, a reply, tells something of `attribute`.

        `found`: the facts of `text` as a reply to that question. `kinds`: its intents whatever was asked;
        what does not sound like an answer to anything is less likely one to this.

        What tells of an attribute of free text that was never trained, nobody knows but who asks: there each
        reply tells that refuses nothing and asks nothing.
        """
        if not (attribute.name in self._tells.subjects or attribute.levels or attribute.reads):
            others: tuple[Intent, ...] = ("decline", "why", "unclear", "stop", "new_query")
            return 0.0 if text.rstrip().endswith("?") else 1.0 - min(1.0, sum(map(kinds.__getitem__, others)))
        ends = _ends(text)
        no, yes = self._tells.logits(ends, attribute.name, cues(ends, attribute, found))
        answers = min(max(kinds["answer"] + kinds["correct"], 1e-6), 1 - 1e-6)
        logit = yes - no + self.share_of_kinds * math.log(answers / (1 - answers))
        return 1 / (1 + math.exp(-logit))

    def is_told(self, probability: float, has_level: bool) -> bool:
        """Tell whether a reply of that probability (`tells`) counts as an answer."""
        return probability > (self.told_with_level if has_level else self.told)

    def kinds(self, text: str) -> dict[Intent, float]:
        """Return the probability of each intent, whatever was asked."""
        ends = _ends(text)
        probabilities = self._kinds.probabilities(ends, cues=cues(ends))
        return {intent: probabilities[intent] for intent in INTENTS}

    def refuses(self, kinds: Mapping[Intent, float]) -> bool:
        """Tell whether a message surely tells nothing of what was asked."""
        others: tuple[Intent, ...] = ("decline", "why", "unclear")
        return kinds["stop"] > self.stopped or max(kinds[kind] for kind in others) > self.refused

    def may_correct(self, kinds: Mapping[Intent, float], marked: int) -> bool:
        """Tell whether a message may take something back; `marked`: how plainly its words say so."""
        return kinds["correct"] > self.corrected[marked]

    def intent(
        self, kinds: Mapping[Intent, float], answers: bool, asked: str | None, dialogue: Dialogue | None
    ) -> Intent:
        """Return the intent of a message; `answers`: it tells of `asked`, or, if None, of anything."""
        if kinds["stop"] > self.stopped:
            return "stop"
        if asked is None and (dialogue is None or not dialogue.turns):
            return "answer"  # the query itself
        others = {kind: p for kind, p in kinds.items() if kind not in ("answer", "correct")}
        if asked is None and others["decline"] < self.unasked:
            del others["decline"]  # nothing was asked that could be declined
        best = max(others, key=others.__getitem__)
        if answers and (asked is not None or others[best] < self.unasked):
            return "answer"
        return best


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _ENDS else f"{text[:_ENDS]} {text[-_ENDS:]}"


def cues(
    text: str, attribute: Attribute | None = None, found: Mapping[str, Value] | None = None
) -> tuple[str, ...]:
    """Return the names of what rules see in `text`, a reply to a question about `attribute` (None: any).

    `found`: its facts.
    """
    plain = folded(text)
    words = _WORD.findall(plain)
    seen = [f"length {sum(len(words) > length for length in _LENGTHS)}"]
    seen += [
        name
        for name, pattern in _PATTERNS.items()
        if (pattern.match if name.startswith("starts") else pattern.search)(plain)
    ]
    if attribute is not None:
        stems = {word[:_STEM] for word in words}
        question, levels = _stems(attribute)
        seen += ["words of the question"] * (not stems.isdisjoint(question))
        seen += ["words of a level"] * (not stems.isdisjoint(levels))
        seen += ["a level named"] * (attribute.code(text[: 2 * _ENDS]) != UNKNOWN)
        seen += _told(attribute.name, found or {})
    return tuple(seen)


def _told(name: str, found: Mapping[str, Value]) -> list[str]:
    if name not in found:
        return ["another fact"] * bool(found)
    sure = found[name].level is not None or found[name].number is not None
    return ["a fact", "a level" if sure else "no clear level"]


@functools.lru_cache(maxsize=512)
def _stems(attribute: Attribute) -> tuple[frozenset[str], frozenset[str]]:
    """Return the stems of the words of an attribute's name and question, and of its levels."""
    question = f"{attribute.name} {attribute.question}"
    levels = " ".join(phrase for level in attribute.levels for phrase in (level.name, *level.phrases))
    first, second = (
        frozenset(w[:_STEM] for w in _WORD.findall(folded(part)) if len(w) > 2 and w not in _COMMON)
        for part in (question, levels)
    )
    return first, second


@functools.cache
def default_intents() -> IntentClassifier:
    """Return the classifiers of the files that ship with the package; read at the first call."""
    return IntentClassifier.load()
