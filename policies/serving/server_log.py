"""What the server writes of a fault of ours: its kind and its places, never its words."""

from __future__ import annotations

import logging
import traceback

SERVER = "uvicorn.error"
"""The logger to which the server gives an exception that nobody caught."""


def without_words(record: logging.LogRecord) -> bool:
    """Put an exception's kind and places in its place: the words of a plug-in's may hold what was said."""
    if record.exc_info and record.exc_info[1] is not None:
        kind, _, places = record.exc_info
        record.exc_text = "".join(traceback.format_tb(places)) + str(kind and kind.__qualname__)
        record.exc_info = None
    return True


def keep_words_out() -> None:
    """Do so from now on."""
    logging.getLogger(SERVER).addFilter(without_words)
