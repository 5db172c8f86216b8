"""The vector scan of gains against its naive twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from search.core.gain_scan import best_gain
from search.core.tree import FEW, LANES


@njit
def compiled(gain, base, fresh):
    return best_gain(gain, base, fresh)


masks = (
    st.integers(1, (1 << LANES) - 1) | st.integers(1, (1 << FEW) - 1) | st.sampled_from([1 << FEW, 1 << 63])
)


@settings(deadline=None, max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([1, 2, 5, 1000]),
    base=st.floats(-9, 9),
    fresh=masks,
)
def test_the_best_gain_is_that_of_the_naive_scan_and_the_lowest_index_wins_a_tie(seed, levels, base, fresh):
    gain = np.random.default_rng(seed).integers(-levels, levels, LANES) / 3.0
    assert compiled(gain, base, np.uint64(fresh)) == best_gain(gain, base, np.uint64(fresh))


@pytest.mark.parametrize("fresh", [0b0110, 0b1010 << 20])
def test_two_sums_that_round_to_one_number_tie(fresh):
    """A gain that is higher by less than half a unit of the sum's last place wins nothing."""
    gain = np.zeros(LANES)
    bits = [a for a in range(LANES) if fresh >> a & 1]
    gain[bits[1]] = 1e-17
    assert compiled(gain, 1.0, np.uint64(fresh)) == (1.0, bits[0])
