"""Linear algebra whose sums run in one order on every processor. Imported lazily: it imports Numba.

BLAS and LAPACK choose a kernel by the processor they find, each with an order of summation of its own. The
last bits of a posterior then differ, and where candidates are alike a priori these bits decide which of them
comes first: other evaluations, other paths. Here every element is a sum from left to right, over k = 0, 1,
..., and nothing is fused or reassociated. Inner loops run along rows, over elements that do not depend on one
another, so that they are vectorised all the same; two rows at a time share what they read.

Every function takes a matrix or a stack of them, `[G, ...]`, as `np.linalg` does, of float64. Triangles are
lower ones, with zeros above. The naive twins are in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

import envs.kernel_cache  # noqa: F401 - finds a place for what is compiled

_FAST: Any = {"cache": True, "error_model": "numpy"}
_UNCOUNTED: Any = {"_nrt": False}
"""Else each slice counts references, which takes longer than the work on a short row."""
_BLOCK = 512
"""Columns that are worked on at a time, so that the rows that are added stay in the cache."""


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return left @ right, float64[..., M, N], of [..., M, K] and [..., K, N].

    Zeros of `left` are skipped where both rows of a pair have one, which no sum of finite numbers notices.
    """
    stacks = _stack(left), _stack(right)
    found: np.ndarray = _product(stacks[0], np.ascontiguousarray(stacks[1]))
    return found if left.ndim == 3 else found[0]


def row_product(vector: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return vector @ matrix, float64[..., N], of [..., K] and [..., K, N]."""
    return product(vector[..., None, :], matrix)[..., 0, :]


def cholesky(matrix: np.ndarray) -> np.ndarray:
    """Return the triangle L of L L' = matrix, float64[..., M, M].

    Raises
    ------
    numpy.linalg.LinAlgError
        the matrix is not positive definite.
    """
    found: np.ndarray
    found, positive = _cholesky(np.ascontiguousarray(_stack(matrix)))
    if not positive:
        raise np.linalg.LinAlgError("Matrix is not positive definite")
    return found if matrix.ndim == 3 else found[0]


def solve_lower(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return X of lower X = right, float64[..., M, N]."""
    found = np.array(_stack(right), order="C")
    _solve_lower(np.ascontiguousarray(_stack(lower)), found)
    return found if right.ndim == 3 else found[0]


def inverse_lower(lower: np.ndarray) -> np.ndarray:
    """Return the inverse of a triangle, float64[..., M, M], a triangle itself."""
    found: np.ndarray = _inverse_lower(np.ascontiguousarray(_stack(lower)))
    return found if lower.ndim == 3 else found[0]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric positive definite matrix; raises as `cholesky` does."""
    root = inverse_lower(cholesky(matrix))
    return product(np.swapaxes(root, -1, -2), root)


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return x of matrix x = right, float64[..., M], the matrix being as for `inverse`."""
    root = inverse_lower(cholesky(matrix))
    return row_product(row_product(right, np.swapaxes(root, -1, -2)), root)


def _stack(matrix: np.ndarray) -> np.ndarray:
    stack = matrix if matrix.ndim == 3 else matrix[None]
    # What came through Ray's store, or is broadcast, is read-only: another type to compiled code.
    return stack if stack.flags.writeable else stack.copy()


@njit(
    "void(float64[::1], float64[::1], float64[:, ::1], int64[::1], int64, float64[:, ::1], int64)",
    **_FAST,
    **_UNCOUNTED,
)
def _add_rows(x, y, factors, which, count, rows, start):
    """Add factors[0, i] rows[which[i], start:] to x and factors[1, i] of it to y, i = 0, ..., count - 1.

    Four rows at a time, each still added on its own: so x and y are read and written less often.
    """
    stop = start + x.size
    i = 0
    while i + 4 <= count:
        a0, a1, a2, a3 = factors[0, i], factors[0, i + 1], factors[0, i + 2], factors[0, i + 3]
        b0, b1, b2, b3 = factors[1, i], factors[1, i + 1], factors[1, i + 2], factors[1, i + 3]
        r0, r1 = rows[which[i], start:stop], rows[which[i + 1], start:stop]
        r2, r3 = rows[which[i + 2], start:stop], rows[which[i + 3], start:stop]
        for j in range(x.size):
            x[j] = x[j] + a0 * r0[j] + a1 * r1[j] + a2 * r2[j] + a3 * r3[j]
            y[j] = y[j] + b0 * r0[j] + b1 * r1[j] + b2 * r2[j] + b3 * r3[j]
        i += 4
    while i < count:
        a0, b0, r0 = factors[0, i], factors[1, i], rows[which[i], start:stop]
        for j in range(x.size):
            x[j] += a0 * r0[j]
            y[j] += b0 * r0[j]
        i += 1


@njit("float64[:, :, ::1](float64[:, :, :], float64[:, :, ::1])", **_FAST)
def _product(left, right):
    n, rows, inner = left.shape
    columns = right.shape[2]
    found = np.zeros((n, rows, columns))
    factors, which, spare = np.zeros((2, inner)), np.empty(inner, np.int64), np.empty(_BLOCK)
    for g in range(n):
        for start in range(0, columns, _BLOCK):
            stop = min(start + _BLOCK, columns)
            for i in range(0, rows, 2):
                pair = i + 1 < rows
                count = 0
                for k in range(inner):
                    a, b = left[g, i, k], left[g, i + 1, k] if pair else 0.0
                    if a != 0.0 or b != 0.0:
                        factors[0, count], factors[1, count], which[count] = a, b, k
                        count += 1
                other = found[g, i + 1, start:stop] if pair else spare[: stop - start]
                _add_rows(found[g, i, start:stop], other, factors, which, count, right[g], start)
    return found


@njit("Tuple((float64[:, :, ::1], boolean))(float64[:, :, ::1])", **_FAST)
def _cholesky(matrix):
    n, size, _ = matrix.shape
    found = np.zeros((n, size, size))
    upper = np.zeros((size + 1, size))  # L', for its rows are what the next ones are made of; a spare one
    factors, which = np.empty((2, size)), np.arange(size)
    for g in range(n):
        for i in range(0, size, 2):
            upper[i] = matrix[g, i]
            upper[i + 1] = matrix[g, min(i + 1, size - 1)]
            for k in range(i):
                factors[0, k], factors[1, k] = -upper[k, i], -upper[k, min(i + 1, size - 1)]
            _add_rows(upper[i, i:], upper[i + 1, i:], factors, which, i, upper, i)
            for row in range(i, min(i + 2, size)):
                if row > i:
                    for j in range(row, size):
                        upper[row, j] -= upper[i, row] * upper[i, j]
                if not upper[row, row] > 0.0:
                    return found, False
                root = np.sqrt(upper[row, row])
                found[g, row, row] = root
                for j in range(row + 1, size):
                    upper[row, j] /= root
                    found[g, j, row] = upper[row, j]
    return found, True


@njit("void(float64[:, :, ::1], float64[:, :, ::1])", **_FAST)
def _solve_lower(lower, found):
    """Solve in place."""
    n, size, columns = found.shape
    factors, which, spare = np.zeros((2, size)), np.arange(size), np.empty(_BLOCK)
    for g in range(n):
        for i in range(0, size, 2):
            pair = i + 1 < size
            for k in range(i):
                factors[0, k], factors[1, k] = -lower[g, i, k], -lower[g, i + 1, k] if pair else 0.0
            for start in range(0, columns, _BLOCK):
                stop = min(start + _BLOCK, columns)
                other = found[g, i + 1, start:stop] if pair else spare[: stop - start]
                _add_rows(found[g, i, start:stop], other, factors, which, i, found[g], start)
            for j in range(columns):
                found[g, i, j] /= lower[g, i, i]
                if pair:
                    found[g, i + 1, j] = (found[g, i + 1, j] - lower[g, i + 1, i] * found[g, i, j]) / lower[
                        g, i + 1, i + 1
                    ]


@njit("void(float64[::1], float64[::1], float64[:, ::1], int64)", **_FAST, **_UNCOUNTED)
def _subtract_triangle(x, factors, rows, count):
    """Subtract factors[k] rows[k, : k + 1] from x, k = 0, ..., count - 1; beyond, `rows` has zeros."""
    k = 0
    while k + 4 <= count:
        a0, a1, a2, a3 = -factors[k], -factors[k + 1], -factors[k + 2], -factors[k + 3]
        stop = k + 4
        r0, r1, r2, r3 = rows[k, :stop], rows[k + 1, :stop], rows[k + 2, :stop], rows[k + 3, :stop]
        for j in range(stop):
            x[j] = x[j] + a0 * r0[j] + a1 * r1[j] + a2 * r2[j] + a3 * r3[j]
        k += 4
    while k < count:
        for j in range(k + 1):
            x[j] -= factors[k] * rows[k, j]
        k += 1


@njit("float64[:, :, ::1](float64[:, :, ::1])", **_FAST)
def _inverse_lower(lower):
    n, size, _ = lower.shape
    found = np.zeros((n, size, size))
    for g in range(n):
        for i in range(size):
            _subtract_triangle(found[g, i], lower[g, i], found[g], i)
            found[g, i, i] = 1.0
            for j in range(i + 1):
                found[g, i, j] /= lower[g, i, i]
    return found
