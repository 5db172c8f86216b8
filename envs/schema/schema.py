"""Schemas: which attributes may be asked of a person.

A `Schema` is an ordered list of attributes, with the domains of its scenarios and the words that stand for
"missing". The order matters: it breaks ties, it numbers the bits of every set, and it is the order in which
known attributes are listed. A plan weighs at most 64 of them (`envs.scenario.within_one_plan`).
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from envs.errors import UserError
from envs.schema.attribute import UNKNOWN, Attribute

FILE_NAME = "schema.yaml"
"""The schema in a run's folder."""
MAX_ASKABLE = 64
"""Attributes of one plan: sets of them are uint64."""
DOMAINS = ("relationship", "career", "financial", "social", "health", "life", "education", "other")
"""Domains of PENGUIN, and of a schema that brings none of its own."""
MISSING = frozenset({"unknown", "not specified", "unspecified", "not mentioned", "not given", "n/a"})
"""Words that stand for a missing value, in a schema that brings none of its own."""
_RESERVED = "all"
"""No domain: what holds for every domain goes by this name."""


def is_missing(value: object, words: Collection[str] = MISSING) -> bool:
    """Tell what counts as absent: null, blank, or one of `words` (lower case). `None` as text is a value."""
    if not isinstance(value, str):
        return value is None
    text = value.strip().casefold()
    return not text or text in words


class Schema:
    """An ordered set of attributes, with the arithmetic of sets as bitmasks.

    Attributes
    ----------
    attributes : tuple[Attribute, ...], at least 1
    domains : tuple[str, ...], what the domain of a scenario may be
    missing : frozenset[str], words (lower case) that stand for a missing value
    whole : the schema that this one is a part of (`restricted`), else itself
    names : tuple[str, ...]
    costs : float64[n], in units of `cost_weight`
    n_levels : int64[n], number of levels of each attribute

    Raises
    ------
    UserError
        no attribute, a blank name, or a name, level or domain that occurs twice.
    """

    def __init__(
        self,
        attributes: Iterable[Attribute],
        domains: Iterable[str] = DOMAINS,
        missing: Iterable[str] = MISSING,
    ) -> None:
        self.attributes = tuple(attributes)
        self.domains = tuple(domains)
        self.missing = frozenset(word.strip().casefold() for word in missing)
        self.whole = self
        self.names = tuple(a.name for a in self.attributes)
        _check_distinct("attributes", self.names)
        _check_distinct("domains", self.domains)
        for a in self.attributes:
            if a.levels:
                _check_distinct(f"attribute {a.name}: levels", tuple(level.name for level in a.levels))
        if _RESERVED in self.domains:
            raise UserError(f"domains: found {_RESERVED!r}, which stands for every domain, expected another")
        self._index = {name: i for i, name in enumerate(self.names)}
        self.costs = np.array([a.cost for a in self.attributes], dtype=np.float64)
        self._hash = hash(self.attributes)  # attributes are immutable, and many: a hash takes 0.2 ms
        self.n_levels = np.array([len(a.levels) for a in self.attributes], dtype=np.int64)

    def restricted(self, names: Collection[str]) -> Schema:
        """Return the schema of the attributes in `names` alone, in the same order; it knows its `whole`."""
        part = Schema((a for a in self.attributes if a.name in names), self.domains, self.missing)
        part.whole = self.whole
        return part

    def with_attributes(self, attributes: Iterable[Attribute]) -> Schema:
        """Return a schema of `attributes` with the domains and the missing words of this one."""
        return Schema(attributes, self.domains, self.missing)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the attributes of `whole` that are not in this part of it."""
        return tuple(name for name in self.whole.names if name not in self._index)

    def is_missing(self, value: object) -> bool:
        """Tell what counts as absent: null, blank, or one of the schema's `missing` words."""
        return is_missing(value, self.missing)

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Schema):
            return NotImplemented
        own, others = ((s.attributes, s.domains, s.missing, s.left_out) for s in (self, other))
        return own == others

    def __hash__(self) -> int:
        return self._hash

    def index(self, name: str) -> int:
        """Return the position of `name`; KeyError names what was looked for."""
        return self._index[name]

    def mask(self, names: Iterable[str]) -> int:
        """Return the bitmask of `names` (bit i = attribute i)."""
        return sum(1 << self._index[name] for name in set(names))

    def names_of(self, mask: int) -> tuple[str, ...]:
        """Return the names in `mask`, in schema order."""
        return tuple(name for i, name in enumerate(self.names) if int(mask) >> i & 1)

    def codes(self, profile: Mapping[str, object]) -> np.ndarray:
        """Return int8[n]: the level of each attribute's value in `profile`, `UNKNOWN` where none."""
        values = ((a, profile.get(a.name)) for a in self.attributes)
        return np.array([UNKNOWN if self.is_missing(v) else a.code(v) for a, v in values], dtype=np.int8)

    def askable(self, profile: Mapping[str, object]) -> int:
        """Return the bitmask of the attributes whose value exists in `profile`."""
        return self.mask(n for n in self.names if not self.is_missing(profile.get(n)))


def _check_distinct(what: str, names: tuple[str, ...]) -> None:
    if not names:
        raise UserError(f"{what}: found 0, expected at least 1")
    seen = set[str]()
    for name in names:
        if not name.strip():
            raise UserError(f"{what}: found a blank name, expected text")
        if name in seen:
            raise UserError(f"{what}: the name {name!r} occurs twice, expected distinct names")
        seen.add(name)


def load_schema(path: str | Path) -> Schema:
    """Read a YAML list of attributes, or a mapping that holds it; their keys are the fields of `Attribute`.

    The mapping is `{domains: [...], missing: [...], attributes: [...]}`, the first two optional. `levels` is
    a list of names, or a mapping of a name to its phrases or to `{min, max}` (one of them may be left out).
    `type: boolean` gives the levels no and yes where there are none. YAML's true and false are yes and no.

    Raises
    ------
    UserError
        one line: file, position in the list, field, what was found and expected.
    """
    from envs.schema.schema_file import read_schema  # pydantic, which `import envs` does without

    return read_schema(path)


@functools.cache
def penguin_schema() -> Schema:
    """Return the ten attributes of PENGUIN, in their published order."""
    return load_schema(Path(__file__).parents[1] / "data" / "attributes.yaml")
