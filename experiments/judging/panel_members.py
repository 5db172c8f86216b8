"""Members of `judge=panel` written out: what a short form leaves to the file of a judge is put in."""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from envs import UserError

DEFAULT = "openai"
_PANEL = "panel"


def write_out_members(cfg: DictConfig) -> None:
    """Write out `judge.members` of `cfg` in place.

    A member is the name of a judge in `conf/judge` (`simulated`), a mapping with that name as `judge` and
    keys of that judge (`{judge: openai, model: M}`; `openai` where none is named), or one with a `_target_`.

    Raises
    ------
    UserError
        a member of another kind, or a judge that there is not.
    """
    judge = cfg.get("judge")
    members = judge.get("members") if isinstance(judge, DictConfig) else None
    if not isinstance(members, ListConfig):
        return
    with open_dict(judge):
        judge.members = [_written_out(member, f"judge.members.{i}") for i, member in enumerate(members)]


def _written_out(member: Any, place: str) -> Any:
    if isinstance(member, str):
        return _of_file(member, place)
    if not isinstance(member, DictConfig):
        raise UserError(f"{place}: found {member!r}, expected the name of a judge or a mapping of its keys")
    if "_target_" in member:
        return member
    own = {key: value for key, value in member.items() if key != "judge"}
    return OmegaConf.merge(_of_file(str(member.get("judge", DEFAULT)), place), own)


def _of_file(name: str, place: str) -> DictConfig:
    folder = files("conf") / "judge"
    names = sorted(
        path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml")
    )
    names.remove(_PANEL)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"the nearest is {near[0]}" if near else f"expected one of {', '.join(names)}"
        raise UserError(f"{place}.judge: there is no judge {name}, {hint}")
    found = OmegaConf.create((folder / f"{name}.yaml").read_text("utf-8"))
    assert isinstance(found, DictConfig)  # noqa: S101 - the files are mappings
    return found
