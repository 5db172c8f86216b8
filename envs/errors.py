"""The one error class for what a user can put right."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in a file, a config or a plug-in, told in one line.

    Entry points print the message alone and exit with `exit_code`; it never holds a value of
    somebody's profile.
    """

    exit_code = 2


class OutsideError(UserError):
    """Something outside failed: an endpoint, a node, a disk; the same command can succeed another time."""

    exit_code = 4
