"""What a caller says is known of a person before the conversation begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from envs import Schema, UserError
from policies.dialogue.conversation import well_formed
from policies.understanding.reading import Reader, Value


def known_values(known: Mapping[str, str | Value], schema: Schema, reader: Reader) -> dict[str, Value]:
    """Return `known` as values, words read by `reader`.

    Raises
    ------
    UserError
        a name that is no attribute, or a value that is none.
    """
    found: dict[str, Value] = {}
    for name, value in known.items():
        if name not in schema.names:
            raise UserError(f"known: found {name!r}, expected attributes: {', '.join(schema.names)}")
        if isinstance(value, str) and not schema.is_missing(value):
            read = reader.read(well_formed(value), schema, name).values.get(name, Value(value))
            value = replace(read, words=well_formed(value))
        elif not isinstance(value, Value):
            raise UserError(f"known.{name}: found nothing, expected words or a Value")
        levels = [level.name for level in schema.attributes[schema.index(name)].levels]
        if value.level is not None and value.level not in levels:
            raise UserError(f"known.{name}: found another level, expected one of {', '.join(levels)}")
        found[name] = value
    return found
