"""Turn errors of Hydra and OmegaConf into one line in our words: place, what was found, what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence

from hydra.errors import MissingConfigException
from omegaconf.errors import ValidationError

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
_NO_GROUP = re.compile(r"Could not override '(\S+)'\.\s+No match in the defaults list")


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
    if found := _NO_GROUP.match(str(error)):
        return f"{found[1]}: this command has no such group, --help lists those it has"
    return one_line(error)


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
