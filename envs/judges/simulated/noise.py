"""Noise of simulated judges: drawn for each sample of a set, whatever was scored before."""

from __future__ import annotations

import math

from envs.errors import UserError


class Noisy:
    """A simulated judge whose samples have normal noise.

    Raises
    ------
    UserError
        a noise that is negative or not finite.
    """

    simulated = True

    def __init__(self, noise_std: float, seed: int) -> None:
        if not (math.isfinite(noise_std) and noise_std >= 0.0):
            raise UserError(f"judge.noise_std: found {noise_std!r}, expected a finite number >= 0")
        self.noise_std = float(noise_std)
        self.seed = int(seed)

    @property
    def stochastic(self) -> bool:
        """Tell whether a set's score depends on the sample's index."""
        return self.noise_std > 0.0
