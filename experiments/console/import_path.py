"""Keep files in the working folder from shadowing this package's modules.

Only the standard library is imported here, for it runs before anything of ours is.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that the rooms are in."""
ROOMS = ("conf", "envs", "policies", "search")


def working_folder_last() -> None:
    """Look for modules in the working folder last, behind this package and all that is installed.

    Classes of the user's there can be imported, and nothing there can stand in for something of ours.
    """
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        return  # it was deleted: nothing can be imported from it
    if folder == ROOT:
        return
    others = [entry for entry in sys.path if Path(entry or ".").resolve() != folder]
    # Of an editable install the root is on no path: a hook behind the path finds it, too late.
    root = [] if str(ROOT) in others else [str(ROOT)]
    sys.path[:] = [*others, *root, str(folder)]


def in_the_way() -> Path | None:
    """Return the file or folder that Python imports in place of a room of ours, None where all is well."""
    for room in ROOMS:
        spec = find_spec(room)
        if spec is None or spec.origin == str(ROOT / room / "__init__.py"):
            continue
        if spec.origin is None:  # a folder without __init__.py
            return Path(next(iter(spec.submodule_search_locations or ())))
        origin = Path(spec.origin)
        return origin.parent if origin.name == "__init__.py" else origin
    return None


def refuse_what_is_in_the_way() -> None:
    """Exit 2 with one line where `python -m`, which looks in the working folder first, would go astray."""
    found = in_the_way()
    if found is None:
        return
    kind = "folder" if found.is_dir() else "file"
    print(
        f"error: {os.path.relpath(found)}: this {kind} has the name of a package of raise-planner, and "
        f"python -m imports it instead; expected another name or folder, or the command raise-planner",
        file=sys.stderr,
    )
    sys.exit(2)
