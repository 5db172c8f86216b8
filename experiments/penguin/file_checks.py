"""How far a scenario file keeps what PENGUIN promises: value sets, rules, leaks, duplicates, balance."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from envs import Attribute, Scenario, Schema, penguin_schema
from envs.loading import BadRecord
from experiments.pages import Grid
from experiments.penguin.consistency_rules import RuleComparison, RuleCount, check_rules
from experiments.penguin.generating.query_checks import leaks, near_duplicates, unit_vectors
from experiments.penguin.published_values import code_of, is_printed, published_values
from policies.embeddings import Embedding

_LISTED = 20
MAX_COMPARED = 20_000
"""Queries that are searched for near-duplicates and leaks, the first ones of a file."""


class FileFigures(NamedTuple):
    """What a file comes to; counts, and shares of those that were looked at.

    `values`: attribute -> (profiles that have it, not a printed value verbatim, not readable as one); of an
    attribute that PENGUIN does not have None is printed, and its levels are what can be read. `rules`: those
    whose attributes and domain the schema has as PENGUIN has them.
    `leaks`: attribute -> queries that tell it; `n_leaking`: queries that tell any. `repeated`: queries whose
    text occurred before; `near`: those with a near one before them, among the first `compared` distinct ones.
    `beside`: keys of metadata that every scenario has, in order.
    `listed`: (record, what is wrong with it), the first of `n_listed`, without a value.
    """

    scenarios: int
    bad: int
    people: int
    domains: dict[str, int]
    values: dict[str, tuple[int, int | None, int]]
    rules: list[RuleCount | RuleComparison]
    leaks: dict[str, int]
    n_leaking: int
    looked_at: int
    repeated: int
    near: int
    compared: int
    listed: list[tuple[str, str]]
    n_listed: int
    beside: list[str]


def check_file(records: Iterable[Scenario | BadRecord], embedding: Embedding) -> FileFigures:
    """Return the figures of `records`, which are read once and not kept."""
    seen = _FileCounts()
    for record in records:
        seen.add(record)
    n_names, own = len(published_values().names), seen.own
    codes = np.frombuffer(bytes(seen.codes), dtype=np.int8).reshape(-1, n_names)
    vectors = unit_vectors(seen.distinct, embedding) if seen.distinct else np.zeros((0, 1), np.float32)
    rules = [rule for rule in check_rules(codes, np.array(seen.domain_of)) if seen.may_hold(rule)]
    for rule in rules:
        if isinstance(rule, RuleCount):
            seen.n_listed += rule.violations
            seen.listed += [(seen.ids[i], f"violates rule {rule.rule}") for i in rule.who]
    return FileFigures(
        seen.scenarios,
        seen.bad,
        len(seen.people),
        dict(seen.domains),
        {a: (seen.has[a], None if a in own else seen.off[a], seen.unread[a]) for a in (*seen.printed, *own)},
        rules,
        dict(seen.told.most_common()),
        seen.leaking,
        seen.looked_at,
        seen.repeated,
        int(near_duplicates(vectors).sum()),
        len(seen.distinct),
        seen.listed[:_LISTED],
        seen.n_listed,
        list(seen.beside or ()),
    )


class _FileCounts:
    """What is counted of a file, record by record."""

    def __init__(self) -> None:
        self.scenarios = self.bad = self.repeated = self.looked_at = self.leaking = 0
        self.people: set[bytes] = set()
        self.codes, self.domain_of = bytearray(), list[str]()
        self.domains, self.told, self.has, self.off, self.unread = (Counter[str]() for _ in range(5))
        self.texts, self.distinct = set[bytes](), list[str]()
        self.ids, self.listed, self.n_listed = list[str](), list[tuple[str, str]](), 0
        self.beside: dict[str, None] | None = None
        self.schema: Schema | None = None
        self.printed: tuple[str, ...] = ()
        self.own: tuple[str, ...] = ()

    def add(self, record: Scenario | BadRecord) -> None:
        if isinstance(record, BadRecord):
            self.bad += 1
            self._list(record.place, record.reason)
            return
        if self.schema is None:
            self._take(record.schema)
        self.scenarios += 1
        had = record.metadata if self.beside is None else self.beside
        self.beside = {key: None for key in had if key in record.metadata}
        self.domains[record.domain] += 1
        key = _digest("\0".join(f"{a}\1{v}" for a, v in sorted(record.profile.items())) + record.domain)
        if key not in self.people:
            self.people.add(key)
            self._person(record)
        self._query(record)

    def may_hold(self, rule: RuleCount | RuleComparison) -> bool:
        """Tell whether the file's schema has what `rule` speaks of."""
        domain = rule.domain if isinstance(rule, RuleComparison) else ""
        domains = () if self.schema is None else self.schema.domains
        return set(rule.attributes) <= set(self.printed) and (not domain or domain in domains)

    def _take(self, schema: Schema) -> None:
        """Part the attributes of `schema` into those that are PENGUIN's, levels and all, and others."""
        ours = {a.name: _level_names(a) for a in penguin_schema().attributes}
        self.schema = schema
        self.printed = tuple(a.name for a in schema.attributes if ours.get(a.name) == _level_names(a))
        self.own = tuple(a.name for a in schema.attributes if a.levels and a.name not in self.printed)

    def _list(self, record: str, reason: str) -> None:
        self.n_listed += 1
        if len(self.listed) < _LISTED:
            self.listed.append((record, reason))

    def _person(self, record: Scenario) -> None:
        has = record.profile
        row = [code_of(a, has[a]) if a in has and a in self.printed else -1 for a in published_values().names]
        self.codes += np.array(row, dtype=np.int8).tobytes()
        self.domain_of.append(record.domain)
        self.ids.append(record.id)
        codes = dict(zip(published_values().names, row, strict=True))
        for name in (*self.printed, *self.own):
            if name not in has:
                continue
            is_own = name in self.own
            attribute = record.schema.attributes[record.schema.index(name)]
            unread = (attribute.code(has[name]) if is_own else codes[name]) < 0
            self.has[name] += 1
            self.off[name] += not is_own and not is_printed(name, has[name])
            self.unread[name] += unread
            if unread and is_own:
                self._list(record.id, f"{name}: no level reads the value")

    def _query(self, record: Scenario) -> None:
        text = _digest(record.query.casefold())
        self.repeated += text in self.texts
        if text not in self.texts and len(self.distinct) < MAX_COMPARED:
            self.distinct.append(record.query)
        self.texts.add(text)
        if self.looked_at < MAX_COMPARED:
            self.looked_at += 1
            found = leaks(record.query, record.schema)
            self.told.update(found)
            self.leaking += bool(found)


def _level_names(attribute: Attribute) -> tuple[str, ...]:
    return tuple(level.name for level in attribute.levels)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


_PRINTED = "PENGUIN's attributes: how many profiles have another value than the published ones"
_OWN = "Attributes of the file's own: how many profiles have a value that no level reads"


def grids(found: FileFigures) -> list[Grid]:
    """Return the tables that are printed of a file's figures."""
    printed = [
        (name, f"{n:,}", _share(off, n), _share(unread, n))
        for name, (n, off, unread) in found.values.items()
        if off is not None
    ]
    own = [
        (name, f"{n:,}", _share(unread, n)) for name, (n, off, unread) in found.values.items() if off is None
    ]
    rules = [(rule.rule, rule.shown, "yes" if rule.holds else "no") for rule in found.rules]
    queries = [
        (
            "tell an attribute, as the rules of this package read them",
            _share(found.n_leaking, found.looked_at),
        ),
        *((f"  of these: {name}", _share(n, found.looked_at)) for name, n in found.leaks.items()),
        ("have a text that occurred before", _share(found.repeated, found.scenarios)),
        ("have a near-duplicate before them", _share(found.near, found.compared)),
    ]
    domains = [(name, f"{n:,}", _share(n, found.scenarios)) for name, n in found.domains.items()]
    more = (
        ""
        if found.n_listed <= len(found.listed)
        else f", the first {len(found.listed)} of {found.n_listed:,}"
    )
    listed = [Grid(f"What is wrong, by record{more}", ("record", "reason"), found.listed, "", 2)]
    return [
        *(
            [Grid(_PRINTED, ("attribute", "profiles", "not verbatim", "not readable as one"), printed, "")]
            * bool(printed)
        ),
        *([Grid(_OWN, ("attribute", "profiles", "no level reads it"), own, "")] * bool(own)),
        *([Grid("Consistency rules", ("rule", "found", "holds"), rules, "")] if rules else []),
        Grid("Queries", ("queries that", "share"), queries, ""),
        Grid("Balance", ("domain", "scenarios", "share"), domains, ""),
        *(listed if found.listed else []),
    ]


def _share(n: int, of: int) -> str:
    return f"{n:,} of {of:,} ({n / of:.1%})" if of else "-"
