"""Steps a second of the environment with the simulated judge: the vector environment, and the single one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np
from rich import box
from rich.table import Table

import envs

_ENV = f"{envs.__name__}/AttributeAcquisition-v0"  # importing `envs` registers it
_SIZES = (64, 1024, 65536)
_STEPS = 20
"""Of a repeat, and more where N is small."""


@dataclass(frozen=True)
class StepRate:
    """`per_second`: steps of one environment a CPU second, resets after an end among them."""

    environment: str
    reward: str
    num_envs: int
    steps: int
    per_second: float


def environment_rates(repeats: int, seed: int) -> list[StepRate]:
    """Measure random legal questions and answers, which are drawn outside the time that counts."""
    rates = []
    for reward in ("incremental", "terminal"):
        rates += [_vector_rate(n, reward, repeats, seed, "vector_entry_point") for n in _SIZES]
        rates.append(_vector_rate(_SIZES[0], reward, repeats, seed, "sync"))
        rates.append(_single_rate(reward, repeats, seed))
    return rates


def _vector_rate(num_envs: int, reward: str, repeats: int, seed: int, mode: str) -> StepRate:
    vector = gymnasium.make_vec(_ENV, num_envs=num_envs, vectorization_mode=mode, reward=reward)
    rng = np.random.default_rng(seed)
    _, infos = vector.reset(seed=seed)
    steps = max(_STEPS, 20_000 // num_envs) if mode != "sync" else _STEPS
    times = []
    for _ in range(repeats + 1):  # the first one compiles and warms caches
        spent = 0.0
        for _ in range(steps):
            mask = infos["action_mask"]
            actions = (rng.random(mask.shape) * mask).argmax(axis=1)
            started = time.thread_time()
            _, _, _, _, infos = vector.step(actions)
            spent += time.thread_time() - started
        times.append(spent)
    name = "native vector" if mode != "sync" else "SyncVectorEnv"
    return StepRate(name, reward, num_envs, steps * num_envs, steps * num_envs / min(times[1:]))


def _single_rate(reward: str, repeats: int, seed: int) -> StepRate:
    env = gymnasium.make(_ENV, reward=reward).unwrapped
    rng = np.random.default_rng(seed)
    _, info = env.reset(seed=seed)
    steps, over, times = 2000, False, []
    for _ in range(repeats + 1):
        spent = 0.0
        for _ in range(steps):
            mask = info["action_mask"]
            action = int((rng.random(mask.shape) * mask).argmax())
            started = time.thread_time()
            if over:
                _, info = env.reset()
                over = False
            else:
                _, _, over, _, info = env.step(action)
            spent += time.thread_time() - started
        times.append(spent)
    return StepRate("single", reward, 1, steps, steps / min(times[1:]))


def environment_table(rates: Sequence[StepRate]) -> Table:
    """Return the rates as a table."""
    found = Table(title=f"Steps a second of {_ENV}, one core", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("environment", "reward"):
        found.add_column(name, no_wrap=True)
    for name in ("N", "thousands/s"):
        found.add_column(name, justify="right", no_wrap=True)
    for rate in rates:
        found.add_row(rate.environment, rate.reward, f"{rate.num_envs:,}", f"{rate.per_second / 1e3:,.0f}")
    return found
