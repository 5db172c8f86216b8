"""The compiled linear algebra against NumPy's on random stacks, and the order of its sums against a loop."""

import math

import numpy as np
import pytest

from search.core import linear_algebra, saturating_link

SHAPES = [(1, 1, 1), (2, 2, 3), (3, 7, 5), (2, 20, 300), (1, 65, 33)]


def stacks(shape):
    """Return (positive definite [G, M, M], its factor, right side [G, M, N])."""
    count, size, columns = shape
    rng = np.random.default_rng(size)
    root = rng.normal(size=(count, size, size))
    matrix = root @ root.transpose(0, 2, 1) + np.eye(size)
    return matrix, np.linalg.cholesky(matrix), rng.normal(size=(count, size, columns))


def summed_in_order(left, right):
    """Return left @ right, [M, N], by the obvious loop."""
    found = np.zeros((len(left), right.shape[1]))
    for i, j in np.ndindex(*found.shape):
        for k in range(left.shape[1]):
            found[i, j] += left[i, k] * right[k, j]
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_stacks_against_numpy(shape):
    matrix, lower, right = stacks(shape)
    close = {"rtol": 1e-7, "atol": 1e-9}
    np.testing.assert_allclose(linear_algebra.product(matrix, right), matrix @ right, **close)
    np.testing.assert_allclose(linear_algebra.cholesky(matrix), lower, **close)
    np.testing.assert_allclose(
        linear_algebra.solve_lower(lower, right), np.linalg.solve(lower, right), **close
    )
    np.testing.assert_allclose(linear_algebra.inverse_lower(lower), np.linalg.inv(lower), **close)
    np.testing.assert_allclose(linear_algebra.inverse(matrix), np.linalg.inv(matrix), **close)
    vector = right[:, :, 0]
    np.testing.assert_allclose(
        linear_algebra.row_product(vector, right), (vector[:, None] @ right)[:, 0], **close
    )
    np.testing.assert_allclose(
        linear_algebra.solve(matrix, vector), np.linalg.solve(matrix, right)[:, :, 0], **close
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_one_matrix_is_a_stack_of_one_and_nothing_given_is_changed(shape):
    given = [part[0] for part in stacks(shape)]
    matrix, lower, right = (part.copy() for part in given)
    for name, arguments in {
        "product": (lower, right),
        "cholesky": (matrix,),
        "solve_lower": (lower, right),
        "inverse_lower": (lower,),
        "inverse": (matrix,),
        "row_product": (right[:, 0], right),
        "solve": (matrix, right[:, 0]),
    }.items():
        function = getattr(linear_algebra, name)
        stacked = function(*(part[None] for part in arguments))
        np.testing.assert_array_equal(function(*arguments), stacked[0], name)
    for part, before in zip((matrix, lower, right), given, strict=True):
        np.testing.assert_array_equal(part, before)


@pytest.mark.parametrize("transposed", [False, True])
def test_product_adds_from_left_to_right(transposed):
    """Bit by bit, with sizes that are no multiples of a block, and zeros that are left out."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(9, 23)), rng.normal(size=(23, 270))
    left[rng.random(left.shape) < 0.4] = 0.0
    given = np.asfortranarray(left) if transposed else left
    np.testing.assert_array_equal(linear_algebra.product(given, right), summed_in_order(left, right))


def test_cholesky_and_solve_subtract_from_left_to_right():
    matrix, lower, right = (part[0] for part in stacks((1, 11, 4)))
    factor, found = np.zeros_like(matrix), np.zeros_like(right)
    for i in range(len(matrix)):
        for j in range(i + 1):
            rest = matrix[j, i]
            for k in range(j):
                rest = rest - factor[j, k] * factor[i, k]
            factor[i, j] = math.sqrt(rest) if i == j else rest / factor[j, j]
        rest = right[i]
        for k in range(i):
            rest = rest - lower[i, k] * found[k]
        found[i] = rest / lower[i, i]
    np.testing.assert_array_equal(linear_algebra.cholesky(matrix), factor)
    np.testing.assert_array_equal(linear_algebra.solve_lower(lower, right), found)


def test_nothing_to_add_and_nothing_to_solve():
    assert linear_algebra.product(np.zeros((3, 0)), np.zeros((0, 2))).tolist() == [[0.0, 0.0]] * 3
    assert linear_algebra.solve_lower(np.zeros((0, 0)), np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 1.0]], [[0.0]], [[math.nan]]])
def test_what_is_not_positive_definite_is_refused(matrix):
    with pytest.raises(np.linalg.LinAlgError):
        linear_algebra.cholesky(np.array(matrix))


def test_link_against_its_formula():
    curvature = np.array([0.01, 1.0, 2.0])
    y = np.linspace(-2, 3, 41) + np.zeros((3, 1))
    k = curvature[:, None]
    both = [[saturating_link.link(v, k) for v in row] for row, k in zip(y, curvature, strict=True)]
    value, slope = np.moveaxis(np.array(both), 2, 0)
    np.testing.assert_allclose(value, np.where(y > 0, np.tanh(k * y), k * y), rtol=1e-12)
    np.testing.assert_allclose(slope, np.where(y > 0, k / np.cosh(k * y) ** 2, k), rtol=1e-9)


def test_moments_against_quadrature_by_numpy():
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    curvature = np.array([0.5, 2.0])
    mean = np.array([[-0.5, 0.0, 1.2], [0.3, -1.0, 2.0]])
    variance = np.array([[0.2, 1.0, 0.0], [0.5, 0.3, 2.0]])
    y = mean[..., None] + np.sqrt(variance)[..., None] * nodes
    k = curvature[:, None, None]
    g, slope = np.where(y > 0, np.tanh(k * y), k * y), np.where(y > 0, k / np.cosh(k * y) ** 2, k)
    found = saturating_link.moments(mean, variance, curvature)
    for part, expected in zip(found, (g @ weights, g**2 @ weights, slope @ weights), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_read_only_gives_the_same(shape):
    """What came through Ray's store is."""
    matrix, lower, right = stacks(shape)
    functions = linear_algebra
    both = [(functions.product, (matrix, right)), (functions.solve_lower, (lower, right))]
    one = [functions.cholesky, functions.inverse, functions.inverse_lower]
    cases = [*both, *((function, (matrix if function is not one[2] else lower,)) for function in one)]
    expected = [function(*given) for function, given in cases]
    for array in (matrix, lower, right):
        array.setflags(write=False)
    for (function, given), wanted in zip(cases, expected, strict=True):
        np.testing.assert_array_equal(function(*given), wanted)
