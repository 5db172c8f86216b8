"""Transcripts: what the models said, one JSON line a judge call, readable by its owner alone."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from envs.errors import UserError


def append_transcripts(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append `rows`; NaN becomes null.

    One write on a file opened for appending, so that threads and processes do not cut into each other.

    Raises
    ------
    UserError
        the file cannot be written.
    """
    text = "".join(json.dumps(_without_nan(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise UserError(
            f"transcripts {path}: {error.strerror}, expected a file that can be written"
        ) from None
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return value
