"""Gaussian process regression behind a saturating link, compiled. Imported lazily: it imports Numba.

`search.surrogate.posterior` says what is computed and why; here are its steps as loops, for a stack of G
members at once. m: sets that were looked at; C: candidates; n: attributes. `scale`: float64[G], what the link
is multiplied by. Sums run in one order on every processor (`search.core.linear_algebra`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from search.core.linear_algebra import _cholesky, _inverse_lower
from search.core.saturating_link import link, moments

_FAST: Any = {"cache": True, "error_model": "numpy"}
_STEPS = (0.0, 0.25, 1.0)
"""How far towards the linearised mode a climb may go."""


@njit("float64(float64[:])", **_FAST)
def total(row):
    """Return the sum of `row` in the order in which NumPy adds: eight running sums, halves of long rows."""
    size = row.size
    if size > 128:
        half = size // 2 - size // 2 % 8
        return total(row[:half]) + total(row[half:])
    if size < 8:
        found = 0.0
        for i in range(size):
            found += row[i]
        return found
    part = row[:8].copy()
    end = size - size % 8
    for i in range(8, end, 8):
        for j in range(8):
            part[j] += row[i + j]
    found = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))
    for i in range(end, size):
        found += row[i]
    return found


@njit("void(float64[:], float64[:, :], float64[:])", **_FAST)
def _times(vector, matrix, found):
    """Write vector @ matrix to `found`."""
    found[:] = 0.0
    for k in range(vector.size):
        for j in range(found.size):
            found[j] += vector[k] * matrix[k, j]


@njit("float64[:, :, ::1](float64[:, :, ::1], float64[:, ::1], float64[:, ::1], float64)", **_FAST)
def _whitener(kernel, slope, own, base_variance):
    """Return the inverse of the triangle of slope kernel slope' + base_variance + diag(own), [G, m, m]."""
    g_all, m, _ = kernel.shape
    cov = np.zeros((g_all, m, m))  # above the diagonal, which is all that is read of it
    for g in range(g_all):
        for i in range(m):
            for j in range(i, m):
                cov[g, i, j] = slope[g, i] * kernel[g, i, j] * slope[g, j] + base_variance
            cov[g, i, i] += own[g, i]
    lower, positive = _cholesky(cov)
    if not positive:
        raise np.linalg.LinAlgError("Matrix is not positive definite")
    return _inverse_lower(lower)


@njit("void(float64[:, ::1], float64[::1], float64[::1], float64[::1])", **_FAST)
def _solved(root, right, whitened, found):
    """Write root @ right to `whitened` and root' @ whitened to `found`; root is a lower triangle."""
    m = right.size
    for i in range(m):
        whitened[i] = 0.0
        found[i] = 0.0
        for k in range(i + 1):
            whitened[i] += right[k] * root[i, k]
    for k in range(m):
        for j in range(k + 1):
            found[j] += whitened[k] * root[k, j]


@njit(
    "void(float64[:, :, ::1], float64[:], float64[:], float64[:, ::1], float64[:], float64[:],"
    " float64, float64, float64[:, ::1], float64[::1], int64)",
    **_FAST,
)
def climb(kernel, mean, means, own, curvature, scale, prior_base, base_sd, dual, base, times):
    """Go `times` steps towards the mode, in place: `dual` (float64[G, m]) and `base` (float64[G]).

    Each goes to the mode of the model linearised here, as far as the true log posterior rises most.
    `own`: float64[G, m], variance of each mean score beyond the surface.
    """
    g_all, m = dual.shape
    lift, slope, residual = np.empty((g_all, m)), np.empty((g_all, m)), np.empty((g_all, m))
    gain, weights, whitened = np.empty((g_all, m)), np.empty(m), np.empty(m)
    new, new_lift, parts = np.empty(m), np.empty(m), np.empty(m)
    at, at_lift = np.empty(m), np.empty(m)
    for _ in range(times):
        for g in range(g_all):
            _times(dual[g], kernel[g], lift[g])
            for i in range(m):
                risen, steep = link(mean[i] + lift[g, i], curvature[g])
                gain[g, i] = scale[g] * risen
                slope[g, i] = scale[g] * steep
                residual[g, i] = means[i] - prior_base - gain[g, i] + slope[g, i] * lift[g, i]
        root = _whitener(kernel, slope, own, base_sd**2)
        for g in range(g_all):
            _solved(root[g], residual[g], whitened, weights)
            new[:] = weights * slope[g]
            new_base = prior_base + base_sd**2 * total(weights)
            _times(new, kernel[g], new_lift)
            step, best = 0.0, -np.inf
            for size in _STEPS:
                base_at = base[g] + size * (new_base - base[g])
                for i in range(m):
                    at[i] = dual[g, i] + size * (new[i] - dual[g, i])
                    at_lift[i] = lift[g, i] + size * (new_lift[i] - lift[g, i])
                    risen = gain[g, i]
                    if size > 0.0:
                        risen = scale[g] * link(mean[i] + at_lift[i], curvature[g])[0]
                    off = means[i] - base_at - risen
                    parts[i] = off * off / own[g, i]
                    at[i] = at_lift[i] * at[i]
                aside = (base_at - prior_base) / base_sd
                value = -0.5 * (total(parts) + (total(at) + aside * aside))
                if value > best:
                    step, best = size, value
            for i in range(m):
                dual[g, i] += step * (new[i] - dual[g, i])
            base[g] += step * (new_base - base[g])


@njit("UniTuple(float64[:, ::1], 3)(float64[:, :], float64[:, :], float64[:], float64[:])", **_FAST)
def linearised(mean, variance, curvature, scale):
    """Return (gain, slope, bent), float64[G, C] each, the best linear fit under y ~ N(mean, variance)."""
    first, second, slope = moments(mean, variance, curvature)
    bent = np.empty(first.shape)
    for g in range(first.shape[0]):
        for c in range(first.shape[1]):
            spread = second[g, c] - first[g, c] ** 2 - slope[g, c] ** 2 * variance[g, c]
            bent[g, c] = scale[g] ** 2 * max(spread, 0.0)
            first[g, c] *= scale[g]
            slope[g, c] *= scale[g]
    return first, slope, bent


@njit(
    "Tuple((float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, :, ::1], float64[:, ::1],"
    " float64[:, ::1], float64[::1]))(float64[:, :, ::1], float64[:], float64[:], float64[:, ::1],"
    " float64[:], float64[:, ::1], float64[:, ::1], float64[:], float64[:], float64, float64)",
    **_FAST,
)
def regress(kernel, mean, means, noise, misfit, at, variance, curvature, scale, prior_base, base_sd):
    """Return (slope, own, target, root, whitened, weights, base), linearised under y ~ N(at, variance).

    `noise`: float64[G, m] and `misfit`: float64[G], variances. `own`: misfit and what is not linear in y.
    `target`: what the evaluations say of base + slope y. `root`: inverse of the triangle of its covariance.
    """
    g_all, m = at.shape
    gain, slope, own = linearised(at, variance, curvature, scale)
    target, residual, spread = np.empty((g_all, m)), np.empty((g_all, m)), np.empty((g_all, m))
    for g in range(g_all):
        for i in range(m):
            own[g, i] = misfit[g] + own[g, i]
            spread[g, i] = noise[g, i] + own[g, i]
            target[g, i] = means[i] - gain[g, i] + slope[g, i] * at[g, i]
            residual[g, i] = target[g, i] - prior_base - slope[g, i] * mean[i]
    root = _whitener(kernel, slope, spread, base_sd**2)
    whitened, weights, base = np.empty((g_all, m)), np.empty((g_all, m)), np.empty(g_all)
    for g in range(g_all):
        _solved(root[g], residual[g], whitened[g], weights[g])
        base[g] = prior_base + base_sd**2 * total(weights[g])
    return slope, own, target, root, whitened, weights, base


@njit("float64[::1](float64[:, :, ::1], float64[:, ::1])", **_FAST)
def log_evidence(root, whitened):
    """Return float64[G], log density of the evaluations, without what is the same for all members."""
    found, logs = np.empty(root.shape[0]), np.empty(root.shape[1])
    for g in range(root.shape[0]):
        for i in range(root.shape[1]):
            logs[i] = math.log(root[g, i, i])
        found[g] = total(logs) - 0.5 * total(whitened[g] ** 2)
    return found
