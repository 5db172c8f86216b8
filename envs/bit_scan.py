"""The members of a set given as a bitmask, one machine instruction each. Imports Numba: import it lazily."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

import envs.kernel_cache  # noqa: F401 - finds a place for what is compiled


def _typed_trailing_zeros(typing_context, mask):
    def build(context, builder, signature, arguments):
        zero_is_undefined = ir.Constant(ir.IntType(1), 1)
        return builder.cttz(arguments[0], zero_is_undefined)

    return types.int64(types.uint64), build


_trailing_zeros: Any = intrinsic(_typed_trailing_zeros)


def lowest_bit(mask: Any) -> Any:
    """Return the index (int64) of the lowest bit of `mask`, uint64 and not 0; the naive twin of the compiled.

    `while mask: i = lowest_bit(mask); mask &= mask - ONE` visits the members of a set in ascending order.
    """
    number = int(mask)
    return np.int64((number & -number).bit_length() - 1)


@overload(lowest_bit)
def _compiled_lowest_bit(mask):
    return lambda mask: _trailing_zeros(mask)


@njit(cache=True, error_model="numpy")
def count_bits(mask: Any) -> Any:
    """Return the number (int64) of members of `mask`, uint64."""
    n = 0
    while mask:
        mask &= mask - np.uint64(1)
        n += 1
    return n
