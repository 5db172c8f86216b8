"""Scores sets for a search: the memo, the limit on judge calls, and why sets were left unscored."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
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


class ScoreMemo:
    """What was scored, in the order of asking: as arrays, and by sample and set for looking up."""

    def __init__(self) -> None:
        self.n = 0
        self._blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._unread: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._by_sample: defaultdict[int, dict[int, float]] = defaultdict(dict)

    def add(self, masks: np.ndarray, samples: np.ndarray, scores: np.ndarray) -> None:
        """Add uint64[B], int64[B], float64[B]: pairs of set and sample that are not there yet."""
        if len(scores) != len(masks):
            raise ValueError(f"found {len(scores)} scores of {len(masks)} sets")
        self.n += len(masks)
        self._blocks.append((masks, samples, scores))
        self._unread.append(self._blocks[-1])

    def by_sample(self) -> Mapping[int, Mapping[int, float]]:
        """Return sample -> mask -> score; built when it is first needed, for many searches never look."""
        for masks, samples, scores in self._unread:
            for mask, sample, score in zip(masks.tolist(), samples.tolist(), scores.tolist(), strict=True):
                self._by_sample[sample][mask] = score
        self._unread.clear()
        return self._by_sample

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (masks uint64[C], samples int64[C], scores float64[C])."""
        if not self._blocks:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0)
        if len(self._blocks) > 1:
            masks, samples, scores = map(np.concatenate, zip(*self._blocks, strict=True))
            self._blocks = [(masks, samples, scores)]
        return self._blocks[0]


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
        self._scored = ScoreMemo()

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
        looks = np.zeros(len(masks), np.int64) if samples is None else np.asarray(samples, np.int64)
        memo = self._scored.by_sample()
        keys = list(zip(masks.tolist(), looks.tolist(), strict=True))
        new = [(mask, look) for mask, look in dict.fromkeys(keys) if mask not in memo.get(look, ())]
        for mask, _ in new:
            self.rules.check(mask)
        if self.calls_left is not None and len(new) > self.calls_left:
            raise JudgeCallsSpent
        if new:
            asked = np.array([mask for mask, _ in new], np.uint64), np.array([look for _, look in new])
            self._scored.add(*asked, np.array(self.scores(*asked), dtype=np.float64))
            memo = self._scored.by_sample()
        return np.array([memo[look][mask] for mask, look in keys], dtype=np.float64)

    def keep(self, masks: np.ndarray, scores: np.ndarray) -> None:
        """Take over what a search has scored itself on the problem's surface, at sample 0; as judge calls.

        `masks`: uint64[B], distinct, none of them scored before. `scores`: float64[B].
        """
        self._scored.add(masks, np.zeros(len(masks), np.int64), scores)

    @property
    def judge_calls(self) -> int:
        """Distinct (set, sample) pairs scored so far."""
        return self._scored.n

    @property
    def calls_left(self) -> int | None:
        """Judge calls that may still be made; None = no limit."""
        return None if self.max_judge_calls is None else self.max_judge_calls - self.judge_calls

    def at_first_sample(self) -> Mapping[int, float]:
        """Return mask -> score (NaN = unscored) of every set scored at sample 0."""
        return self._scored.by_sample().get(0, {})

    def observations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (masks uint64[C], samples int64[C], scores float64[C]) of all that was scored, in order."""
        return self._scored.columns()

    def told_reasons(self) -> str:
        """Return the reasons of unscored sets, the most frequent first, as " (refused 3, parse 1)"; or ""."""
        told = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        return f" ({told})" if told else ""
