"""The compiled bit scan against its naive twin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from envs.bit_scan import count_bits, lowest_bit

ONE = np.uint64(1)


@njit("int64(uint64)", cache=True)
def compiled(mask):
    return lowest_bit(mask)


@given(st.integers(1, (1 << 64) - 1))
def test_the_lowest_bit(number):
    lowest = format(number, "b")[::-1].index("1")
    assert compiled(np.uint64(number)) == lowest_bit(np.uint64(number)) == lowest


def test_every_bit_alone_and_below_all_others():
    for i in range(64):
        assert compiled(ONE << np.uint64(i)) == i
        assert compiled(np.uint64(((1 << 64) - 1) >> i << i)) == i


@given(st.integers(0, 2**64 - 1))
def test_bits_are_counted(mask):
    assert count_bits(np.uint64(mask)) == mask.bit_count()
