"""NumPy's PCG64 for many environments at once: the integers that `Generator.integers` draws, bit for bit.

Numbers of 128 bits are four limbs of 32 bits in uint64, the lowest first, so that no product overflows and
the code is the same with the JIT off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

import envs.kernel_cache  # noqa: F401 - finds a place for what is compiled

_FAST: Any = {"cache": True, "error_model": "numpy"}
_LOW = np.uint64(0xFFFFFFFF)
_32, _63, _64 = np.uint64(32), np.uint64(63), np.uint64(64)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_MULTIPLIER = 47026247687942121848144207491837523525  # O'Neill 2014, PCG_DEFAULT_MULTIPLIER_128
_FACTOR = np.array([_MULTIPLIER >> 32 * i & 0xFFFFFFFF for i in range(4)], dtype=np.uint64)
INCREMENT, HAS_HALF, HALF, WIDTH = 4, 8, 9, 10
"""A row of a generator: state, increment, whether half of a number is left, that half."""


def generator_row(generator: np.random.Generator) -> np.ndarray:
    """Return uint64[WIDTH], the state of a PCG64 generator."""
    state: Any = generator.bit_generator.state
    numbers = (state["state"]["state"], state["state"]["inc"])
    limbs = [number >> 32 * i & 0xFFFFFFFF for number in numbers for i in range(4)]
    return np.array([*limbs, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def generator_of(row: Sequence[int]) -> np.random.Generator:
    """Return a generator in the state of the row `row`."""
    state, increment = (sum(int(limb) << 32 * i for i, limb in enumerate(row[at : at + 4])) for at in (0, 4))
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": increment},
        "has_uint32": int(row[HAS_HALF]),
        "uinteger": int(row[HALF]),
    }
    return np.random.Generator(bits)


@njit("uint64(uint64[::1])", **_FAST)
def _next_half(row):
    """Return the next 32 bits: the low half of a new number, or the high half that is left of the last."""
    if row[HAS_HALF]:
        row[HAS_HALF] = _ZERO
        return row[HALF]
    s0, s1, s2, s3 = row[0], row[1], row[2], row[3]
    carry = _ZERO
    for i in range(4):  # state * multiplier + increment, limb by limb
        low, high = row[INCREMENT + i] + carry, _ZERO
        for j in range(i + 1):
            s = s0 if j == 0 else s1 if j == 1 else s2 if j == 2 else s3
            product = s * _FACTOR[i - j]
            low += product & _LOW
            high += product >> _32
        row[i] = low & _LOW
        carry = high + (low >> _32)
    mixed = (row[1] << _32 | row[0]) ^ (row[3] << _32 | row[2])
    turn = row[3] >> np.uint64(26)  # the highest 6 bits of the state
    mixed = mixed >> turn | mixed << ((_64 - turn) & _63)
    row[HAS_HALF], row[HALF] = _ONE, mixed >> _32
    return mixed & _LOW


@njit("int64(uint64[::1], uint64)", **_FAST)
def next_below(row, n):
    """Return what `integers(n)` draws, 1 <= n <= 2**31: Lemire's method on 32 bits; nothing for n = 1."""
    if n == _ONE:
        return np.int64(0)
    product = _next_half(row) * n
    if product & _LOW < n:
        threshold = (_LOW - n + _ONE) % n
        while product & _LOW < threshold:
            product = _next_half(row) * n
    return np.int64(product >> _32)
