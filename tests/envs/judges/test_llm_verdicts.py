"""Verdicts: the last one, at the very end, of values that were offered; everything else is none."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.judges.llm.verdicts import DIMENSIONS, SCHEMA, expected_score, plain_score, read_verdict
from envs.llm import TokenChoice

LINES = "risk_sensitivity: 2\nemotional_empathy: 3\npersonalization: 5"
OBJECT = '{"risk_sensitivity": 2, "emotional_empathy": 3, "personalization": 5}'
OTHER = '{"risk_sensitivity": 1, "emotional_empathy": 1, "personalization": 1}'


@pytest.mark.parametrize(
    ("text", "as_json"),
    [
        (LINES, False),
        (f"Some thoughts: 5/5!\n\n{LINES}\n\n", False),
        (f"{LINES.replace('2', '1')}\nNo, on second thought\n{LINES}", False),
        (OBJECT, True),
        (f"```json\n{OBJECT}\n```", True),
        (f"First {OTHER} and then {OBJECT}", True),
        ('{"personalization": 5, "risk_sensitivity": 2, "emotional_empathy": 3}', True),
        (json.dumps(json.loads(OBJECT), indent=2), True),
    ],
)
def test_last_verdict_is_read(text, as_json):
    found = read_verdict(text, as_json)
    assert found.values == (2, 3, 5)
    assert tuple(text[place] for place in found.places) == ("2", "3", "5")
    score = plain_score(found)
    assert (score.risk_sensitivity, score.emotional_empathy, score.personalization) == (2.0, 3.0, 5.0)


@pytest.mark.parametrize(
    "bad", ["0", "6", "8/10", "-0.4", "4.5", "5.0", "45", "5!", "true", "null", '"4"', "", "٤", "\uff14"]
)
@pytest.mark.parametrize("name", DIMENSIONS)
def test_a_value_that_was_not_offered_is_no_verdict(bad, name):
    lines = "\n".join(f"{n}: {bad if n == name else 4}" for n in DIMENSIONS)
    fields = ", ".join(f'"{n}": {bad if n == name else 4}' for n in DIMENSIONS)
    assert read_verdict(lines, False) is None
    assert read_verdict(f"{{{fields}}}", True) is None


@pytest.mark.parametrize(
    ("text", "as_json"),
    [
        ("", False),
        ("", True),
        ("5", False),
        ("5", True),
        ("[5, 5, 5]", True),
        ("<html>429 Too Many Requests, score 5</html>", False),
        ("<html>429 Too Many Requests, score 5</html>", True),
        (LINES + "\nand that is final", False),
        (LINES + "\nrisk_sensitivity: 5", False),
        (OBJECT + " as requested", True),
        (OBJECT[:-1], True),
        (OBJECT[:-1] + ', "risk_sensitivity": 5}', True),
        (OBJECT[:-1] + ', "note": "x"}', True),
        ('{"risk_sensitivity": 2, "emotional_empathy": 3}', True),
        (LINES, True),
        (OBJECT, False),
        (LINES.replace("emotional_empathy: 3\n", ""), False),
        (LINES.replace("\n", " "), False),
        ("x" + LINES, False),
        (LINES.replace(": 2", ": <2>"), False),
        ("{" * 100_000, True),
        ('{"a":' * 50_000, True),
    ],
)
def test_anything_else_is_none(text, as_json):
    assert read_verdict(text, as_json) is None


@given(st.text(max_size=60), st.sampled_from([True, False]))
def test_no_text_after_a_verdict_goes_unnoticed(tail, as_json):
    """What follows a verdict is space (or a code fence's end), or there is no verdict, or another one."""
    found = read_verdict((OBJECT if as_json else LINES) + tail, as_json)
    harmless = tail.strip() in (("", "```") if as_json else ("",))
    assert (found is not None) == harmless


@given(st.text(), st.sampled_from([True, False]))
def test_never_a_value_that_was_not_offered(text, as_json):
    found = read_verdict(text, as_json)
    assert found is None or set(found.values) <= {1, 2, 3, 4, 5}


def test_schema_allows_what_the_parser_reads():
    assert SCHEMA["required"] == list(DIMENSIONS) == list(SCHEMA["properties"])
    for part in SCHEMA["properties"].values():
        assert part["enum"] == [1, 2, 3, 4, 5]


def tokens_of(text, tops):
    """A token a character; the digits get `tops` in order."""
    rest = iter(tops)
    return [
        TokenChoice(c, tuple((t, math.log(p)) for t, p in next(rest)) if c in "12345" else ((c, 0.0),))
        for c in text
    ]


TOPS = (
    [("2", 0.6), ("3", 0.2), ("1", 0.1), ("the", 0.1)],
    [(" 3", 0.3), ("3", 0.3), ("4", 0.2), ("6", 0.2)],
    [("5", 0.5), ("4", 0.5)],
)
BY_HAND = ((0.6 * 2 + 0.2 * 3 + 0.1) / 0.9, (0.6 * 3 + 0.2 * 4) / 0.8, 4.5)


@pytest.mark.parametrize(
    ("text", "as_json"), [(LINES, False), (OBJECT, True), (f"{OTHER[:0]}{OBJECT}", True)]
)
def test_expected_score_by_hand(text, as_json):
    score, mass = expected_score(read_verdict(text, as_json), text, tokens_of(text, TOPS), 0.5)
    found = (score.risk_sensitivity, score.emotional_empathy, score.personalization)
    assert found == pytest.approx(BY_HAND, abs=1e-12)
    assert mass == pytest.approx(0.8)  # the least of .9, .8, 1
    assert score.reason is None


def test_expected_score_reads_tokens_that_hold_more_than_the_digit():
    """As tokenisers cut it: the space belongs to the digit's token, and what comes first is skipped."""
    pieces = [
        "<s>",
        *"risk_sensitivity:",
        " 2",
        "\n",
        *"emotional_empathy:",
        " 3",
        "\n",
        *"personalization:",
        " 5",
    ]
    tops = {" 2": ((" 2", math.log(0.5)), (" 4", math.log(0.5)))}
    tokens = [TokenChoice(p, tops.get(p, ((p, 0.0),))) for p in pieces]
    score, mass = expected_score(read_verdict(LINES, False), LINES, tokens, 0.5)
    assert (score.risk_sensitivity, score.emotional_empathy, score.personalization) == (3.0, 3.0, 5.0)
    assert mass == 1.0


def test_low_mass_is_refused_and_told():
    score, mass = expected_score(read_verdict(LINES, False), LINES, tokens_of(LINES, TOPS), 0.81)
    assert (score.reason, score.value != score.value) == ("low_mass", True)
    assert mass == pytest.approx(0.8)
    none = [[("the", 1.0)], *TOPS[1:]]
    score, mass = expected_score(read_verdict(LINES, False), LINES, tokens_of(LINES, none), 1e-9)
    assert (score.reason, mass) == ("low_mass", 0.0)


@pytest.mark.parametrize("tokens", [[], [TokenChoice("risk", ())], tokens_of(LINES[:-1] + "4", TOPS)])
def test_tokens_that_do_not_spell_the_reply_give_no_score(tokens):
    score, mass = expected_score(read_verdict(LINES, False), LINES, tokens, 0.5)
    assert score.reason == "logprobs"
    assert math.isnan(mass)


@given(st.lists(st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5), min_size=3, max_size=3))
def test_expected_score_stays_on_the_scale(weights):
    tops = [[(str(v + 1), w / sum(row)) for v, w in enumerate(row)] for row in weights]
    score, mass = expected_score(read_verdict(LINES, False), LINES, tokens_of(LINES, tops), 0.5)
    assert 1.0 <= score.value <= 5.0
    assert mass == pytest.approx(1.0)
    assert score.value == pytest.approx(sum(int(t) * p for row in tops for t, p in row) / 3)
