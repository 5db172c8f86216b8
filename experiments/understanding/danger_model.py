"""Fit the classifier of acute danger, and what it hears of authors it never met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from envs import penguin_schema
from experiments.understanding.fitting import Example, FitOptions, fit_classifier, tabbed_lines
from experiments.understanding.written_replies import WrittenReply
from policies.understanding.detectors.rules_detector import ACUTE, RulesDetector
from policies.understanding.text_classifier import DATA, TextClassifier

SENTENCES = DATA / "danger.tsv"
"""Author, 1 = acute or 0 = calm, kind, sentence; parted by tabs."""
OPTIONS = FitOptions(buckets=2**17, inverse_regularisation=(10.0, 1.0), share=1.0)
_FEWEST = 50
"""Acute sentences of an author who is left out; of fewer a share says nothing."""
_SENSITIVE = 4.0
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

    Answers to sensitive questions are left out, for some are grave: `sentences` has such with a label.
    """
    examples = [Example(s.text, ACUTE if s.acute else "calm") for s in sentences]
    schema = penguin_schema()
    sensitive = {a.name for a in schema.attributes if a.sensitivity >= _SENSITIVE}
    answers = ("direct", "partial", "correct")
    everyday = [r.text for r in replies if r.attribute not in sensitive or r.kind not in answers]
    weight = _REPLIES * (_COUNTED / max(len(everyday), 1)) ** 0.5 / max(len(everyday), 1)
    calm = [Example(text, "calm", weight=weight) for text in everyday]
    return fit_classifier([*examples, *calm], OPTIONS)


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
