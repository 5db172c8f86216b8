"""Scores sets for a search: the memo, the limit on judge calls, and why sets were left unscored."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

SetScores = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(masks: uint64[B], samples: int64[B]) -> float64[B]; NaN = unscored."""


class JudgeCallsSpent(Exception):
    """A searcher asked for more judge calls than `max_judge_calls`; what was scored makes the plan."""


class SetRules(NamedTuple):
    """Which sets may be scored: each holds `known`, and at most `budget` of `askable` (bitmasks)."""

    known: int
    askable: int
    budget: int

    def check(self, mask: int) -> None:
        """Raise ValueError for a set that breaks a rule."""
        if mask & self.known != self.known or mask & ~(self.known | self.askable):
            raise ValueError(
                f"set {mask:#x}: expected known {self.known:#x} and some of askable {self.askable:#x}"
            )
        asked = (mask & ~self.known).bit_count()
        if asked > self.budget:
            raise ValueError(
                f"set {mask:#x}: {asked} questions, expected at most the budget of {self.budget}"
            )


class Evaluator:
    """Asks for the score of each (set, sample) once, and keeps it.

    Parameters
    ----------
    scores : what scores new pairs
    rules : which sets may be scored
    max_judge_calls : the most distinct pairs that are scored; None = no limit
    reasons : why sets were left unscored, counted by `scores` where it has something to say
    """

    def __init__(
        self,
        scores: SetScores,
        rules: SetRules,
        max_judge_calls: int | None = None,
        reasons: Counter[str] | None = None,
    ) -> None:
        self.scores = scores
        self.rules = rules
        self.max_judge_calls = max_judge_calls
        self.reasons: Counter[str] = Counter() if reasons is None else reasons
        self._memo: dict[tuple[int, int], float] = {}

    def without_limit(self) -> Evaluator:
        """Return an evaluator over the same memo that may score more than the limit of this one."""
        other = copy.copy(self)
        other.max_judge_calls = None
        return other

    def evaluate(self, masks: np.ndarray, samples: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return float64[B], the judge's score of each set; NaN = unscored.

        `masks`: uint64[B], each holding `known` and at most `budget` askable attributes. `samples`:
        int[B], which evaluation of a noisy set is wanted (default 0). A repeated (mask, sample) is free.

        Raises
        ------
        ValueError
            a set that is over the budget, lacks `known`, or holds what cannot be asked.
        JudgeCallsSpent
            the new pairs would exceed `max_judge_calls`; nothing was scored.
        """
        masks = np.asarray(masks, dtype=np.uint64)
        evaluations = np.zeros(len(masks), np.int64) if samples is None else np.asarray(samples, np.int64)
        keys = list(zip(masks.tolist(), evaluations.tolist(), strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self._memo]
        for mask, _ in new:
            self.rules.check(mask)
        if self.calls_left is not None and len(new) > self.calls_left:
            raise JudgeCallsSpent
        if new:
            found = self.scores(
                np.array([mask for mask, _ in new], dtype=np.uint64),
                np.array([sample for _, sample in new], dtype=np.int64),
            )
            self._memo.update(zip(new, np.asarray(found, dtype=np.float64).tolist(), strict=True))
        return np.array([self._memo[key] for key in keys], dtype=np.float64)

    @property
    def judge_calls(self) -> int:
        """Distinct (set, sample) pairs scored so far."""
        return len(self._memo)

    @property
    def calls_left(self) -> int | None:
        """Judge calls that may still be made; None = no limit."""
        return None if self.max_judge_calls is None else self.max_judge_calls - len(self._memo)

    def observations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (masks uint64[C], samples int64[C], scores float64[C]) of all that was scored, in order."""
        keys = list(self._memo)
        return (
            np.array([mask for mask, _ in keys], dtype=np.uint64),
            np.array([sample for _, sample in keys], dtype=np.int64),
            np.array(list(self._memo.values()), dtype=np.float64),
        )

    def told_reasons(self) -> str:
        """Return the reasons of unscored sets, the most frequent first, as " (refused 3, parse 1)"; or ""."""
        told = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        return f" ({told})" if told else ""
