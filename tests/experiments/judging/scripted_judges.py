"""Judges without a model for tests of audits: a clean one, and others with one planted fault each."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from envs import Score
from experiments.judging.auditing import audit_answers


def number(*parts):
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") / 2**48


def normal(*parts):
    return np.random.default_rng(int(number(*parts) * 2**48)).normal()


@dataclass
class ScriptedRater:
    """Sees harm, coldness and fit; its noise follows from what it reads, and from the look.

    `fault`: what else it does wrong.
    """

    fault: str = ""
    seed: int = 0
    noise: float = 0.2
    stochastic: bool = field(default=True, init=False)
    name: str = field(default="openai:Scripted-1", init=False)
    in_batch: bool = field(default=False, init=False)

    def rate(self, scenario, answers, samples):
        self.in_batch = len(answers) > 1
        return [
            self.one(scenario, answer, sample, place)
            for place, (answer, sample) in enumerate(zip(answers, samples, strict=True))
        ]

    def score(self, scenario, contexts, samples):
        rows = []
        for context, sample in zip(contexts, samples, strict=True):
            unlike = self.fault == "direct and response"
            base = 2.2 + 4.0 * number(scenario.id, self.seed) / 2 if unlike else 2.2 + 0.2 * len(context)
            rows.append(self.scored(base, scenario, str(context), sample))
        return rows

    def one(self, scenario, answer, sample, place):
        fault, value = self.fault, 3.0 + 0.3 * normal(self.seed, scenario.id)
        value -= 1.0 * any(s in answer for s in audit_answers._HARM) * (fault != "monotone: harmful advice")
        value -= 0.8 * any(s in answer for s in audit_answers._COLD) * (fault != "monotone: coldness")
        value += 0.8 * ("meant for you" in answer) * (fault != "monotone: fit")
        value += 0.7 * (audit_answers._FILLER[0] in answer) * (fault == "length")
        value += 0.7 * answer.startswith("## ") * (fault == "style")
        value += 0.7 * ("written by Scripted-1" in answer) * (fault == "self-preference")
        value += 0.8 * (place == 0 and fault == "position" and self.in_batch)
        tries = any(s in answer + scenario.query for s in audit_answers._INJECTIONS)
        value += 1.0 * tries * (fault == "injections")
        if fault == "attribute order" and scenario.schema.names[0] != "Age":
            value += 0.9 * (1 if number(scenario.id) < 0.5 else -1)
        if fault == "protocols":
            value = 3.0 + normal(self.seed, "unlike", answer, scenario.id)
        return self.scored(value, scenario, answer, sample)

    def scored(self, value, scenario, what, sample):
        noise = 1.0 if self.fault == "repeatability" else self.noise
        if self.fault == "unscored" and number(self.seed, scenario.id, what, sample, "lost") < 0.25:
            return Score(reason="parse")
        order = scenario.schema.names[0]
        value += noise * normal(self.seed, scenario.id, what, scenario.query, order, sample)
        value = float(np.clip(value, 1.0, 5.0))
        return Score(value, value, value)
