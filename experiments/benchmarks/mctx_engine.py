"""Asking for attributes as a model of mctx. Imported lazily: it imports JAX."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")  # read when JAX is imported

import jax
import jax.numpy as jnp
import mctx


def mctx_search(
    name: str, scores: np.ndarray, n: int, budget: int, simulations: int, games: int
) -> Callable[[], int]:
    """Return what searches `games` games of n attributes at once; `scores`: float64[2^n]."""
    table = jnp.asarray(scores, jnp.float32)

    def step(params: object, key: object, action: Any, masks: Any) -> Any:
        after = masks | (1 << action)
        known = after[:, None] >> jnp.arange(n) & 1
        output = mctx.RecurrentFnOutput(
            reward=table[after] - table[masks],
            discount=jnp.where(known.sum(axis=1) >= budget, 0.0, 1.0),
            prior_logits=jnp.where(known, -1e9, 0.0),
            value=jnp.zeros(games),
        )
        return output, after

    root = mctx.RootFnOutput(
        prior_logits=jnp.zeros((games, n)), value=jnp.zeros(games), embedding=jnp.zeros(games, jnp.int32)
    )
    policy = getattr(mctx, f"{name}_policy")
    options = {"dirichlet_fraction": 0.0} if name == "muzero" else {}

    @jax.jit
    def search(key: object) -> Any:
        found = policy((), key, root, step, num_simulations=simulations, max_depth=budget, **options)
        return found.action

    key = jax.random.PRNGKey(0)

    def run() -> int:
        search(key).block_until_ready()
        return games * simulations

    return run
