"""Check that every key of a composed configuration is read by somebody, before anything is built or written.

Schema nodes take their fields; a node with `_target_` takes the arguments of its class, wherever its YAML is
from; `vars` is free. Values are held against annotations of plain types.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra._internal.utils import _locate  # `get_object` would log an error beside the one line
from hydra.core.config_store import ConfigLoadError, ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from envs import UserError
from experiments.console.plain_errors import why_not_found
from experiments.judging.panel_members import write_out_members
from experiments.runs.config import FREE, budget_of

HARNESS_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"search": {"max_judge_calls": None, "wave": 50}}
"""Keys of a group that the harness reads for every member, with their defaults; no class sees them."""

_INSTANTIATE = frozenset({"_target_", "_args_", "_partial_", "_recursive_", "_convert_"})
_WITHOUT_CLASS: Mapping[str, tuple[str, ...]] = {
    "search": ("search.algorithms.mcts.MCTSSearch", "search.algorithms.bayes.BayesSearch"),
    **dict.fromkeys(("prior", "target", "chat", "session"), ()),
}
"""Groups with a member whose `_target_` is null, and the classes that it may stand for."""
_PLAIN = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
_MOST_SHOWN = 25


def keyword_names(target: Any) -> frozenset[str] | None:
    """Return the names that `target` (a class, function or partial) takes by keyword; None = any.

    `*args` and `**kwargs` take anything, and so does what has no signature.
    """
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return None
    return frozenset(p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY)


def check_config(cfg: DictConfig) -> None:
    """Check every key and plain value of `cfg`, a whole composed configuration; absent keys get defaults.

    Raises
    ------
    UserError
        a key that nobody reads (with the nearest that exists), a class that cannot be found, a value that is
        missing or of another type.
    """
    schema = OmegaConf.get_type(cfg)
    write_out_members(cfg)
    if not is_dataclass(schema):
        raise UserError("--config-name: expected a configuration whose defaults begin with one of ours")
    groups = {name for name in _choices(cfg) if not name.startswith("hydra/")}
    _refuse_unknown(cfg, {f.name for f in fields(schema)} | {"hydra"}, "", cfg, groups)
    _fill(cfg, {f.name: _default(f) for f in fields(schema)})
    for name in (f.name for f in fields(schema) if f.name != FREE):
        if OmegaConf.is_missing(cfg, name):
            if _is_group(schema, name):
                raise UserError(f"{name} is missing: expected {name}=MEMBER, {name}=custom for one of yours")
            continue
        check = _check_class if _is_group(schema, name) else _check_below
        check(cfg[name], name, cfg)
    if "budget" in cfg:
        budget_of(cfg)
    if "hydra" in cfg:
        _check_schema(cfg.hydra, "hydra", cfg)


def check_class_types(target: Any, node: Mapping[str, Any], place: str) -> None:
    """Hold each value of `node` against the annotation of its parameter, where that is of plain types."""
    for key, value in node.items():
        kinds = _kinds(_hints(target).get(key, Any))
        if kinds <= {*_PLAIN, type(None)} and not _is_one_of(value, kinds):
            names = " or ".join(sorted(_PLAIN.get(kind, "null") for kind in kinds))
            raise UserError(f"{place}.{key}: found {value!r}, expected {names}")


def _choices(cfg: DictConfig) -> Mapping[str, Any]:
    return OmegaConf.select(cfg, "hydra.runtime.choices") or {}


def _is_group(schema: Any, name: str) -> bool:
    return bool(get_type_hints(schema)[name] is Any)


def _default(field: Field[Any]) -> Any:
    # `MISSING` is another object in a process that got its classes from this one.
    return field.default_factory() if callable(field.default_factory) else field.default


def _fill(node: DictConfig, defaults: Mapping[str, Any]) -> None:
    """Give absent keys their defaults: those that a YAML of the user's leaves out, or `~key` deletes."""
    with open_dict(node):
        for name, value in defaults.items():
            if name not in node.keys():  # noqa: SIM118 - `in node` is False for a missing value as well
                node[name] = value


def _check_schema(node: DictConfig, place: str, cfg: DictConfig) -> None:
    """Check a node that a dataclass describes, and those below it."""
    schema = OmegaConf.get_type(node)
    if "_target_" in node:  # a plug-in of Hydra's: its type is that of the field, a base of its own maybe
        known = _accepted_by_plug_in(node, place, cfg)
        _refuse_unknown(node, set(node) if known is None else known | _INSTANTIATE, place, cfg)
    elif is_dataclass(schema):
        _refuse_unknown(node, {f.name for f in fields(schema)} | {"env"}, place, cfg)  # hydra/env is a group
    for name, child in _children(node):
        if isinstance(child, DictConfig):
            _check_schema(child, f"{place}.{name}", cfg)


def _accepted_by_plug_in(node: DictConfig, place: str, cfg: DictConfig) -> frozenset[str] | None:
    """Return the keys that a launcher or sweeper has registered, of a user's YAML those of its class."""
    group = place.replace(".", "/")
    member = _choices(cfg).get(group)
    try:
        return frozenset(map(str, ConfigStore.instance().load(f"{group}/{member}.yaml").node))
    except ConfigLoadError:
        return keyword_names(find_class(str(node._target_), place))


def _check_below(child: Any, place: str, cfg: DictConfig) -> None:
    """Check a part of the schema, a group in a group, a free mapping, a list or a value."""
    is_group = "." in place and place.replace(".", "/") in _choices(cfg)
    if is_group or (isinstance(child, DictConfig) and "_target_" in child):
        _check_class(child, place, cfg)
        return
    if isinstance(child, ListConfig):
        for i, item in enumerate(child):
            _check_below(item, f"{place}.{i}", cfg)
    if not isinstance(child, DictConfig):
        return
    schema = OmegaConf.get_type(child)
    if is_dataclass(schema):
        _refuse_unknown(child, {f.name for f in fields(schema)}, place, cfg)
        _fill(child, {f.name: _default(f) for f in fields(schema)})
    for name, below in _children(child):
        _check_below(below, f"{place}.{name}", cfg)


def _check_class(node: Any, place: str, cfg: DictConfig) -> None:
    """Check a node that is built: its keys are arguments of its class."""
    if not isinstance(node, DictConfig):
        wanted = f"{place.replace('.', '/')}=MEMBER, or a mapping with _target_"
        raise UserError(f"{place}: found {node!r}, expected {wanted}")
    _fill(node, HARNESS_DEFAULTS.get(place, {}))
    harness = frozenset(HARNESS_DEFAULTS.get(place, {}))
    if "_target_" not in node:
        raise UserError(
            f"{place}._target_ is missing: expected a class, such as {place}._target_=my_pkg.MyClass"
        )
    if node._target_ is None:
        known = _accepted_without_class(place) | harness | {"_target_"}
        member = _choices(cfg).get(place)
        _refuse_unknown(node, known, place, cfg, of=f"{place}={member}" if member else "")
        given = {str(key): node[key] for key in node if key not in harness and node[key] is not None}
        for path in _WITHOUT_CLASS[place]:
            check_class_types(_locate(path), given, place)
        return
    target = find_class(str(node._target_), place)
    accepted = keyword_names(target)
    if accepted is not None:
        _refuse_unknown(node, accepted | harness | _INSTANTIATE, place, cfg, of=node._target_)
    hints = _hints(target)
    for name in map(str, node):
        if OmegaConf.is_missing(node, name):
            raise UserError(f"{place}.{name!s} is missing: expected a value")
    for name, child in _children(node):
        if isinstance(child, DictConfig) and "_target_" not in child:
            inner = _accepted_by(hints.get(name, Any))
            if inner is not None:
                _refuse_unknown(child, inner, f"{place}.{name}", cfg)
        _check_below(child, f"{place}.{name}", cfg)
    plain = {str(key): node[key] for key in node if key not in harness | _INSTANTIATE}
    check_class_types(target, plain, place)


def find_class(path: str, place: str) -> Any:
    """Return the class or function at `path`.

    Raises
    ------
    UserError
        there is none.
    """
    try:
        found = _locate(path)
    except (ImportError, ValueError) as error:
        why = why_not_found(path, error.__cause__)
        raise UserError(
            f"{place}._target_: found {path!r}, expected a class or a function, such as my_pkg.MyClass; {why}"
        ) from None
    if not callable(found):
        raise UserError(f"{place}._target_: {path} is not callable, expected a class or a function")
    return found


def _accepted_without_class(place: str) -> frozenset[str]:
    """Return what a node accepts whose `_target_` is null: what all classes accept that it may stand for."""
    if place not in _WITHOUT_CLASS:
        raise UserError(f"{place}._target_: found null, expected a class, such as my_pkg.MyClass")
    classes = [keyword_names(_locate(path)) or frozenset() for path in _WITHOUT_CLASS[place]]
    return frozenset.intersection(*classes) if classes else frozenset()


def _children(node: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of what stands in `node` itself: no interpolation, nothing missing."""
    for name in node:
        if not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, str(name)):
            yield str(name), node[name]


def _refuse_unknown(
    node: DictConfig,
    known: Collection[str],
    place: str,
    cfg: DictConfig,
    groups: Collection[str] = (),
    of: str = "",
) -> None:
    for name in map(str, node):
        if name not in known:
            raise unknown_key(f"{place}.{name}" if place else name, {*known, *groups} - _INSTANTIATE, cfg, of)


def unknown_key(key: str, siblings: Collection[str], cfg: DictConfig, of: str = "") -> UserError:
    """Return the error of a key that nobody reads: with the nearest beside it, or of that name elsewhere."""
    place, _, name = key.rpartition(".")
    before = f"{place}." if place else ""
    offered = sorted({*siblings} - {"hydra"})
    near = [before + found for found in difflib.get_close_matches(name, offered, 2)]
    near = near or [path for path in _paths(cfg) if path.rpartition(".")[2] == name and path != key][:2]
    whose = f" of {of}" if of else ""
    if near:
        return UserError(f"{key}: no such key{whose}, the nearest is {' or '.join(near)}")
    more = ", ..." if len(offered) > _MOST_SHOWN else ""
    expected = f"expected one of {', '.join(offered[:_MOST_SHOWN])}{more}" if offered else "it takes none"
    return UserError(f"{key}: no such key{whose}, {expected}")


def unknown_to_schema(error: Exception) -> UserError | None:
    """Return what to say of a key that a schema does not have, None where the error is of another kind."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and is_dataclass(cause.object_type):
            schema: Any = OmegaConf.structured(cause.object_type)
            return unknown_key(str(cause.full_key), set(map(str, schema)), schema)
        cause = cause.__cause__ or cause.__context__
    return None


def _paths(node: DictConfig, before: str = "") -> Iterator[str]:
    """Yield the dotted keys of `node`, of ours alone."""
    for name, child in _children(node):
        if before or name not in ("hydra", FREE):
            yield before + name
            if isinstance(child, DictConfig):
                yield from _paths(child, f"{before}{name}.")


def _hints(target: Any) -> dict[str, Any]:
    made = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(made) if inspect.isfunction(made) else {}
    except (NameError, TypeError):
        return {}  # annotations that only a type checker can read


def _kinds(hint: Any) -> set[Any]:
    return set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}


def _accepted_by(hint: Any) -> frozenset[str] | None:
    """Return the keys of a mapping for a parameter of this annotation: of its settings class, else any."""
    kinds = _kinds(hint) - {type(None)}
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    settings = is_dataclass(kind) or hasattr(kind, "model_fields")
    return keyword_names(kind) if inspect.isclass(kind) and settings else None


def _is_one_of(value: Any, kinds: set[Any]) -> bool:
    # bool is an int to Python, and an int is welcome where a float is expected
    return type(value) in kinds or (type(value) is int and float in kinds)
