"""Several detectors together: the rules always, others beside them; the first alarm counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from envs.llm.books import Accounts
from envs.part_books import booked, keep_books
from policies.understanding.detectors.rules_detector import RulesDetector
from policies.understanding.reading import Danger, Detector, Dialogue


class BesideRules(ABC):
    """A detector that the rules stand beside: their clear sign counts at once, and whatever becomes of it."""

    def __init__(self, rules: RulesDetector) -> None:
        """Take the rules, whose file has messages and resources of each kind of danger."""
        self.rules = rules

    def check(self, text: str, asked: str | None = None, dialogue: Dialogue | None = None) -> Danger | None:
        """Return the sign of danger in `text`; a clear one counts before a suspicion."""
        heard = self.rules.check(text, asked, dialogue)
        if (heard is not None and heard.certain) or not text.strip():
            return heard
        found = self._found(text, asked, dialogue)
        return found if heard is None or (found is not None and found.certain) else heard

    @abstractmethod
    def _found(self, text: str, asked: str | None, dialogue: Dialogue | None) -> Danger | None:
        """Return what this detector finds by itself."""


class FirstAlarm(BesideRules):
    """The rules and any other detectors, asked in their order until one gives a clear sign.

    `rules`: YAML file of the rules, None = the package's; `others`: by any name.

    Raises
    ------
    UserError
        a mistake in the file of rules.
    """

    def __init__(self, rules: str | None = None, **others: Detector) -> None:
        super().__init__(RulesDetector.load(rules))
        self.others = others

    @property
    def books(self) -> Accounts:
        """What requests of the others took, by model and kind."""
        return booked(*self.others.values())

    def keep(self, folder: Path) -> None:
        """Count with what earlier sessions of the run in `folder` took."""
        keep_books(folder, *self.others.values())

    def _found(self, text: str, asked: str | None, dialogue: Dialogue | None) -> Danger | None:
        suspicion = None
        for detector in self.others.values():
            found = detector.check(text, asked, dialogue)
            if found is not None and found.certain:
                return found
            suspicion = suspicion or found
        return suspicion
