"""Scenarios, judges and the Gymnasium environment of attribute acquisition."""

import gymnasium

from envs.errors import OutsideError, UserError
from envs.judges.protocol import Judge, Score
from envs.scenario import DOMAINS, Scenario
from envs.schema import Attribute, Level, Schema, load_schema, penguin_schema

__all__ = [
    "DOMAINS",
    "Attribute",
    "Judge",
    "Level",
    "OutsideError",
    "Scenario",
    "Schema",
    "Score",
    "UserError",
    "load_schema",
    "penguin_schema",
]

gymnasium.register(
    id="envs/AttributeAcquisition-v0",
    entry_point="envs.acquisition_env:AttributeAcquisitionEnv",
    vector_entry_point="envs.vector.acquisition_vector_env:AcquisitionVectorEnv",
)
