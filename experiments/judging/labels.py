"""What people said of answers: label files, joined with the answers that a judge rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from envs import Scenario, UserError
from experiments.judging.answer_files import Answer, AnswerSet, level, read_answers
from experiments.judging.ratings import DIMENSIONS, RatedAnswer

SCORES = (*DIMENSIONS, "score")
_EXPECTED = f"expected levels 1 to 5 of {', '.join(DIMENSIONS)}"


@dataclass(frozen=True)
class Labels:
    """Labels of n answers by R raters.

    Attributes
    ----------
    answers : n answers, each once
    raters : R names
    levels : dimension or `score` -> float64[n, R], NaN where a rater said nothing; `score` is the mean of the
        dimensions, or what stands in the file where it has no dimensions
    probabilities : float64[n], with which each answer was drawn to be labelled; None = all the same
    """

    answers: list[Answer]
    raters: list[str]
    levels: dict[str, np.ndarray]
    probabilities: np.ndarray | None

    def mean(self, name: str) -> np.ndarray:
        """Return float64[n]: the mean over the raters who said something, NaN where none did."""
        there = ~np.isnan(self.levels[name])
        with np.errstate(invalid="ignore"):
            return np.where(there, self.levels[name], 0.0).sum(axis=1) / there.sum(axis=1)


def read_labels(path: str, scenarios: Sequence[Scenario]) -> tuple[Labels, AnswerSet]:
    """Return the labels in a file: records of answers (`read_answers`) with levels of the three dimensions.

    A record may have `rater` (a name), and `probability`. Records without any level, or with something else
    where a level belongs, are listed as bad.

    Raises
    ------
    UserError
        the file cannot be read, holds no label, or some of the probabilities are missing or out of (0, 1].
    """
    found = read_answers(path, "labels", scenarios)
    rows: dict[tuple[str, str, str], Answer] = {}
    said: list[tuple[tuple[str, str, str], str, dict[str, float], float]] = []
    bad = list(found.bad)
    for answer in found.answers:
        levels = _levels(answer)
        wrong = [name for name in SCORES if _is_said(answer, name) and math.isnan(levels[name])]
        if wrong or all(math.isnan(value) for value in levels.values()):
            field = f"field {wrong[0]}: " if wrong else ""
            bad.append((answer.place, answer.scenario_id, f"{field}{_EXPECTED}"))
            continue
        rows.setdefault(key_of(answer), answer)
        chance = answer.fields.get("probability")
        said.append((key_of(answer), _rater(answer), levels, math.nan if chance is None else _chance(chance)))
    if not said:
        raise UserError(f"labels={path}: found no label; {bad[0][0]}: {bad[0][2]}")
    raters = list(dict.fromkeys(rater for _, rater, _, _ in said))
    places = {key: i for i, key in enumerate(rows)}
    levels_of = {name: np.full((len(rows), len(raters)), math.nan) for name in SCORES}
    chances = np.full(len(rows), math.nan)
    for key, rater, levels, chance in said:
        for name, value in levels.items():
            levels_of[name][places[key], raters.index(rater)] = value
        chances[places[key]] = chance
    given = None if np.isnan(chances).all() else chances
    if given is not None and not ((given > 0) & (given <= 1)).all():
        raise UserError(
            f"labels={path}: field probability: expected one in (0, 1] in every record, or in none: known "
            f"before the draw, and never 0"
        )
    return Labels(list(rows.values()), raters, levels_of, given), AnswerSet(found.answers, bad, found.sha256)


def key_of(answer: Answer) -> tuple[str, str, str]:
    """Return what makes two records be about one answer: scenario, writer and words."""
    return answer.scenario_id, answer.system, answer.sha256


def _levels(answer: Answer) -> dict[str, float]:
    levels = {name: level(answer.fields.get(name)) for name in DIMENSIONS}
    whole = not any(math.isnan(value) for value in levels.values())
    score = sum(levels.values()) / len(levels) if whole else level(answer.fields.get("score"))
    return {**levels, "score": score}


def _is_said(answer: Answer, name: str) -> bool:
    value = answer.fields.get(name)
    return not (value is None or value == "" or (isinstance(value, float) and math.isnan(value)))


def _rater(answer: Answer) -> str:
    rater = answer.fields.get("rater")
    return rater if isinstance(rater, str) else "-"


def _chance(value: object) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number else 0.0  # type: ignore[arg-type]


@dataclass(frozen=True)
class Judged:
    """N answers with the judge's scores, and what people said of some.

    Attributes
    ----------
    scores : dimension or `score` -> float64[N], NaN = unscored
    human : the same, NaN = not labelled
    people : int[N], the person whom each is about
    groups : `domain`, `system`, `length` -> N names of groups, with the groups in the order to show
    probabilities : float64[N], of labelled ones; None = all the same
    """

    scores: dict[str, np.ndarray]
    human: dict[str, np.ndarray]
    people: np.ndarray
    groups: dict[str, pd.Categorical[str]]
    probabilities: np.ndarray | None

    @property
    def n_people(self) -> int:
        """How many people there are."""
        return int(self.people.max()) + 1 if len(self.people) else 0


def join(
    answers: Sequence[Answer],
    ratings: Sequence[RatedAnswer],
    labels: Labels,
    scenarios: dict[str, Scenario],
) -> Judged:
    """Return ratings beside labels; those are answers among `answers`.

    Raises
    ------
    UserError
        a label of an answer that is not among them: then it would be no sample of them.
    """
    places = {key_of(answer): i for i, answer in enumerate(answers)}
    for answer in labels.answers:
        if key_of(answer) not in places:
            raise UserError(
                f"labels: {answer.place}: its answer is not in the file of answers, expected labels of a "
                f"random sample of these (the same scenario_id, system and words)"
            )
    rows = [places[key_of(answer)] for answer in labels.answers]
    human = {name: np.full(len(answers), math.nan) for name in SCORES}
    for name in SCORES:
        human[name][rows] = labels.mean(name)
    chances = None
    if labels.probabilities is not None:
        chances = np.full(len(answers), math.nan)
        chances[rows] = labels.probabilities
    numbers: dict[object, int] = {}
    people = [numbers.setdefault(scenarios[a.scenario_id].profile, len(numbers)) for a in answers]
    scores = {name: np.array([rating.dimension(name) for rating in ratings]) for name in DIMENSIONS}
    scores["score"] = np.array([rating.value for rating in ratings])
    domains, systems = [scenarios[a.scenario_id].domain for a in answers], [a.system for a in answers]
    groups = {
        "domain": _grouped(domains, domains),
        "system": _grouped(systems, systems),
        "length": _thirds(np.array([a.words for a in answers])),
    }
    return Judged(scores, human, np.array(people), groups, chances)


def _grouped(names: list[str], order: list[str]) -> pd.Categorical[str]:
    return pd.Categorical(names, categories=list(dict.fromkeys(order)))


def _thirds(words: np.ndarray) -> pd.Categorical[str]:
    """Return for each answer which third of the lengths it is in, by its words."""
    low, high = np.quantile(words, [1 / 3, 2 / 3])
    names = [f"to {low:.0f} words", f"to {high:.0f} words", "longer"]
    return _grouped([names[int(n > low) + int(n > high)] for n in words], names)
