"""`rules.total_gain` for many environments that end in the same step."""

from __future__ import annotations

import numpy as np

from envs.vector.batch_scores import BatchScores
from envs.vector.episode_rules import Episodes


def terminal_gains(ends: np.ndarray, episodes: Episodes, scores: BatchScores) -> np.ndarray:
    """Return float64[K], s(U_T) - s(U_0) of the environments `ends` (int64[K]), 0 where nothing is scored.

    U_0 and U_T of all are asked for together; where one is unscored, the next scored set of the path stands
    in for it, so that only these are asked for more. Writes s(U_T) into `episodes.score`.
    """
    length = episodes.length[ends]

    def ask(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        envs = ends[rows]
        return scores(episodes.scenario[envs], episodes.path[envs, places], episodes.sample[envs])

    every = np.arange(len(ends))
    moved = np.flatnonzero(length)
    found = ask(np.concatenate([every, moved]), np.concatenate([np.zeros_like(every), length[moved]]))
    first = found[: len(ends)].copy()
    last = first.copy()
    last[moved] = found[len(ends) :]
    episodes.score[ends] = last
    first_at, last_at = np.zeros_like(length), length.copy()
    while len(rows := np.flatnonzero(np.isnan(first) & (first_at < length))):
        first_at[rows] += 1
        at_end = first_at[rows] == length[rows]
        first[rows[at_end]] = last[rows[at_end]]
        first[rows[~at_end]] = ask(rows[~at_end], first_at[rows[~at_end]])
    while len(rows := np.flatnonzero(np.isnan(last) & ~np.isnan(first))):
        last_at[rows] -= 1
        met = last_at[rows] == first_at[rows]
        last[rows[met]] = first[rows[met]]
        last[rows[~met]] = ask(rows[~met], last_at[rows[~met]])
    return np.where(np.isnan(first), 0.0, last - first)
