"""The folder that a command writes into."""

from __future__ import annotations

from pathlib import Path

from envs import UserError


def output_folder(output_dir: str | Path) -> Path:
    """Return `output_dir` as a folder that exists, made now if need be.

    Raises
    ------
    UserError
        it cannot be made. Called before the work, so that nothing computed is lost to it.
    """
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"output_dir={folder}: found {error.strerror}, expected a folder that can be written"
        ) from None
    return folder
