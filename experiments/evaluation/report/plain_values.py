"""Figures as plain JSON types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from experiments.stats import Interval


def plain_json(value: Any) -> Any:
    """Return plain JSON types: intervals as {estimate, low, high}, what is not finite as None."""
    if isinstance(value, Interval):
        return plain_json(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): plain_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
