"""Scenarios and judges by name or file, so that the specification of an environment is plain data (JSON)."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envs.errors import UserError
from envs.judges.protocol import Judge
from envs.scenario import Scenario

JUDGES: dict[str, dict[str, Any]] = {
    "simulated": {"_target_": "envs.judges.simulated.SimulatedJudge"},
    "simulated_varied": {"_target_": "envs.judges.simulated.SimulatedJudge", "preset": "varied"},
    "landscape": {"_target_": "envs.judges.landscapes.LandscapeJudge"},
}
"""Judges that need no settings: class and keyword arguments."""
_EXPECTED = f"expected a judge, one of {', '.join(JUDGES)}, or a YAML file with _target_ and its arguments"


def scenarios_of(given: Sequence[Scenario] | str | Path | None) -> Sequence[Scenario]:
    """Return the scenarios themselves: those `given`, of the file `given`, or for None the bundled ones.

    Raises
    ------
    UserError
        as `load_scenarios`.
    """
    if given is None or isinstance(given, (str, Path)):
        from envs.loading import load_bundled, load_scenarios

        return load_bundled() if given is None else load_scenarios(given).scenarios
    return given


def judge_of(given: Judge | str | Path) -> Judge:
    """Return the judge itself: the one `given`, of that name, or of the YAML file `given`.

    A file has `_target_: module.Class`, which is imported and called, and the keyword arguments of the class,
    as the files in `conf/judge` have them.

    Raises
    ------
    UserError
        no such name or file; a class that cannot be imported or called with these arguments, or is no judge.
    """
    if not isinstance(given, (str, Path)):
        if not isinstance(given, Judge):
            raise UserError(f"judge: found a {type(given).__name__} without a method score, {_EXPECTED}")
        return given
    if str(given) in JUDGES:
        return _built(JUDGES[str(given)], f"judge={given}")
    if Path(given).suffix not in (".yaml", ".yml"):
        raise UserError(f"judge: found {str(given)!r}, {_EXPECTED}")
    from envs.checking.validation import read_yaml  # lazily: it imports pydantic

    return _built(read_yaml(given, dict, "a mapping with _target_"), str(given))


def _built(content: dict[str, Any], place: str) -> Judge:
    """Return what `content` describes; `place` says in errors where it stands."""
    arguments = dict(content)
    target = arguments.pop("_target_", None)
    if not isinstance(target, str):
        raise UserError(f"{place}: _target_: found {target!r}, expected a class, such as my_pkg.MyJudge")
    try:
        made = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{place}: _target_: {target} cannot be imported: {error}") from None
    if not (isinstance(made, type) and issubclass(made, Judge)):  # so that nothing else is ever called
        raise UserError(f"{place}: _target_: {target} is no class with a method score, expected a judge's")
    try:
        inspect.signature(made).bind(**arguments)
    except TypeError as error:
        raise UserError(f"{place}: {target} cannot be called with these arguments: {error}") from None
    return made(**arguments)
