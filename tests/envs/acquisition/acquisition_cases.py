"""A small schema, three scenarios and three judges for the tests of the environment."""

import math

import gymnasium
import numpy as np

from envs import Attribute, Level, Scenario, Schema

IDS = sorted(i for i in gymnasium.registry if i.startswith("envs/"))
TELLTALE = "zebra"  # in every value, so that a leak is seen
_LEVELS = (Level("low", ("low",)), Level("high", ("high",)))
SCHEMA = Schema(Attribute(name, "?", cost=i + 1, levels=_LEVELS) for i, name in enumerate("ABCDE"))
ANSWER = len(SCHEMA)
LOW, HIGH, OTHER = f"low {TELLTALE}", f"high {TELLTALE}", TELLTALE
FULL = {"A": LOW, "B": HIGH, "C": OTHER, "D": LOW, "E": HIGH}
SCENARIOS = (
    Scenario("full", "health", f"query {TELLTALE}", FULL, SCHEMA),
    Scenario("gaps", "career", "query", {"A": HIGH, "C": LOW, "D": "unknown"}, SCHEMA),
    Scenario("bare", "other", "query", {}, SCHEMA),
)


class Additive:
    """1 + the sum of (0.1, 0.2, ...) over what is known; counts what it is asked."""

    def __init__(self):
        self.asked = []

    def score(self, scenario, contexts):
        self.asked += contexts
        return [1 + sum(0.1 * (1 + SCHEMA.index(name)) for name in context) for context in contexts]


class Gappy(Additive):
    """Leaves every set of even size unscored: the empty one too."""

    def score(self, scenario, contexts):
        values = super().score(scenario, contexts)
        return [v if len(c) % 2 else math.nan for v, c in zip(values, contexts, strict=True)]


class Noisy(Additive):
    """Noise from (scenario, context, sample) alone."""

    stochastic = True

    def score(self, scenario, contexts, samples):
        self.samples = getattr(self, "samples", []) + list(samples)
        values = super().score(scenario, contexts)
        return [
            v + np.random.default_rng([len(scenario.id), s, SCHEMA.mask(c)]).random()
            for v, c, s in zip(values, contexts, samples, strict=True)
        ]


JUDGES = (Additive, Gappy, Noisy)


def make(judge=Additive, env_id=IDS[0], **kwargs):
    return gymnasium.make(env_id, scenarios=SCENARIOS, judge=judge(), **kwargs)


def play(env, actions, **reset):
    """Return (observations, rewards, terminated, infos) of an episode; the lists start with the reset's."""
    observation, info = env.reset(**reset)
    observations, rewards, infos, over = [observation], [], [info], False
    for action in actions:
        if over:
            break
        observation, reward, over, truncated, info = env.step(action)
        assert not truncated
        observations.append(observation)
        rewards.append(reward)
        infos.append(info)
    return observations, rewards, over, infos
