"""Fit the two classifiers of intents, and how many replies of an author they never met count as answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from envs import penguin_schema
from experiments.understanding.fitting import FitOptions, fit_classifier
from experiments.understanding.written_replies import WrittenReply, kinds_examples, tells_examples
from policies.understanding.readers.intents import IntentClassifier
from policies.understanding.readers.rules_reader import RulesReader
from policies.understanding.text_classifier import TextClassifier

TELLS = FitOptions(buckets=2**18, inverse_regularisation=(3.0, 1.0), share=0.5)
KINDS = FitOptions(buckets=2**16, inverse_regularisation=(10.0, 1.0), share=1.0)


def tells_classifier(replies: Sequence[WrittenReply]) -> TextClassifier:
    """Return the classifier of whether a reply tells anything of the attribute that was asked."""
    return fit_classifier(tells_examples(replies), TELLS)


def kinds_classifier(replies: Sequence[WrittenReply]) -> TextClassifier:
    """Return the classifier of what a message does."""
    return fit_classifier(kinds_examples(replies), KINDS)


def leave_one_out(replies: Sequence[WrittenReply]) -> Iterator[str]:
    """Yield a line for each author left out of the training: share kept by kind of reply."""
    for author in sorted({reply.author for reply in replies}):
        others = [reply for reply in replies if reply.author != author]
        intents = IntentClassifier(tells_classifier(others), kinds_classifier(others))
        rates = kept(RulesReader.load().with_intents(intents), [r for r in replies if r.author == author])
        yield f"{author}: " + ", ".join(f"{kind} {rate:.3f}" for kind, rate in rates.items())


def kept(reader: RulesReader, replies: Sequence[WrittenReply]) -> dict[str, float]:
    """Return {kind: share of its replies that are read as telling something of what was asked}.

    A reply to any attribute is tried as one to each attribute in turn.
    """
    schema, told = penguin_schema(), defaultdict[str, list[bool]](list)
    for number, reply in enumerate(replies):
        asked = reply.attribute or schema.names[number % len(schema)]
        told[reply.kind].append(asked in reader.read(reply.text, schema, asked).values)
    return {kind: sum(found) / len(found) for kind, found in sorted(told.items())}
