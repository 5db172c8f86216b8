"""Users who answer questions: from a profile, or at the terminal.

A user is any object with `answer(scenario, attribute, question) -> Reply`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from envs.errors import UserError
from envs.scenario import Scenario


@dataclass(frozen=True)
class Reply:
    """What a user says to a question.

    `text`: the words, None = declined; not in `repr`. `told`: how much of the value of the attribute that was
    asked about they truly tell, which the user knows and no reader decides: "all", "part" or "nothing".
    `also`: further attributes whose values they tell.
    """

    text: str | None = field(repr=False)
    told: Literal["all", "part", "nothing"] = "all"
    also: tuple[str, ...] = ()


DECLINED = Reply(None, "nothing")


class User(Protocol):
    """Answers questions about a scenario's profile."""

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> Reply:
        """Return the reply. `scenario` is None where only a person knows."""
        ...


class ProfileUser:
    """Tells the value of the profile as it is; declines what the profile does not say."""

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> Reply:
        """Return the profile's value of `attribute`; declines where it is missing."""
        scenario = scenario_of(scenario, "profile")
        value = scenario.profile.get(attribute)
        return DECLINED if scenario.schema.is_missing(value) else Reply(str(value))


class PersonUser:
    """Somebody at the terminal; an empty line declines.

    Raises
    ------
    EOFError, KeyboardInterrupt
        the person leaves (end of input, Ctrl-C).
    """

    def __init__(self, prompt: str = "> ") -> None:
        self.prompt = prompt

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> Reply:
        """Print the question and read a line; what it tells is for a reader to find."""
        print(question)
        return Reply(read_line(self.prompt).strip() or None)


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


def scenario_of(scenario: Scenario | None, who: str) -> Scenario:
    """Return `scenario`; without one, `UserError` says that users=`who` needs it."""
    if scenario is None:
        raise UserError(f"users={who}: answers from a profile, expected a scenario")
    return scenario
