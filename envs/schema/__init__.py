"""Schemas: which attributes may be asked of a person, what asking costs, how values are read as levels."""

from envs.schema.attribute import Attribute, Level
from envs.schema.schema import (
    DOMAINS,
    FILE_NAME,
    MAX_ASKABLE,
    Schema,
    is_missing,
    load_schema,
    penguin_schema,
)

__all__ = [
    "DOMAINS",
    "FILE_NAME",
    "MAX_ASKABLE",
    "Attribute",
    "Level",
    "Schema",
    "is_missing",
    "load_schema",
    "penguin_schema",
]
