"""Scenarios, judges and the Gymnasium environment of attribute acquisition."""

import gymnasium

from envs.attributes import Attribute, Level, Schema, load_schema, penguin_schema
from envs.errors import UserError
from envs.judges.base import Judge, Score
from envs.scenario import DOMAINS, Scenario

__all__ = [
    "DOMAINS",
    "Attribute",
    "Judge",
    "Level",
    "Scenario",
    "Schema",
    "Score",
    "UserError",
    "load_schema",
    "penguin_schema",
]

gymnasium.register(
    id="envs/AttributeAcquisition-v0", entry_point="envs.acquisition_env:AttributeAcquisitionEnv"
)
