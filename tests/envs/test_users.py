"""Who answers: rates, determinism, and that an agent takes evasions for what they are."""

import io
import sys

import pytest

from envs import Scenario, UserError
from envs.loading import load_scenarios
from envs.users import EVASIONS, PersonUser, ProfileUser, ScriptedUser
from policies.understanding.reader import default_reader

SCENARIO = Scenario(
    "s", "health", "?", {"Age": "34", "Gender": "unknown", "Profession": "keeper of bees by the sea"}
)


def test_profile_tells_what_is_there():
    user = ProfileUser()
    assert user.answer(SCENARIO, "Age", "?") == "34"
    assert user.answer(SCENARIO, "Gender", "?") is None
    assert user.answer(SCENARIO, "Emotional State", "?") is None


def test_scripted_direct():
    user = ScriptedUser(0, 0, 0)
    assert user.answer(SCENARIO, "Age", "?") == "34"
    assert user.answer(SCENARIO, "Gender", "?") is None


def test_scripted_partial_tells_the_level_or_half_the_words():
    user = ScriptedUser(1, 0, 0)
    assert user.answer(SCENARIO, "Age", "?") == "adult"
    assert user.answer(SCENARIO, "Profession", "?") == "keeper of bees"


def test_scripted_evasive_and_refusing():
    assert {ScriptedUser(0, 1, 0, seed).answer(SCENARIO, "Age", "?") for seed in range(60)} == set(EVASIONS)
    assert ScriptedUser(0, 0, 1).answer(SCENARIO, "Age", "?") is None


def test_evasions_tell_an_agent_nothing():
    assert all(default_reader().tells_nothing(text) for text in EVASIONS)


def test_rates_are_kept():
    """1,400 answers; a share is off by .04 less often than once in a thousand (3.3 standard errors)."""
    user = ScriptedUser(0.2, 0.1, 0.3, seed=5)
    kinds = {"refused": 0, "evasive": 0, "direct": 0, "partial": 0}
    total = 0
    for scenario in load_scenarios(None).scenarios:
        for name, value in scenario.profile.items():
            text = user.answer(scenario, name, "?")
            kind = "refused" if text is None else "evasive" if text in EVASIONS else ""
            kinds[kind or ("direct" if text == value else "partial")] += 1
            total += 1
    assert kinds["refused"] / total == pytest.approx(0.3, abs=0.04)
    assert kinds["evasive"] / total == pytest.approx(0.1, abs=0.04)
    # A value of one word can be its own level's name or its own first half.
    assert kinds["partial"] / total == pytest.approx(0.2, abs=0.06)


def test_the_same_question_gets_the_same_answer_whatever_came_before():
    names = list(SCENARIO.schema.names)
    one, other = ScriptedUser(seed=3), ScriptedUser(seed=3)
    forward = {n: one.answer(SCENARIO, n, "?") for n in names}
    backward = {n: other.answer(SCENARIO, n, "?") for n in reversed(names)}
    assert forward == backward
    rich = load_scenarios(None).scenarios[0]
    answers = [[ScriptedUser(0.3, 0.3, 0.3, s).answer(rich, n, "?") for n in names] for s in range(3)]
    assert answers[0] != answers[1] != answers[2]


@pytest.mark.parametrize("rates", [(-0.1, 0, 0), (0, 1.1, 0), (0.5, 0.5, 0.5)])
def test_rates_that_are_none_are_refused(rates):
    with pytest.raises(UserError, match=r"^users"):
        ScriptedUser(*rates)


@pytest.mark.parametrize("user", [ProfileUser(), ScriptedUser()])
def test_without_a_scenario_there_is_nobody_to_answer(user):
    with pytest.raises(UserError, match=r"^users="):
        user.answer(None, "Age", "?")


def test_person(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(" thirty \n\n"))
    user = PersonUser()
    assert user.answer(None, "Age", "How old?") == "thirty"
    assert user.answer(None, "Age", "How old?") is None
    assert "How old?" in capsys.readouterr().out
    with pytest.raises(EOFError):
        user.answer(None, "Age", "How old?")
