"""Noisy judges for the tests of the search: one value for each (set, sample), in any order."""

import numpy as np

from search.problem import Problem


def noisy_problem(table, budget, noise, seed=0, **options):
    """Return the problem whose true scores are `table[mask]`, with normal noise of sd `noise`."""
    table = np.asarray(table, dtype=np.float64)
    n = int(table.size).bit_length() - 1

    def scores(masks, samples):
        drawn = [
            np.random.default_rng([seed, m, s]).normal()
            for m, s in zip(masks.tolist(), samples.tolist(), strict=True)
        ]
        return table[masks.astype(np.int64)] + noise * np.array(drawn)

    return Problem(n, budget, scores, noisy=True, **options)


def evaluated(problem):
    """Return {mask: scores in the order of the samples} of everything that was asked."""
    found = {}
    for mask, sample, score in zip(*(column.tolist() for column in problem.observations()), strict=True):
        found.setdefault(mask, {})[sample] = score
    for mask, row in found.items():
        assert sorted(row) == list(range(len(row))), f"set {mask:#x}: an evaluation was passed over"
    return {mask: [row[i] for i in range(len(row))] for mask, row in found.items()}
