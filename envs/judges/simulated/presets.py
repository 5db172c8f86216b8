"""The kinds of simulated judge: the published level, and one under which people differ more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Hyper-parameters of one kind of judge; `envs.judges.simulated` has the formula of the score.

    Attributes
    ----------
    name : str
        Name of the judge, and part of the key of its draws.
    base, base_sd : float
        Score of the empty set, in points, and its spread over people.
    gain : float
        Mean of full minus empty, in points.
    gain_slope : float
        Points that full context adds more for each point that the empty set scores less.
    gain_sd, gain_reach : float
        Further spread of the gain over people, in points, before it is squashed to so many sd: within short
        reach hardly anybody gains nothing, so that it is harm that makes full context score below none.
    rho_sd, delta_sd, cell_sd : float
        Log-sd of an attribute's relevance by level, by domain, and by the two together.
    pairs, pair : int, float
        Number of complements among the ten published attributes, and their strength (an exponent).
    mild : (float, float)
        Share of people whom some attribute harms, and how much (an exponent).
    grave : float
        Exponent of the one (attribute, level, domain) that harms much.
    """

    name: str
    base: float
    base_sd: float
    gain: float
    gain_slope: float
    gain_sd: float
    gain_reach: float
    rho_sd: float
    delta_sd: float
    cell_sd: float
    pairs: int
    pair: float
    mild: tuple[float, float]
    grave: float


PRESETS = {
    "published": Preset(
        name="simulated",
        base=2.86,
        base_sd=0.48,
        gain=1.147,
        gain_slope=0.4,
        gain_sd=0.55,
        gain_reach=1.13,
        rho_sd=0.17,
        delta_sd=0.435,
        cell_sd=0.0,
        pairs=13,
        pair=0.22,
        mild=(0.12, 0.22),
        grave=3.5,
    ),
    "varied": Preset(
        name="simulated_varied",
        base=2.86,
        base_sd=0.48,
        gain=1.329,
        gain_slope=0.55,
        gain_sd=0.44,
        gain_reach=2.2,
        rho_sd=1.6,
        delta_sd=0.2,
        cell_sd=0.568,
        pairs=7,
        pair=0.317,
        mild=(0.06, 0.25),
        grave=2.43,
    ),
}
