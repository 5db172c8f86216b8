"""Whether a message asks for advice that a careless answer could do harm with: a small trained classifier.

The coefficients are of `experiments.train_gate`: queries of scenarios and what people write in need against
everyday messages to a chat program. The threshold was set on people and authors who were left out, for few
everyday messages above it; see `experiments.train_gate --folds`.
"""

from __future__ import annotations

import functools
from pathlib import Path

from policies.understanding.text_classifier import TextClassifier

GATE = Path(__file__).parent / "data" / "gate.npz"
RISK = "risk"
"""The class of what may need questions; the other is `everyday`."""


@functools.cache
def gate_classifier() -> TextClassifier:
    """Return the classifier of the package, loaded at the first call."""
    return TextClassifier.load(GATE)


def risk_probability(text: str) -> float:
    """Return how probable it is, in [0, 1], that a careless answer to `text` could do harm."""
    return gate_classifier().probabilities(text)[RISK]
