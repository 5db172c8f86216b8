"""Users who answer questions: from a profile, with partial or evasive answers, or at the terminal.

A user is any object with `answer(scenario, attribute, question) -> text or None (declined)`.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Protocol

import numpy as np

from envs.errors import UserError
from envs.scenario import Scenario
from envs.schema import UNKNOWN, is_missing

EVASIONS = ("It's complicated.", "I'd rather not go into that.", "Hard to say.", "Why do you ask?")
"""What the scripted user says to evade: words that an agent should take for no answer."""


class User(Protocol):
    """Answers questions about a scenario's profile."""

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> str | None:
        """Return the answer in words, None = declined. `scenario` is None where only a person knows."""
        ...


class ProfileUser:
    """Tells the value of the profile as it is; declines what the profile does not say."""

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> str | None:
        """Return the profile's value of `attribute`, None where it is missing."""
        value = _of(scenario, "profile").get(attribute)
        return None if is_missing(value) else str(value)


class ScriptedUser:
    """Answers like a person with reservations, the same way each time it is asked the same.

    With probabilities `partial`, `evasive` and `refusing` (the rest is direct): the name of the level alone,
    or without a level the first half of the words; words that tell nothing; None. Which of them follows from
    (seed, scenario id, attribute), so neither the order of questions nor anything else matters.
    """

    def __init__(
        self, partial: float = 0.2, evasive: float = 0.1, refusing: float = 0.1, seed: int = 0
    ) -> None:
        rates = {"partial": partial, "evasive": evasive, "refusing": refusing}
        for name, rate in rates.items():
            if not 0 <= rate <= 1:
                raise UserError(f"users.{name}: found {rate}, expected a probability, 0 to 1")
        if sum(rates.values()) > 1 + 1e-9:
            raise UserError(f"users: the rates add up to {sum(rates.values()):g}, expected at most 1")
        self.partial = float(partial)
        self.evasive = float(evasive)
        self.refusing = float(refusing)
        self.seed = int(seed)

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> str | None:
        """Return the answer drawn for this question, None = refused or missing in the profile."""
        scenario = _of_scenario(scenario, "scripted")
        value = scenario.profile.get(attribute)
        if is_missing(value):
            return None
        draw, which = _uniform(self.seed, scenario.id, attribute)
        if draw < self.refusing:
            return None
        if draw < self.refusing + self.evasive:
            return EVASIONS[int(which * len(EVASIONS))]
        if draw < self.refusing + self.evasive + self.partial:
            return _partly(scenario, attribute, str(value))
        return str(value)


class PersonUser:
    """Somebody at the terminal; an empty line declines.

    Raises
    ------
    EOFError, KeyboardInterrupt
        the person leaves (end of input, Ctrl-C).
    """

    def __init__(self, prompt: str = "> ") -> None:
        self.prompt = prompt

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> str | None:
        """Print the question and read a line."""
        print(question)
        return read_line(self.prompt).strip() or None


def read_line(prompt: str) -> str:
    """Return one line of standard input.

    On a terminal it can be edited, is of any length (the terminal's own lines end at 4,095 bytes), and pasted
    text of several lines stays one answer. What was typed is kept in no history and no file.
    """
    with suppress(ImportError):  # not on every platform
        import readline

        readline.parse_and_bind("set enable-bracketed-paste on")
        if hasattr(readline, "set_auto_history"):
            readline.set_auto_history(False)
    return input(prompt)


def _of_scenario(scenario: Scenario | None, who: str) -> Scenario:
    if scenario is None:
        raise UserError(f"users={who}: answers from a profile, expected a scenario")
    return scenario


def _of(scenario: Scenario | None, who: str) -> dict[str, str]:
    return dict(_of_scenario(scenario, who).profile)


def _partly(scenario: Scenario, attribute: str, value: str) -> str:
    kind = scenario.schema.attributes[scenario.schema.index(attribute)]
    code = kind.code(value)
    if code != UNKNOWN:
        return kind.levels[code].name
    words = value.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _uniform(seed: int, scenario_id: str, attribute: str) -> tuple[float, float]:
    """Return two numbers in [0, 1) that follow from the arguments alone (SHA-256)."""
    digest = hashlib.sha256(f"{seed}\0{scenario_id}\0{attribute}".encode()).digest()
    first, second = np.frombuffer(digest[:16], dtype="<u8")
    return float(first >> np.uint64(11)) / 2**53, float(second >> np.uint64(11)) / 2**53
