"""Scenarios, judges and the Gymnasium environment of attribute acquisition."""

from envs.acquisition.registration import register_with_gymnasium
from envs.errors import OutsideError, UserError
from envs.judges.protocol import Judge, Score
from envs.scenario import DOMAINS, Scenario
from envs.schema import Schema, load_schema, penguin_schema
from envs.schema.attribute import Attribute, Level

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

register_with_gymnasium()
