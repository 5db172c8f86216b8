"""Turn errors of Hydra and OmegaConf into one line in our words: place, what was found, what was expected."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, ValidationError

_NOISE = re.compile(
    r",? ?set env var HYDRA_FULL_ERROR=1 [^.]*\.?|full_key: *$|Check that it's in your config search path\.?"
    r"|To append to your default list use \S+",
    re.IGNORECASE | re.MULTILINE,
)
_WRONG_TYPES = (
    (r"(?:Value )?(?P<found>.*?) (?:of type '\w+' )?could not be converted to Integer", "an integer"),
    (r"(?:Value )?(?P<found>.*?) (?:of type '\w+' )?could not be converted to Float", "a number"),
    (r"Value (?P<found>.*) is not a valid bool", "true or false"),
    (r"Cannot convert (?P<found>'\w+') to string", "text"),
    (r"Invalid value assigned: (?P<found>\w+) is not a ListConfig", "a list"),
    (r"field '\w+' is not Optional(?P<found>)", "a value"),
)
"""What OmegaConf says of a value of another type than the schema's, and what was expected."""
_COMPOSING = (
    (r"Could not override '(\S+)'\.\s+No match in the defaults list",
     r"\1: this command has no such group, --help lists those it has"),
    (r"(\S+) appears more than once in the final defaults list",
     r"\1: found more than one member of the group, expected one"),
    (r"Cannot find primary config '(.*?)'.*",
     r"--config-name=\1: no such file, expected one of the package or of --config-dir, without .yaml"),
    (r"Ambiguous value for argument '([^=]+)=(.*?)'\s",
     r"\1: found '\2', expected one value: lists are in brackets, text with a comma in quotes; -m sweeps"),
    (r"Error merging override [+~]*([^=]+)=.*Cannot merge DictConfig with ListConfig",
     r"\1: found a list, expected a mapping"),
)  # fmt: skip
"""What Hydra says of a whole command line, and what we say."""


def plain(error: BaseException) -> str:
    """Return the line that `error` comes to, where its kind is known in our words, else in Hydra's."""
    for cause in _causes(error):
        match cause:
            case MissingConfigException(missing_cfg_file=str(file), options=[_, *_] as options):
                group, _, name = file.rpartition("/")
                expected = nearest(name, options) or one_of(options)
                return f"{group}={name}: no such member of the group, {expected}"
            case ValidationError(full_key=str(key)) if key:
                return f"{key}: {_value(cause)}"
            case InterpolationResolutionError(full_key=str(key)):
                why = str(cause.msg or cause).splitlines()[0].removeprefix("KeyError raised while resolving ")
                return f"{key}: found a reference to nothing ({why}), expected one to a key or variable"
    for pattern, ours in _COMPOSING:
        if found := re.match(pattern, str(error), re.DOTALL):
            return found.expand(ours)
    return one_line(error)


def unreadable(error: OverrideParseException) -> str:
    """Return what to say of an override that does not follow the grammar."""
    key, equals, value = error.override.partition("=")
    if not equals:
        return f"{key}: found no = behind it, expected KEY=VALUE"
    if not re.fullmatch(r"(?:\+{0,2}|~)[\w@./:$-]+", key):
        return f"{key or '='}: found no name before =, expected KEY=VALUE"
    # A function of sweeps says what it wants; of the rest of the grammar nobody knows the terms.
    why = re.search(r"while evaluating '.*?': (.+)", str(error))
    reason = f"; {why[1]}" if why else ""
    return (
        f"{key.lstrip('+~')}: found {value!r}, expected a value, or text in quotes: '{key}=\"...\"'; "
        f"brackets and quotes in pairs{reason}"
    )


def one_line(error: BaseException) -> str:
    """Return what `error` and its causes say, in one line without Hydra's list of search paths."""
    parts: list[str] = []
    for current in _causes(error):
        text = _NOISE.sub("", str(current).split("Config search path")[0])
        line = " ".join(part.strip() for part in text.splitlines() if part.strip())
        if line and not any(line in part for part in parts):
            parts.append(line)
    return ": ".join(parts)


def nearest(name: str, names: Iterable[str], most: int = 2) -> str:
    """Return "the nearest is a or b", "" where none of `names` is near."""
    near = difflib.get_close_matches(name, sorted(names), most, cutoff=0.7)
    return f"the nearest is {' or '.join(near)}" if near else ""


def one_of(members: Sequence[str]) -> str:
    """Return "expected one of" the `members` of a group, without the schemas that stand among them."""
    return f"expected one of {', '.join(name for name in members if not name.endswith('_schema'))}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _value(error: ValidationError) -> str:
    """Return what a schema's field was given and what it takes."""
    for pattern, expected in _WRONG_TYPES:
        if match := re.match(pattern, str(error.msg or error), re.DOTALL):
            return f"found {match['found'] or 'null'}, expected {expected}"
    return one_line(error)


def why_not_found(path: str, cause: BaseException | None) -> str:
    """Return at which name of the dotted `path` the search for it ended, `cause` being Python's error."""
    match cause:
        case None:
            return "a name between two dots is empty"
        case ModuleNotFoundError(name=str(module)) if f"{path}.".startswith(f"{module}."):
            place, _, name = module.rpartition(".")
            if not place:
                return f"no module {name} is installed or in the working folder"
            near = difflib.get_close_matches(name, dir(sys.modules[place]), 1)
            return f"{place} has no {name}" + (f", the nearest is {place}.{near[0]}" if near else "")
        case AttributeError(name=str(name)):
            return f"what is before .{name} has no such part"
        case _:
            return f"its module cannot be imported: {type(cause).__name__}: {cause}"
