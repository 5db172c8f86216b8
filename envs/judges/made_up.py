"""Which gains a judge makes up: those of attributes that it was never fitted to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from envs.judges.protocol import describe
from envs.schema import Schema

_NAMED = 3


def made_up(judge: object, schema: Schema) -> tuple[str, ...]:
    """Return the attributes of `schema` whose worth `judge`, a formula, makes up; () of any other judge."""
    fitted = describe(judge).fitted_attributes
    return tuple(name for name in schema.names if name not in fitted) if fitted else ()


def made_up_fields(names: Sequence[str]) -> dict[str, list[str]]:
    """Return what a `summary.json` says of the attributes `names`: `made_up_attributes`, or nothing."""
    return {"made_up_attributes": list(names)} if names else {}


def made_up_line(names: Sequence[str]) -> str:
    """Return a line that says so of the attributes `names`; "" where there are none."""
    if not names:
        return ""
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    shown = [*names[:_NAMED], *more]
    listed = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
    return (
        f"MADE UP: the simulated judge knows PENGUIN's attributes alone. What it says of {listed} says "
        f"nothing of people; judge=openai, or a judge of your own, tells what they are worth."
    )


def made_up_by(judges: Iterable[str], schema: Schema) -> tuple[str, ...]:
    """Return the same of `judges` by the names that tables have of them, members of panels among them."""
    from envs.judges.simulated.parameters import PUBLISHED_GAINS
    from envs.judges.simulated.presets import PRESETS

    known = {preset.name for preset in PRESETS.values()}
    if known.isdisjoint(word for judge in judges for word in re.split(r"[(), ]+", judge)):
        return ()
    return tuple(name for name in schema.names if name not in PUBLISHED_GAINS)
