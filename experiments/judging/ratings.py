"""Rate answers of a file with any judge that has `rate`, in threads, with a journal to go on from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import pyarrow as pa

from envs import Judge, Scenario, Score, UserError
from envs.checking.json_values import with_nulls
from envs.judges.asking import rated
from envs.judges.panel import PanelScore
from envs.judges.protocol import Capabilities, describe
from experiments.evaluation.at_once import at_once
from experiments.judging.answer_files import Answer
from experiments.runs.cost_estimate import BESIDE_TOKENS, Amount
from experiments.runs.journal import LineJournal
from experiments.runs.progress import Progress

AT_ONCE = 32
"""Answers to one query that are given to a judge in one call, at most."""
LOOKED_AT = 200
DIMENSIONS = ("risk_sensitivity", "emotional_empathy", "personalization")


@dataclass(frozen=True)
class RatedAnswer:
    """What a judge said of one answer: its samples, and what asking took."""

    number: int
    samples: tuple[Score, ...]

    @property
    def scored(self) -> list[Score]:
        """The samples that have a score."""
        return [score for score in self.samples if score.reason is None]

    @property
    def value(self) -> float:
        """Mean score of the samples, NaN = unscored."""
        return fmean(score.value for score in self.scored) if self.scored else math.nan

    @property
    def reason(self) -> str | None:
        """Why there is no score at all, None where there is one."""
        return None if self.scored else self.samples[0].reason

    def dimension(self, name: str) -> float:
        """Mean level of one dimension, NaN = unscored."""
        return fmean(vars(score)[name] for score in self.scored) if self.scored else math.nan


class RatedBatch(NamedTuple):
    """Ratings of one call, with requests and cache hits that it took."""

    ratings: list[RatedAnswer]
    requests: int
    cache_hits: int


class RatingJournal(LineJournal[RatedAnswer]):
    """The journal of ratings: `ratings.jsonl`, keyed by the record's number. It holds numbers, no words."""

    file_name = "ratings.jsonl"

    def add(self, rating: RatedAnswer) -> None:
        """Append `rating`; it survives a kill of this process from here on."""
        row = {"number": rating.number, "samples": [_to_row(score) for score in rating.samples]}
        self._append(json.dumps(row))

    def _enter(self, path: Path, number: int, line: bytes) -> None:
        try:
            row = json.loads(line)
            rating = RatedAnswer(int(row["number"]), tuple(_from_row(r) for r in row["samples"]))
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: line {number} is no rating, expected a journal") from None
        self.done[str(rating.number)] = rating


def _to_row(score: Score) -> dict[str, Any]:
    row: dict[str, Any] = {"reason": score.reason}
    if score.reason is None:
        row = {"levels": [vars(score)[name] for name in DIMENSIONS]}
    if isinstance(score, PanelScore):
        row["members"] = [_to_row(member) for member in score.members]
    return row


def _from_row(row: dict[str, Any]) -> Score:
    fields = dict(zip(DIMENSIONS, row["levels"], strict=True)) if "levels" in row else {}
    fields["reason"] = row.get("reason")
    if "members" in row:
        return PanelScore(**fields, members=tuple(map(_from_row, row["members"])))
    return Score(**fields)


def tasks(
    judge: Judge, answers: Sequence[Answer], scenarios: dict[str, Scenario], samples: int, rest: bool
) -> list[Callable[[], RatedBatch]]:
    """Return calls that rate `answers`, those of one query together.

    `samples`: looks of a stochastic judge at each answer. `rest`: it reads the whole profile, not only what
    the answer's writer knew.
    """
    told = describe(judge)
    groups: dict[tuple[str, tuple[str, ...] | None], list[Answer]] = {}
    for answer in answers:
        read = None if rest else answer.known or ()
        groups.setdefault((answer.scenario_id, read), []).append(answer)
    return [
        partial(_rate, judge, told, scenarios[scenario_id], part, samples if told.stochastic else 1, read)
        for (scenario_id, read), group in groups.items()
        for part in (group[i : i + AT_ONCE] for i in range(0, len(group), AT_ONCE))
    ]


def _rate(
    judge: Judge,
    told: Capabilities,
    scenario: Scenario,
    answers: Sequence[Answer],
    samples: int,
    read: Sequence[str] | None,
) -> RatedBatch:
    before = told.counts()
    texts = [answer.text for answer in answers for _ in range(samples)]
    found = rated(judge, told, scenario, texts, list(range(samples)) * len(answers), read)
    after = told.counts()
    ratings = [
        RatedAnswer(a.number, tuple(found[i * samples : (i + 1) * samples])) for i, a in enumerate(answers)
    ]
    return RatedBatch(ratings, after.requests - before.requests, after.cache_hits - before.cache_hits)


def run(judge: Judge, calls: Sequence[Callable[[], RatedBatch]]) -> Generator[RatedBatch, None, None]:
    """Yield what `calls` give, as many at work at once as the judge takes."""
    yield from at_once(calls, describe(judge).concurrent_plans)


def rate_all(
    judge: Judge, answers: Sequence[Answer], scenarios: dict[str, Scenario], samples: int
) -> list[RatedAnswer]:
    """Return the ratings of `answers`, in their order; what was paid for is in the judge's cache."""
    progress = Progress("rated", "answers", len(answers))
    found: dict[int, RatedAnswer] = {}
    with closing(run(judge, tasks(judge, answers, scenarios, samples, True))) as running, progress:
        for batch in running:
            found |= {rating.number: rating for rating in batch.ratings}
            progress.advance(len(batch.ratings))
    return [found[answer.number] for answer in answers]


def cost(
    judge: Judge, answers: Sequence[Answer], scenarios: dict[str, Scenario], samples: int
) -> Amount | None:
    """Return what rating `answers` takes as expected, None for a judge that asks nobody.

    Prompts are measured of `LOOKED_AT` answers at most (twice as many), evenly over the file.
    """
    told = describe(judge)
    if told.rate_costs is None or not answers:
        return None
    measured = answers[:: max(1, len(answers) // LOOKED_AT)]
    costs = [c for a in measured for c in told.rate_costs(scenarios[a.scenario_id], a.text)]
    if not costs:
        return None
    looks = (samples if told.stochastic else 1) * len(answers) / len(measured)
    return Amount(
        requests=looks * len(costs),
        tokens=looks * sum(c.tokens[0] for c in costs),
        **{key: looks * sum(getattr(c, key)[0] for c in costs) for key in BESIDE_TOKENS},
    )


def as_table(
    ratings: Sequence[RatedAnswer], answers: Sequence[Answer], scenarios: dict[str, Scenario], judge: str
) -> pa.Table:
    """Return a row for each answer, in the order of the file; null = unscored; no column has its words."""
    by_number = {rating.number: rating for rating in ratings}
    rows = []
    for answer in answers:
        rating = by_number[answer.number]
        values = [score.value for score in rating.scored]
        panel = [score for score in rating.samples if isinstance(score, PanelScore)]
        rows.append(
            {
                "number": answer.number,
                "scenario_id": answer.scenario_id,
                "domain": scenarios[answer.scenario_id].domain,
                "system": answer.system,
                "answer_sha256": answer.sha256,
                "answer_words": answer.words,
                **{name: rating.dimension(name) for name in DIMENSIONS},
                "score": rating.value,
                "score_stderr": _stderr(values),
                "n_samples": len(values),
                "reason": rating.reason,
                "members": _member_means(panel),
                "spread": panel[0].spread if len(panel) == 1 else _mean([p.spread for p in panel]),
                "judge": judge,
            }
        )
    return pa.Table.from_pylist(with_nulls(rows), _SCHEMA)


_SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        *((name, pa.string()) for name in ("scenario_id", "domain", "system", "answer_sha256")),
        ("answer_words", pa.int64()),
        *((name, pa.float64()) for name in (*DIMENSIONS, "score", "score_stderr")),
        ("n_samples", pa.int64()),
        ("reason", pa.string()),
        ("members", pa.list_(pa.float64())),
        ("spread", pa.float64()),
        ("judge", pa.string()),
    ]
)


def _stderr(values: Sequence[float]) -> float:
    """Return the standard error of a mean; 0 of one value, NaN of none."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0 if values else math.nan


def _mean(values: Sequence[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return fmean(kept) if kept else math.nan


def _member_means(panel: Sequence[PanelScore]) -> list[float] | None:
    """Return each member's mean over the samples; None for a judge that is no panel."""
    if not panel:
        return None
    return [_mean([s.members[i].value for s in panel]) for i in range(len(panel[0].members))]
