"""What libraries say of damaged files, brought to what an error of ours can quote."""

from __future__ import annotations

import sqlite3
import struct
import tokenize
import zipfile
import zlib

ARCHIVE_DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
"""Raised by NumPy for an archive of arrays that is damaged anywhere.

`RuntimeError`: marked as encrypted, or of unknown packing; `TokenError`: in the head of an array.
"""
SQLITE_DAMAGE = (sqlite3.Error, UnicodeDecodeError)
"""Raised by SQLite; the second where its own message quotes bytes of the file that are no UTF-8."""


def told_by_sqlite(error: Exception) -> str:
    """Return what one of `SQLITE_DAMAGE` says, in one line, without what it quotes of the file."""
    if isinstance(error, UnicodeDecodeError):
        return "malformed database schema"
    if str(error).startswith("Could not decode"):  # it goes on with what is in the file
        return "a text in it is damaged"
    return str(error).split(" (")[0].split(" - ")[0]
