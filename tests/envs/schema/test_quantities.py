"""Numbers as people write them: never cut, never guessed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.schema.quantities import parse_number, quantities
from tests.cpu_time import cpu_seconds


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("thirty-four", [34]),
        ("a hundred and twenty", [120]),
        ("three hundred and fifty two thousand", [352_000]),
        ("one and a half", [1.5]),
        ("37.8", [37.8]),
        ("37,8 degrees", [37.8]),
        ("45,000 a year", [45_000]),
        ("1,234,567", [1_234_567]),
        ("1.200,50 euros", [1200.5]),
        ("1,200.50", [1200.5]),
        ("1 200 euros", [1200]),
        ("45k", [45_000]),
        ("-300", [-300]),
        ("3 weeks", [3]),
        ("2 kids and I'm 41", [2, 41]),
        ("34f", [34]),
        ("1.200", []),
        ("12.03.1984", []),
        ("nineteen forty", []),
        ("my 2nd child takes B12", []),
        ("9" * 400, []),
    ],
)
def test_numbers(text, found):
    assert [quantity.number for quantity in quantities(text)] == found


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("between 40 and 45", 40, 45),
        ("35-44", 35, 44),
        ("twenty to thirty", 20, 30),
        ("50 or 51", 50, 51),
        ("in my 30s", 30, 39),
        ("late twenties", 27, 29),
        ("early to mid fifties", 50, 57),
        ("at least 18", 18, math.inf),
        ("up to 30", -math.inf, 30),
    ],
)
def test_ranges(text, low, high):
    (found,) = quantities(text)
    assert (found.low, found.high, found.number) == (low, high, None)


@pytest.mark.parametrize(("text", "out"), [("under 30", 30), ("over 65", 65), ("younger than 30", 30)])
def test_a_bound_is_not_the_number(text, out):
    (found,) = quantities(text)
    assert found.number is None
    assert not found.low <= out <= found.high


@pytest.mark.parametrize(
    ("text", "unit"), [("5mg", "mg"), ("3 weeks", "weeks"), ("$1200", "$"), ("70 %", "%")]
)
def test_units(text, unit):
    assert [quantity.unit for quantity in quantities(text)] == [unit]


@given(st.floats(-1e9, 1e9).map(lambda x: round(x, 2)))
def test_either_way_of_separating_means_the_same(value):
    english = f"{value:,.2f}"
    european = english.translate(str.maketrans(",.", ".,"))
    assert parse_number(english) == pytest.approx(value)
    assert parse_number(european) == pytest.approx(value)


@given(st.text(alphabet="0123456789.,'-+ kmoneadty/", max_size=200))
def test_no_text_raises_and_words_are_where_they_are_said_to_be(text):
    for found in quantities(text):
        assert 0 <= found.start < found.end <= len(text)
        assert found.low <= found.high


@pytest.mark.parametrize("piece", ["x-", "9-", "9 000 ", "one ", "a ", "9"])
def test_ten_times_the_text_takes_ten_times_as_long(piece):
    short, long = (piece * n for n in (4_000, 40_000))
    assert cpu_seconds(lambda: quantities(long), 1) < 40 * max(cpu_seconds(lambda: quantities(short)), 0.002)
