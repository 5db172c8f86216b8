"""Who answers: from the profile as it is, and at the terminal."""

import io
import sys

import pytest

from envs import Scenario, UserError
from envs.users import PersonUser, ProfileUser

SCENARIO = Scenario(
    "s", "health", "?", {"Age": "34", "Gender": "unknown", "Profession": "keeper of bees by the sea"}
)


def test_profile_tells_what_is_there():
    user = ProfileUser()
    assert user.answer(SCENARIO, "Age", "?").text == "34"
    assert user.answer(SCENARIO, "Gender", "?").text is None
    assert user.answer(SCENARIO, "Emotional State", "?").text is None


def test_without_a_scenario_there_is_nobody_to_answer():
    with pytest.raises(UserError, match=r"^users="):
        ProfileUser().answer(None, "Age", "?")


def test_person(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(" thirty \n\n"))
    user = PersonUser()
    assert user.answer(None, "Age", "How old?").text == "thirty"
    assert user.answer(None, "Age", "How old?").text is None
    assert "How old?" in capsys.readouterr().out
    with pytest.raises(EOFError):
        user.answer(None, "Age", "How old?")
