"""Judge calls of one scenario: out of the run's transcripts, or replayed from the cache of replies.

Nothing is sent to anybody. Scores, samples and names of attributes alone, but for the texts in transcripts,
which the caller shows or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from envs import Scenario, UserError
from envs.checking.validation import accepted_keys
from envs.judges.llm.replay import ReplayJudge
from envs.judges.protocol import Score
from envs.llm.endpoint import CacheMiss
from experiments.evaluation.results import DIMENSIONS
from experiments.runs import build
from experiments.viewer.run_contents import RunContents
from search.planning import REPORT_SAMPLE

_FIRST_LOOKS = 4
"""Looks of the search at a set that are tried; those of the report follow."""
_REPLAYED = (
    "envs.judges.llm.LLMJudge",
    "envs.judges.llm.local.LocalJudge",
    "envs.judges.llm.replay.ReplayJudge",
)


class JudgeCall(NamedTuple):
    """One call. `dimensions`: risk sensitivity, emotional empathy, personalization; NaN = unscored.

    `sample`: which look at this set; those of the report are counted from 0 in `of_report`. `texts`: what the
    models wrote, of transcripts alone.
    """

    known: tuple[str, ...]
    sample: int
    of_report: bool
    score: float
    dimensions: tuple[float, float, float]
    reason: str = ""
    texts: tuple[str, ...] = ()


def from_transcripts(rows: Iterable[Mapping[str, Any]]) -> list[JudgeCall]:
    """Return the calls that `transcripts.jsonl` tells of; rows of another form are left out."""
    found = []
    for row in rows:
        score, known, sample = row.get("score"), row.get("known"), row.get("sample")
        if isinstance(score, Mapping) and isinstance(known, list) and isinstance(sample, int):
            values = [score.get(name) for name in DIMENSIONS]
            numbers = [float(v) if isinstance(v, int | float) else math.nan for v in values]
            texts = tuple(str(row[key]) for key in ("response", "verdict") if row.get(key))
            names = tuple(str(name) for name in known)
            reason = str(score.get("reason") or "")
            found.append(_call(names, sample, (numbers[0], numbers[1], numbers[2]), reason, texts))
    return found


def _call(
    known: tuple[str, ...],
    sample: int,
    dimensions: tuple[float, float, float],
    reason: str,
    texts: tuple[str, ...] = (),
) -> JudgeCall:
    of_report = sample >= REPORT_SAMPLE
    number = sample - REPORT_SAMPLE if of_report else sample
    score = math.nan if reason else sum(dimensions) / 3
    return JudgeCall(known, number, of_report, score, dimensions, reason, texts)


class CachedCalls:
    """Replays the judge of a run from its cache of replies.

    Raises
    ------
    UserError
        the run's judge is no language model of ours, or its cache or scenarios cannot be read.
    """

    def __init__(self, run: RunContents) -> None:
        node = run.config.get("judge")
        target = node.get("_target_") if isinstance(node, dict) else None
        if not isinstance(node, dict) or target not in _REPLAYED:
            raise UserError("judge: keeps no replies, expected a run of judge=openai, local or replay")
        self._judge = ReplayJudge(**_keys(node, run.provenance))
        self.scenarios = scenarios_of(run)

    def calls(self, scenario_id: str, contexts: Sequence[frozenset[str]], n_report: int) -> list[JudgeCall]:
        """Return the calls of `contexts` that the cache holds, in their order.

        Raises
        ------
        UserError
            the cache is damaged, or the scenario is not in the run's file any more.
        """
        scenario = self.scenarios.get(scenario_id)
        if scenario is None:
            raise UserError(f"scenarios: have no {scenario_id}, expected those of the run")
        looks = [*range(_FIRST_LOOKS), *range(REPORT_SAMPLE, REPORT_SAMPLE + n_report)]
        return list(self._found(scenario, contexts, looks if self._judge.stochastic else [0]))

    def _found(
        self, scenario: Scenario, contexts: Sequence[frozenset[str]], looks: Sequence[int]
    ) -> Iterator[JudgeCall]:
        for context in contexts:
            known = tuple(name for name in scenario.schema.names if name in context)
            for sample in looks:
                score = self._score(scenario, known, sample)
                if score is not None:
                    numbers = (score.risk_sensitivity, score.emotional_empathy, score.personalization)
                    yield _call(known, sample, numbers, score.reason or "")

    def _score(self, scenario: Scenario, known: tuple[str, ...], sample: int) -> Score | None:
        try:
            return self._judge.score(scenario, [known], [sample])[0]
        except CacheMiss:
            return None


def _keys(node: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a replay takes of the judge that the run had, with whose replies they were."""
    kept = {key: value for key, value in node.items() if key in accepted_keys(ReplayJudge)}
    target = {k: v for k, v in (node.get("target") or {}).items() if v is not None}
    told = provenance.get("judge")
    endpoints = told.get("endpoints") if isinstance(told, Mapping) else None
    if isinstance(endpoints, list) and len(endpoints) == 2:
        kept["cache_as"], target["cache_as"] = endpoints
    return {**kept, "target": target, "save_transcripts": False}


def scenarios_of(run: RunContents) -> dict[str, Scenario]:
    """Return the scenarios that the run was of, by id, all splits of them.

    Raises
    ------
    UserError
        the configuration names none, or its files cannot be read from here.
    """
    node = run.config.get("scenarios")
    if not isinstance(node, dict):
        raise UserError("scenarios: the run's configuration names none")
    node = dict(node, limit=None, split="all")
    for key in ("path", "attributes"):
        if isinstance(node.get(key), str) and run.run_folder is not None:
            node[key] = str(run.run_folder / node[key])
    try:
        found = build.build_scenarios(OmegaConf.create({"scenarios": node}))
    except (KeyError, AttributeError, TypeError) as error:
        raise UserError(f"scenarios: the run's configuration is damaged ({type(error).__name__})") from None
    return {scenario.id: scenario for scenario in found.scenarios}
