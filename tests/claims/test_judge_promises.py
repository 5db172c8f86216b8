"""What the two simulated judges promise over the bundled scenarios.

Sources of the ranges of `published`: arXiv 2505.18882 (level, single gains in Fig. 6, the planned path in
Fig. 15) and, for harm, the share of items with a step that lowers the value on CASE-Bench. `varied` keeps the
level and is a judge under which planning can matter: no fixed set serves everybody.
"""

import dataclasses
import functools
import itertools

import pytest

from envs.judges.simulated import SimulatedJudge
from envs.judges.simulated.parameters import PUBLISHED_GAINS
from envs.loading import load_bundled
from experiments.comparison.enumeration import FIXED, figures

APART = 0.05
"""Published gains closer than this need not keep their order."""
SEEDS, ENOUGH = 20, 16


def single_error(found):
    """The largest distance of a single gain from the published one."""
    return max(abs(gain - PUBLISHED_GAINS[name]) for name, gain in found.singles.items())


def order_errors(found):
    """How many pairs of single gains are not in their published order."""
    return sum(
        PUBLISHED_GAINS[a] - PUBLISHED_GAINS[b] >= APART and found.singles[a] <= found.singles[b]
        for a, b in itertools.permutations(found.singles, 2)
    )


PROMISES = {
    "published": {
        "mean score, nothing known": (2.76, 2.96, lambda f: f.empty),
        "mean score, everything known": (3.90, 4.10, lambda f: f.full),
        "sd of their difference": (0.4, 0.7, lambda f: f.gain_sd),
        "largest distance from a published single gain": (0.0, 0.1, single_error),
        "pairs of single gains out of order": (0, 0, order_errors),
        "best three: share of the gain after 1 question": (0.75, 0.85, lambda f: f.shares[0]),
        "best three: share of the gain after 2": (0.90, 0.97, lambda f: f.shares[1]),
        "share of scenarios with a harmful step": (0.08, 0.20, lambda f: f.harmful),
        "full context below empty, of 140": (2, 5, lambda f: f.n_below),
    },
    "varied": {
        "mean score, everything known": (4.0, 4.2, lambda f: f.full),
        "largest distance from a published single gain": (0.0, 0.15, single_error),
        "share of the most common best first question": (0.0, 0.45, lambda f: f.first_share),
        "best fixed set per domain: regret at budget 2": (0.08, 1.0, lambda f: f.regret[FIXED][2]),
        "best fixed set per domain: regret at budget 4": (0.03, 1.0, lambda f: f.regret[FIXED][4]),
    },
}
"""Preset -> promise -> the range, both ends included, in points of [1, 5] or shares, and what lies in it."""


def broken(preset, found):
    return [what for what, (low, high, of) in PROMISES[preset].items() if not low <= of(found) <= high]


@functools.cache
def figures_of(preset, model_seed=0):
    return figures(SimulatedJudge(preset, model_seed), load_bundled())


@pytest.mark.parametrize("preset", PROMISES)
def test_presets_keep_all_their_promises_at_seed_0(preset):
    assert figures_of(preset).n_scenarios == 140
    assert broken(preset, figures_of(preset)) == []


@pytest.mark.claims
@pytest.mark.parametrize("preset", PROMISES)
def test_presets_keep_their_promises_at_16_of_20_seeds_one_by_one_and_together(preset):
    rows = [broken(preset, figures_of(preset, seed)) for seed in range(SEEDS)]
    assert sum(not row for row in rows) >= ENOUGH, rows
    for what in PROMISES[preset]:
        assert sum(what not in row for row in rows) >= ENOUGH, what


def test_a_promise_that_is_not_kept_is_seen():
    found = figures_of("published")
    worse = dataclasses.replace(
        found, full=4.2, n_below=6, singles=found.singles | {"Age": 0.6, "Gender": 9.0}
    )
    assert broken("published", worse) == [
        "mean score, everything known",
        "largest distance from a published single gain",
        "pairs of single gains out of order",
        "full context below empty, of 140",
    ]
