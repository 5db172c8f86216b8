"""The simulated judge: a formula. Its numbers are simulated, never measured."""

from envs.judges.simulated.set_function import SimulatedJudge

__all__ = ["SimulatedJudge"]
