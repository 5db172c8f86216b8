"""Check settings and files against types; a mistake becomes one `UserError` line.

Not imported by `import envs`: pydantic takes a while.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Concatenate, NamedTuple, ParamSpec, TypeVar, dataclass_transform

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from envs.errors import UserError

T = TypeVar("T")
P = ParamSpec("P")
S = TypeVar("S")

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number >= {ge:g}",
    "int_type": "an integer",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number <= {le:g}",
    "list_type": "a list",
    "missing": "a value",
    "model_type": "a mapping",
    "string_pattern_mismatch": "text that is not blank",
    "string_type": "text",
    "string_unicode": "text of whole characters",
    "too_long": "at most {max_length}",
    "too_short": "at least {min_length}",
    "tuple_type": "a list",
}
"""What is expected, by pydantic's type of error."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
"""An integer >= 1, also written as 1e6."""
MaybeCount = Annotated[int | None, Field(ge=1), BeforeValidator(_whole)]


def _regex(flags: re.RegexFlag) -> BeforeValidator:
    def compiled(text: object) -> object:
        if not isinstance(text, str):
            raise ValueError(f"found {type(text).__name__}, expected a regular expression")
        try:
            return re.compile(text, flags)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None

    return BeforeValidator(compiled)


Pattern = Annotated[re.Pattern[str], _regex(re.NOFLAG)]
IgnoreCase = Annotated[re.Pattern[str], _regex(re.IGNORECASE)]


class FileModel(BaseModel):
    """A mapping in a file: every key is known, every value has its type."""

    model_config = STRICT | ConfigDict(frozen=True, defer_build=True)


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def settings(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass with checked fields; its field `place` begins the messages."""
    made: Any = dataclass(frozen=True, config=STRICT)(cls)
    check = made.__init__
    hidden = {name for name, field in made.__pydantic_fields__.items() if not field.repr}

    @functools.wraps(check)
    def init(self: Any, *args: Any, **keys: Any) -> None:
        try:
            check(self, *args, **keys)
        except ValidationError as error:
            place = keys.get("place", made.place)
            raise user_error(error, f"{place}.", made.__pydantic_fields__, hidden) from None

    made.__init__ = init
    return made


def takes(
    kind: Callable[P, S],
) -> Callable[[Callable[[Any, S], None]], Callable[Concatenate[Any, P], None]]:
    """Let a constructor take the fields of the settings `kind` as its keyword arguments, checked."""

    def decorate(constructor: Callable[[Any, S], None]) -> Callable[Concatenate[Any, P], None]:
        @functools.wraps(constructor)
        def init(self: Any, *args: P.args, **keys: P.kwargs) -> None:
            constructor(self, kind(*args, **keys))

        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        parameters = [p for p in inspect.signature(kind).parameters.values() if p.name != "place"]
        init.__dict__.update(settings=kind, __signature__=inspect.Signature([own, *parameters]))
        return init

    return decorate


class AcceptedKey(NamedTuple):
    """One key of a configuration: its type, its default (`inspect.Parameter.empty`: none), its meaning."""

    type: Any
    default: Any
    description: str


def accepted_keys(target: Callable[..., Any]) -> dict[str, AcceptedKey]:
    """Return the keys that the class or function `target` takes, by name, in their order.

    Types and meanings are those of its settings where it has them (`takes`, or a settings class itself);
    otherwise its signature is all there is.
    """
    kind = getattr(getattr(target, "__init__", None), "settings", target)
    fields = getattr(kind, "__pydantic_fields__", None)
    if fields is not None:
        return {
            name: AcceptedKey(
                field.annotation,
                inspect.Parameter.empty
                if field.is_required()
                else field.get_default(call_default_factory=True),
                field.description or "",
            )
            for name, field in fields.items()
            if name != "place"
        }
    parameters = inspect.signature(target).parameters.values()
    return {p.name: AcceptedKey(p.annotation, p.default, "") for p in parameters}


def user_error(
    error: ValidationError, place: str, keys: Collection[str] = (), hidden: Collection[str] | None = ()
) -> UserError:
    """Return the first mistake in `error` as one line: place, found, expected.

    `place` goes before the path of keys. `keys`: those that there are, to name the nearest one. `hidden`:
    first keys of values that no message may show (headers, say), None = all; of these a message has only
    the type.
    """
    first = error.errors(include_url=False)[0]
    cause, path = first.get("ctx", {}).get("error"), first["loc"]
    if isinstance(cause, UserError):
        return cause
    private = hidden is None or path[:1] in [(name,) for name in hidden]
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        near = get_close_matches(str(path[-1]), keys, 1)
        what = "there is no such key" + (f", did you mean {near[0]}" if near else "")
    elif cause is not None:
        what = str(cause)
    else:
        what = f"found {_found(first, private)}, expected {_expected(first)}"
    return UserError(f"{place}{_dotted(path[:1] if hidden is None else path)}: {what}".removeprefix(": "))


def _dotted(path: tuple[str | int, ...]) -> str:
    parts = (f"[{key}]" if isinstance(key, int) else f".{' '.join(key.split())}" for key in path)
    return "".join(parts).removeprefix(".").removesuffix(".[key]")


def _found(first: Any, private: bool) -> str:
    value = first["input"]
    if value is None or first["type"] == "missing":
        return "none"
    if first["type"] in ("too_long", "too_short") and not isinstance(value, str):
        return str(len(value))
    shown = isinstance(value, (str, int, float)) and not private
    return repr(value) if shown else type(value).__name__


def _expected(first: Any) -> str:
    context = first.get("ctx", {})
    if first["type"] == "literal_error":
        return str(context["expected"]).replace("'", "")
    if first["type"] in _EXPECTED:
        return _EXPECTED[first["type"]].format(**context)
    return re.sub(r", (?:got|unable) .*", "", first["msg"].removeprefix("Input should be "))


_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C, where it was built: quick with a file of brackets, too, it ends at a depth of 1,000."""
_YAML_OUT: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The one in C likewise: the same text in a fifteenth of the time."""


def read_yaml(path: str | Path, kind: Any, holds: str, key: str = "") -> Any:
    """Return the content of the YAML file `path`, checked against the type `kind`.

    Raises
    ------
    UserError
        one line: the file (after the `key` that names it), the place in it, what was found and expected;
        `holds` says what such a file has.
    """
    file = f"{key}{path}"
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _YAML)  # noqa: S506 - both are safe
    except FileNotFoundError:
        raise UserError(f"{file}: no such file, expected {holds} (YAML)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as UTF-8 text ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{file}:{line} is not valid YAML, expected {holds}") from None
    except (ValueError, RecursionError) as error:  # no such date or number, or nested without end
        raise UserError(f"{file}: is not valid YAML ({type(error).__name__}), expected {holds}") from None
    return validated(content, kind, file)


def as_yaml(content: object) -> str:
    """Return plain `content` as YAML that `read_yaml` reads as the same."""
    return str(yaml.dump(content, Dumper=_YAML_OUT, allow_unicode=True, sort_keys=False, width=110))


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def validated(content: object, kind: Any, place: str, private: bool = False) -> Any:
    """Return `content` as the type `kind`; a mistake is a `UserError` that begins with `place`.

    `private`: the message holds no value, and no key below the first one.
    """
    try:
        return _adapter(kind).validate_python(content)
    except ValidationError as error:
        found = user_error(error, "", getattr(kind, "model_fields", ()), None if private else ())
    raise UserError(f"{place}{'' if str(found).startswith('[') else ': '}{found}")
