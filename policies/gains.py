"""What the next question is expected to add, from the scores along the neighbours' paths.

A stored path p with prefix scores s_0 .. s_L says what each attribute added in one order. To say what it adds
when other attributes are known, the scores are read as the saturating family of METHOD ("A model of the
judge"), s(S) = s_0 + H (1 - exp(-sum of z_a, a in S)), whose weights follow from the prefixes alone:

    z_{p_j} = log (H - (s_{j-1} - s_0)) - log (H - (s_j - s_0)),   H = max_j (s_j - s_0) / (1 - slack)

so that the family meets every prefix score exactly. With K known, of which the path's share adds up to z_K,

    g(a | K) = H exp(-z_K) (1 - exp(-z_a)),   0 for an attribute outside the path.

Over the neighbours, with weights w that sum to 1 (softmax of similarity / temperature):

    mean(a) = sum w_i g_i(a),   stderr(a)^2 = sum w_i (g_i(a) - mean(a))^2 / (n_eff - 1),
    n_eff = 1 / sum w_i^2

With one neighbour there is no spread to see, and stderr is 0. Outside the path counts as no gain because the
plan preferred other questions, so what a neighbour would gain from it is understated.
"""

from __future__ import annotations

import numpy as np

from policies.plan_index import NO_ATTRIBUTE, Neighbours

SLACK = 0.05
"""Share of the possible gain that a planned path leaves; H would be reached exactly without it."""


def path_gains(neighbours: Neighbours, known: int, n_attributes: int) -> np.ndarray:
    """Return float64[K, n], g of each attribute for each neighbour; known attributes gain nothing."""
    gains = np.zeros((len(neighbours.rows), n_attributes))
    for row, (path, scores) in enumerate(zip(neighbours.paths, neighbours.scores, strict=True)):
        attributes, weights, height = _weights(path, scores)
        if height <= 0:
            continue
        is_known = np.array([bool(known >> a & 1) for a in attributes.tolist()])
        left = height * np.exp(-weights[is_known].sum())
        gains[row, attributes[~is_known]] = left * -np.expm1(-weights[~is_known])
    return gains


def _weights(path: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (attributes int64[L], z float64[L], H) of one path; an unscored prefix shares with the next."""
    attributes = path[path != NO_ATTRIBUTE]
    length = len(attributes)
    gained = scores[: length + 1] - scores[0]
    if not length or np.isnan(scores[0]) or np.isnan(gained[1:]).all():
        return attributes, np.zeros(length), 0.0
    height = float(np.nanmax(gained)) / (1 - SLACK)
    if height <= 0:
        return attributes, np.zeros(length), 0.0
    scored = np.flatnonzero(~np.isnan(gained))
    # Between scored prefixes -log(H - gained) grows evenly: the step is shared among its attributes.
    level = np.interp(np.arange(length + 1), scored, -np.log(height - gained[scored]))
    return attributes, np.diff(level), height


def expected_gains(
    neighbours: Neighbours, known: int, n_attributes: int, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (mean float64[n], stderr float64[n]) of the gain of each attribute."""
    gains = path_gains(neighbours, known, n_attributes)
    weights = neighbours.weights(temperature)
    mean = weights @ gains
    effective = 1.0 / float((weights**2).sum()) if len(weights) else 0.0
    if effective <= 1.0 + 1e-9:
        return mean, np.zeros(n_attributes)
    return mean, np.sqrt(weights @ (gains - mean) ** 2 / (effective - 1.0))
