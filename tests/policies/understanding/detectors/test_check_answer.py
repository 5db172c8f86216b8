"""What people say to "are you safe right now?"."""

import pytest

from policies.understanding.detectors.check_answer import check_answer

SAFE = [
    "Yes", "yes, thank you for asking", "I'm safe", "I am fine, just tired", "I\u2019m ok", "no, I'm fine",
    "No, I would never do that", "it was a figure of speech", "of course not", "I'm not going to hurt myself",
    "I'm not in danger", "S\u00ed, estoy bien", "Ja, alles gut", "all right, thanks",
]  # fmt: skip
GRAVE = [
    "No", "nope", "not really", "No, not really", "I'm not safe", "I am not okay at all", "I don't feel safe",
    "no I'm not", "help me", "I am in danger", "I'm going to kill myself", "nein",
]  # fmt: skip
UNCLEAR = [
    "", "...", "I don't know", "idk", "maybe", "yes but the pills are here", "why?", "what does safe mean",
    "well", "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (text, kind)
        for kind, texts in (("safe", SAFE), ("grave", GRAVE), ("unclear", UNCLEAR))
        for text in texts
    ],
)
def test_answers(text, expected):
    assert check_answer(text) == expected
