"""Search prior `prior=surface`: main effects learned from a path table.

The surface's main effects are learned from a path table. For a prefix S of a planned path, the gain over
nothing known is modelled as

    s(S) - s(empty) = sum_{a in S} (m_a + d_{a, domain}) + noise

with normal priors around 0 on the attributes' effects m and on what a domain adds, d, so that a domain with
few paths is like all together: ridge regression, in closed form. What is asked next is then ranked by effect,
and ranks become weights as those of a language model do (`envs.rankings`). Ranks, not effects: gains
saturate, so that effects tell an order better than distances, and weights by effect starve the rest.

It knows domains and not persons: it helps a search of few calls to begin well, and where people of one domain
differ, a longer search does better without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs import Scenario, UserError
from envs.rankings import checked_temperature, rank_weights
from search.core.linear_algebra import product, row_product, solve
from search.path_table import PathRecord, PathTable

NOISE_SD, EFFECT_SD, DOMAIN_SD = 0.2, 0.3, 0.15
"""Score points: of a prefix's gain, of the attributes' effects, of what a domain adds to one."""


class PathTablePrior:
    """Weights of the next question by the effects that earlier plans showed; a `Prior` of the search.

    Parameters
    ----------
    paths : run folder or Parquet file
    temperature : float > 0, in ranks: T of `envs.rankings`; attributes of one effect (on no path, say) share
        the mean of their ranks

    Raises
    ------
    UserError
        no `paths`, no such table, or none of its paths has two scores to learn from.
    """

    def __init__(self, paths: str | None = None, temperature: float = 2.0) -> None:
        if paths is None:
            raise UserError("prior.paths: found none, expected a run folder or a Parquet file to learn from")
        self.temperature = checked_temperature(temperature)
        self.effects = learn_effects(list(PathTable.load(paths).records()))
        if not self.effects:
            raise UserError(f"prior.paths={paths}: no path has scores, expected the table of a training run")

    def __call__(self, scenario: Scenario, mask: int) -> np.ndarray:
        """Return float64[n], the weights; a domain that no path was of has the effects of all together."""
        effects = self.effects.get(scenario.domain, self.effects["all"])
        found = np.array([effects.get(name, 0.0) for name in scenario.schema.names])
        better = (found[None, :] > found[:, None]).sum(axis=1)
        equal = (found[None, :] == found[:, None]).sum(axis=1)
        return rank_weights(better + (equal - 1) / 2, self.temperature)


def learn_effects(records: Sequence[PathRecord]) -> dict[str, dict[str, float]]:
    """Return {domain: {attribute: effect in score points}} with the key `all` beside the domains.

    Empty where no record has a gain to learn from.
    """
    evaluations = [look for record in records for look in _gains(record)]
    if not evaluations:
        return {}
    names = sorted({name for _, known, _ in evaluations for name in known})
    domains = sorted({domain for domain, _, _ in evaluations})
    n = len(names)
    design = np.zeros((len(evaluations), n * (1 + len(domains))))
    for row, (domain, known, _) in zip(design, evaluations, strict=True):
        for name in known:
            column = names.index(name)
            row[[column, n * (1 + domains.index(domain)) + column]] = 1.0
    sd = np.concatenate([np.full(n, EFFECT_SD), np.full(n * len(domains), DOMAIN_SD)])
    gains = np.array([gain for _, _, gain in evaluations])
    precision = product(design.T, design) / NOISE_SD**2 + np.diag(1.0 / sd**2)
    effects = solve(precision, row_product(gains, design) / NOISE_SD**2).reshape(-1, n)
    found = {"all": dict(zip(names, effects[0].tolist(), strict=True))}
    for place, domain in enumerate(domains, 1):
        found[domain] = dict(zip(names, (effects[0] + effects[place]).tolist(), strict=True))
    return found


def _gains(record: PathRecord) -> list[tuple[str, tuple[str, ...], float]]:
    """Return (domain, prefix, gain over nothing known) of each scored prefix of a path."""
    empty = record.path_scores[0]
    if empty is None:
        return []
    return [
        (record.domain, record.path[:length], score - empty)
        for length, score in enumerate(record.path_scores)
        if length and score is not None
    ]
