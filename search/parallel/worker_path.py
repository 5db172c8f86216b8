"""Give Ray's workers the module search path of the process that starts them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = str(Path(__file__).resolve().parents[2])


def worker_options() -> dict[str, Any]:
    """Return arguments of `ray.init` by which workers look in the working folder last, where it matters.

    Ray puts the working folder first on the path of its workers, where an `envs/` or a `search.py` of the
    user's would be imported in place of ours. Where this process looks there first too (`python -m`, a
    notebook), or nothing there has the name of a module, there is no option: with one each worker takes a
    second longer to start.
    """
    folder = Path.cwd()
    if str(folder) == _ROOT or sys.path[0] in ("", str(folder)):
        return {}
    others = [*(entry for entry in sys.path if entry not in ("", str(folder))), _ROOT]
    names = {entry.name.partition(".")[0] for entry in folder.iterdir()}
    if not any(name.isidentifier() and PathFinder.find_spec(name, others) for name in names):
        return {}
    return {"runtime_env": {"worker_process_setup_hook": _demote(str(folder), _ROOT)}}


def _demote(folder: str, root: str) -> Callable[[], None]:
    """Return what a worker calls first. It is sent by value, and must need no module of ours."""

    def install() -> None:
        class OnceRayHasPutItFirst:
            """Looks for no module: it is asked before the path is, and puts the path right."""

            @classmethod
            def find_spec(
                cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
            ) -> None:
                if sys.path[0] == folder:
                    others = [entry for entry in sys.path if entry != folder]
                    sys.path[:] = [*others, *([] if root in others else [root]), folder]
                    sys.meta_path.remove(cls)

        sys.meta_path.insert(0, OnceRayHasPutItFirst)

    return install
