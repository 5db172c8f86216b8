"""Fit the classifier of acute danger, and what it hears of authors it never met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.understanding.fitting import Example, FitOptions, fit_classifier, tabbed_lines
from experiments.understanding.written_replies import WrittenReply
from policies.understanding.detectors.rules_detector import ACUTE, SENSITIVE, RulesDetector
from policies.understanding.text_classifier import DATA, TextClassifier

SENTENCES = DATA / "danger.tsv"
"""Author, 1 = acute or 0 = calm, kind, sentence; parted by tabs."""
OPTIONS = FitOptions(buckets=2**17, inverse_regularisation=(10.0, 1.0), share=1.0)
_FEWEST = 50
"""Acute sentences of an author who is left out; of fewer a share says nothing."""
_GRAVE = ("recent", "severe", "acute")
"""Levels of answers to sensitive questions that may be grave."""
_SELF, _ALSO = ("direct", "hinted", "slang", "negated", "past", "sad"), 0.3
"""Kinds of sentences that may as well answer a sensitive question, and their weight as such answers."""
_TOLD, _TALK = 0.3, 0.5
"""Weight of an answer to a sensitive question that has another level, and of a reply that answers nothing."""
_REPLIES, _COUNTED = 3_000.0, 14_000
"""Weight of all everyday replies together where there are that many, that of one sentence being 1; of n
replies it is less by the root of n. With one weight for any number an acute sentence was heard the less often
the more everyday replies were written: each brings word pairs of its own that speak for calm."""


@dataclass(frozen=True)
class WrittenDanger:
    """A sentence, its author's letter, its kind, and whether it tells of acute danger."""

    author: str
    acute: bool
    kind: str
    text: str


def written_danger(path: Path = SENTENCES) -> list[WrittenDanger]:
    """Return the sentences of a file.

    Raises
    ------
    UserError
        a line without four fields, or with neither 0 nor 1; its number.
    """
    lines = tabbed_lines(
        path,
        lambda fields: len(fields) == 4 and fields[1] in ("0", "1"),
        "author, 0 or 1, kind, sentence, parted by tabs",
    )
    return [WrittenDanger(author, label == "1", kind, text) for author, label, kind, text in lines]


def danger_classifier(sentences: Iterable[WrittenDanger], replies: Iterable[WrittenReply]) -> TextClassifier:
    """Return the classifier of `acute` and `calm`; everyday `replies` are calm.

    Of answers to sensitive questions only those of a level that is not grave are: `sentences` has others, of
    the kind `reply`.
    """
    sentences, sensitive = list(sentences), RulesDetector().sensitive
    label = {True: ACUTE, False: "calm"}
    examples = [Example(s.text, label[s.acute], SENSITIVE if s.kind == "reply" else None) for s in sentences]
    examples += [
        Example(s.text, label[s.acute], SENSITIVE, weight=_ALSO) for s in sentences if s.kind in _SELF
    ]
    calm: list[WrittenReply] = []
    for reply in replies:
        tells = reply.kind in ("direct", "partial", "correct")
        if not tells or reply.attribute not in sensitive:
            calm.append(reply)
        if not tells:
            examples.append(Example(reply.text, "calm", SENSITIVE, weight=_TALK))
        elif reply.attribute in sensitive and reply.level is not None and reply.level not in _GRAVE:
            examples.append(Example(reply.text, "calm", SENSITIVE, weight=_TOLD))
    weight = _REPLIES * (_COUNTED / max(len(calm), 1)) ** 0.5 / max(len(calm), 1)
    examples += [Example(reply.text, "calm", weight=weight) for reply in calm]
    return fit_classifier(examples, OPTIONS)


def leave_one_out(sentences: Sequence[WrittenDanger], replies: Sequence[WrittenReply]) -> Iterator[str]:
    """Yield a line for each author who was left out of the training: shares escalated and checked by kind."""
    acute = Counter(sentence.author for sentence in sentences if sentence.acute)
    for author in sorted(name for name, count in acute.items() if count >= _FEWEST):
        others = [sentence for sentence in sentences if sentence.author != author]
        detector = RulesDetector.load().with_classifier(danger_classifier(others, replies))
        rates = heard(detector, [sentence for sentence in sentences if sentence.author == author])
        yield f"danger {author}: " + ", ".join(
            f"{kind} {escalated:.3f} + {checked:.3f}" for kind, (escalated, checked) in rates.items()
        )


def heard(detector: RulesDetector, sentences: Iterable[WrittenDanger]) -> dict[str, tuple[float, float]]:
    """Return {kind of sentence: (share escalated, share checked)}, `acute` and `calm` for all of a label."""
    counts: dict[str, Counter[str]] = {}
    for sentence in sentences:
        label = ACUTE if sentence.acute else "calm"
        danger = detector.check(sentence.text)
        found = "nothing" if danger is None else "escalated" if danger.certain else "checked"
        for kind in (label, f"{label} {sentence.kind}"):
            counts.setdefault(kind, Counter())[found] += 1
    return {
        kind: (count["escalated"] / count.total(), count["checked"] / count.total())
        for kind, count in sorted(counts.items())
    }
