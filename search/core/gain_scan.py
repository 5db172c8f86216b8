"""The best of up to 64 attributes in a few vector instructions, without a branch. Imports Numba.

LLVM makes of one vector of all attributes what the processor has; every processor finds the same, for a sum
of two numbers and a maximum have one result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from search.core.tree import FEW, LANES

_FLOAT, _INT = ir.DoubleType(), ir.IntType(32)
_NEVER = ir.Constant(ir.IntType(1), 0)


def _splat(builder, number, lanes):
    vector = ir.VectorType(_FLOAT, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(_INT, 0))
    return _chosen(builder, one, [0] * lanes)


def _chosen(builder, vector, lanes):
    mask = ir.Constant(ir.VectorType(_INT, len(lanes)), [ir.Constant(_INT, i) for i in lanes])
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


def _maximum(builder, vector):
    """Return the highest number of `vector`, by halves."""
    half = vector.type.count // 2
    while half:
        low, high = _chosen(builder, vector, range(half)), _chosen(builder, vector, range(half, 2 * half))
        vector = builder.select(builder.fcmp_ordered(">", low, high), low, high)
        half //= 2
    return builder.extract_element(vector, ir.Constant(_INT, 0))


def _scan_of(lanes: int) -> Any:
    """Return what compiled code calls for `best_gain` where only the lowest `lanes` bits may be set."""

    def typed(typing_context, gain, base, fresh):
        def build(context, builder, signature, arguments):
            numbers, base, fresh = arguments
            data = context.make_array(signature.args[0])(context, builder, numbers).data
            whole = builder.load(builder.bitcast(data, ir.VectorType(_FLOAT, lanes).as_pointer()))
            whole.align = 8
            bits = ir.IntType(lanes)
            fresh = builder.bitcast(
                fresh if lanes == LANES else builder.trunc(fresh, bits), ir.VectorType(ir.IntType(1), lanes)
            )
            sums = builder.fadd(whole, _splat(builder, base, lanes))
            none = _splat(builder, ir.Constant(_FLOAT, float("-inf")), lanes)
            sums = builder.select(fresh, sums, none)
            best = _maximum(builder, sums)
            equal = builder.fcmp_ordered("==", sums, _splat(builder, best, lanes))
            equal = builder.bitcast(builder.and_(equal, fresh), bits)
            lowest = builder.cttz(equal, _NEVER)
            if lanes < LANES:
                lowest = builder.zext(lowest, ir.IntType(LANES))
            return context.make_tuple(builder, signature.return_type, [best, lowest])

        found = types.Tuple((types.float64, types.int64))
        return found(types.Array(types.float64, 1, "C"), types.float64, types.uint64), build

    return intrinsic(typed)


_few, _all = _scan_of(FEW), _scan_of(LANES)


def best_gain(gain: Any, base: Any, fresh: Any) -> Any:
    """Return (the highest base + gain[a] over the bits a of `fresh`, the lowest a that has it).

    `gain`: float64[LANES], of which no number is NaN; `fresh`: uint64, not 0. The naive twin of the compiled.
    """
    best, chosen = -np.inf, -1
    for a in range(LANES):
        if int(fresh) >> a & 1 and base + gain[a] > best:
            best, chosen = base + gain[a], a
    return best, chosen


@overload(best_gain, jit_options={"forceinline": True})
def _compiled_best_gain(gain, base, fresh):
    def found(gain, base, fresh):
        if fresh < np.uint64(1 << FEW):
            return _few(gain, base, fresh)
        return _all(gain, base, fresh)

    return found
