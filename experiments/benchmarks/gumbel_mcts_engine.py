"""Asking for attributes as a game of gumbel-mcts. Imported lazily: it imports PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import torch
from gumbel_mcts import PUCT, GumbelDense

__all__ = ["PUCT", "GumbelDense", "gumbel_mcts_search"]


def gumbel_mcts_search(
    engine: Callable[..., Any], scores: np.ndarray, n: int, budget: int, simulations: int, games: int
) -> Callable[[], int]:
    """Return what searches `games` games of n attributes at once; `scores`: float64[2^n]."""
    torch.set_num_threads(1)
    values = (scores - 3.0) / 2.0  # in [-1, 1], as the package wants them
    logic = _rules(values, n, budget)
    model = SimpleNamespace(logic=logic, forward_for_mcts=_model(values, n))

    def run() -> int:
        search = engine(games, games * (2 * simulations + 20), logic, device="cpu")
        boards, players = np.zeros((games, 1, n), np.int8), np.ones(games, np.int8)
        search.initialize_roots(list(range(games)), boards, players)
        search.run_simulation_batch(model, list(range(games)), num_simulations=simulations)
        return games * simulations

    return run


def _rules(values: np.ndarray, n: int, budget: int) -> SimpleNamespace:
    @numba.njit
    def fast_step(board: Any, action: Any, player: Any) -> Any:
        after = board.copy()
        after[0, action] = 1
        code = np.int64(0)
        for a in range(n):
            code |= np.int64(after[0, a]) << a
        done = after.sum() >= budget
        return values[code] if done else 0.0, 0, done, after

    @numba.njit
    def get_valid_mask(board: Any, player: Any) -> Any:
        return (board[0] == 0).astype(np.float32)

    return SimpleNamespace(
        NUM_ACTIONS=n,
        BOARD_SHAPE=(1, n),
        MAX_MOVES=budget,
        MAX_LEGAL_MOVES=n,
        PLAYER_1=1,
        PLAYER_2=2,
        fast_step=fast_step,
        get_valid_mask=get_valid_mask,
    )


def _model(values: np.ndarray, n: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    table = torch.tensor(values, dtype=torch.float32)
    places = torch.tensor([1 << a for a in range(n)], dtype=torch.float32)

    def forward(batch: dict[str, Any]) -> dict[str, Any]:
        boards = batch["boards"]
        found = table[(boards @ places).long()]
        return {"policy": torch.full((len(boards), n), 1.0 / n), "value": found[:, None]}

    return forward
