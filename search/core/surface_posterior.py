"""The posterior of a stack of members and the mixture's beliefs, compiled. Imported lazily: it imports Numba.

`search.surrogate.posterior` says what is computed and why, `search.core.surface_regression` has the steps.
G: members; m: sets that were looked at; C: candidates.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from search.core.linear_algebra import _product
from search.core.surface_regression import _times, climb, linearised, log_evidence, regress, total

_FAST: Any = {"cache": True, "error_model": "numpy"}
_JITTER = 1e-8


@njit(
    "Tuple((float64[:, ::1], float64[:, ::1], float64[:, :, ::1]))(float64[:, :, ::1], float64[:, ::1],"
    " float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:], float64[:], float64[:, :])",
    **_FAST,
)
def latent(root, slope, weights, main, pair, pair_variance, mean, own):
    """Return (mean, variance, half): y's moments, float64[G, C], and a root of what the evaluations take off.

    `half`: float64[G, m, C]. `main`, `pair`: float64[m, C], parts of the prior covariance with the sets
    looked at, `pair` counting `pair_variance` (float64[G]) times; `own`: float64[G, C], prior variance.
    """
    g_all, m = weights.shape
    count = mean.size
    left, cross = np.empty((g_all, m, m)), np.empty((g_all, m, count))
    for g in range(g_all):
        for i in range(m):
            for j in range(m):
                left[g, i, j] = root[g, i, j] * slope[g, j]
            for c in range(count):
                cross[g, i, c] = main[i, c] + pair_variance[g] * pair[i, c]
    half = _product(left, cross)
    y, variance = np.empty((g_all, count)), np.empty((g_all, count))
    for g in range(g_all):
        _times(weights[g] * slope[g], cross[g], y[g])
        taken = np.zeros(count)
        for i in range(m):
            for c in range(count):
                taken[c] += half[g, i, c] * half[g, i, c]
        for c in range(count):
            y[g, c] = mean[c] + y[g, c]
            variance[g, c] = max(own[g, c] - taken[c], 0.0)
    return y, variance, half


@njit(
    "float64[:, ::1](float64[:, :, ::1], float64[:, ::1], float64[:, :, ::1], float64[:, ::1], int64[:],"
    " float64)",
    **_FAST,
)
def of_scores(half, slope, root, own, at, base_variance):
    """Make of `half` that of the scores, in place; return float64[G, C], what it takes off their variance."""
    g_all, m, count = half.shape
    taken = np.zeros((g_all, count))
    for g in range(g_all):
        for i in range(m):
            lifted = base_variance * total(root[g, i])
            for c in range(count):
                half[g, i, c] = half[g, i, c] * slope[g, c] + lifted
            for k in range(m):
                half[g, i, at[k]] += own[g, k] * root[g, i, k]
            for c in range(count):
                taken[g, c] += half[g, i, c] * half[g, i, c]
    return taken


@njit(
    "Tuple((float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, :, ::1],"
    " float64[:, ::1], float64[::1], float64[::1]))(float64[:, ::1], float64[:, ::1], float64[:],"
    " float64[:], float64[:], float64[:], float64, int64, float64[:], float64[:], float64[:], float64[:],"
    " float64, float64, float64[:, ::1], float64[::1], int64, int64)",
    **_FAST,
)
def posterior(
    main, pair, pair_variance, mean, means, counts, within, repeats, noise_sd, misfit_sd, curvature, scale,
    prior_base, base_sd, dual, base, climbs, passes,
):  # fmt: skip
    """Return (slope, own, target, noise, root, weights, base, evidence), after a climb of `dual` and `base`.

    `main`, `pair`: float64[m, m], parts of the prior covariance, `pair` counting `pair_variance` (float64[G])
    times. `within`, `repeats`: of looks at the same set, which tell of the noise alone. The rest is as for
    `regress`; the evidence is that of the first fit: later on, what is not linear counts as misfit, which
    would tell against curved links.
    """
    g_all, m = dual.shape
    kernel, noise, total_own = np.empty((g_all, m, m)), np.empty((g_all, m)), np.empty((g_all, m))
    prior_variance, misfit = np.empty((g_all, m)), misfit_sd * misfit_sd
    for g in range(g_all):
        for i in range(m):
            for j in range(m):
                kernel[g, i, j] = main[i, j] + pair_variance[g] * pair[i, j]
            prior_variance[g, i] = kernel[g, i, i]
            noise[g, i] = noise_sd[g] * noise_sd[g] / counts[i] + _JITTER
            total_own[g, i] = noise[g, i] + misfit[g]
    climb(kernel, mean, means, total_own, curvature, scale, prior_base, base_sd, dual, base, climbs)
    y, variance = np.empty((g_all, m)), np.zeros((g_all, m))
    for g in range(g_all):
        _times(dual[g], kernel[g], y[g])
        for i in range(m):
            y[g, i] = mean[i] + y[g, i]
    fit = regress(kernel, mean, means, noise, misfit, y, variance, curvature, scale, prior_base, base_sd)
    evidence = log_evidence(fit[3], fit[4])
    if repeats > 0:
        for g in range(g_all):
            evidence[g] = (
                evidence[g] - 0.5 * within / (noise_sd[g] * noise_sd[g]) - repeats * math.log(noise_sd[g])
            )
    for _ in range(passes):
        y, variance, _ = latent(fit[3], fit[0], fit[5], main, pair, pair_variance, mean, prior_variance)
        fit = regress(kernel, mean, means, noise, misfit, y, variance, curvature, scale, prior_base, base_sd)
    return fit[0], fit[1], fit[2], noise, fit[3], fit[5], fit[6], evidence


@njit(
    "Tuple((float64[::1], float64[::1], float64[:, ::1], float64[:, ::1], float64[:, ::1],"
    " float64[:, :, ::1]))(float64[:], float64[:, :, ::1], float64[:, ::1], float64[:, ::1],"
    " float64[:, ::1], float64[:], float64[:, ::1], float64[:, ::1], float64[:], float64[:], float64[:],"
    " float64[:, :], float64[:], float64[:], int64[:], float64)",
    **_FAST,
)
def mixture(
    member_weight, root, fit_slope, weights, own, base, main, pair, pair_variance, misfit_sd, mean,
    prior_variance, curvature, scale, at, base_variance,
):  # fmt: skip
    """Return (mean, variance, apart, slope, unlike, half) of the scores of C sets.

    `mean`, `variance`: float64[C], of the mixture; `apart`, `slope`, `unlike`, float64[G, C], and `half`,
    float64[G, m, C]: of its members, what `mixed_covariance` takes. `at`: int64[m], where the sets looked at
    are; the rest is what `posterior` gave and as for `latent`.
    """
    g_all, m = weights.shape
    count = mean.size
    y, spread, half = latent(root, fit_slope, weights, main, pair, pair_variance, mean, prior_variance)
    apart, slope, unlike = linearised(y, spread, curvature, scale)
    for g in range(g_all):
        misfit = misfit_sd[g] * misfit_sd[g]
        for c in range(count):
            unlike[g, c] = misfit + unlike[g, c]
        for k in range(m):
            unlike[g, at[k]] = own[g, k]
    taken = of_scores(half, slope, root, own, at, base_variance)
    mixed, variance = np.zeros(count), np.zeros(count)
    for g in range(g_all):
        misfit = misfit_sd[g] * misfit_sd[g]
        for c in range(count):
            apart[g, c] = base[g] + apart[g, c]
        # Of a residual only the misfit's share is believed: the link's bend is no effect of one set's own,
        # and would let a lucky look promise itself.
        for k in range(m):
            apart[g, at[k]] += misfit * weights[g, k]
        for c in range(count):
            mixed[c] += member_weight[g] * apart[g, c]
    for g in range(g_all):
        for c in range(count):
            apart[g, c] -= mixed[c]
            steep = slope[g, c] * slope[g, c]
            own_variance = base_variance + steep * prior_variance[g, c] + unlike[g, c] - taken[g, c]
            variance[c] += member_weight[g] * (max(own_variance, 1e-12) + apart[g, c] * apart[g, c])
    return mixed, variance, apart, slope, unlike, half
