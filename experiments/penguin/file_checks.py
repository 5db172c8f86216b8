"""How far a scenario file keeps what PENGUIN promises: value sets, rules, leaks, duplicates, balance."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from envs import Scenario
from envs.loading import BadRecord
from experiments.pages import Grid
from experiments.penguin.consistency_rules import RuleComparison, RuleCount, check_rules
from experiments.penguin.generating.query_checks import leaks, near_duplicates, unit_vectors
from experiments.penguin.published_values import code_of, is_printed, published_values
from policies.embeddings import Embedding

MAX_COMPARED = 20_000
"""Queries that are searched for near-duplicates and leaks, the first ones of a file."""


class FileFigures(NamedTuple):
    """What a file comes to; counts, and shares of those that were looked at.

    `values`: attribute -> (profiles that have it, not a printed value verbatim, not readable as one).
    `leaks`: attribute -> queries that tell it; `n_leaking`: queries that tell any. `repeated`: queries whose
    text occurred before; `near`: those with a near one before them, among the first `compared` distinct ones.
    """

    scenarios: int
    bad: int
    people: int
    domains: dict[str, int]
    values: dict[str, tuple[int, int, int]]
    rules: list[RuleCount | RuleComparison]
    leaks: dict[str, int]
    n_leaking: int
    looked_at: int
    repeated: int
    near: int
    compared: int


def check_file(records: Iterable[Scenario | BadRecord], embedding: Embedding) -> FileFigures:
    """Return the figures of `records`, which are read once and not kept."""
    seen = _FileCounts()
    for record in records:
        seen.add(record)
    n_names = len(published_values().names)
    codes = np.frombuffer(bytes(seen.codes), dtype=np.int8).reshape(-1, n_names)
    vectors = unit_vectors(seen.distinct, embedding) if seen.distinct else np.zeros((0, 1), np.float32)
    return FileFigures(
        seen.scenarios,
        seen.bad,
        len(seen.people),
        dict(seen.domains),
        {a: (seen.has[a], seen.off[a], seen.unread[a]) for a in published_values().names},
        check_rules(codes, np.array(seen.domain_of)),
        dict(seen.told.most_common()),
        seen.leaking,
        seen.looked_at,
        seen.repeated,
        int(near_duplicates(vectors).sum()),
        len(seen.distinct),
    )


class _FileCounts:
    """What is counted of a file, record by record."""

    def __init__(self) -> None:
        self.scenarios = self.bad = self.repeated = self.looked_at = self.leaking = 0
        self.people: set[bytes] = set()
        self.codes, self.domain_of = bytearray(), list[str]()
        self.domains, self.told, self.has, self.off, self.unread = (Counter[str]() for _ in range(5))
        self.texts, self.distinct = set[bytes](), list[str]()

    def add(self, record: Scenario | BadRecord) -> None:
        if isinstance(record, BadRecord):
            self.bad += 1
            return
        self.scenarios += 1
        self.domains[record.domain] += 1
        key = _digest("\0".join(f"{a}\1{v}" for a, v in sorted(record.profile.items())) + record.domain)
        if key not in self.people:
            self.people.add(key)
            self._person(record)
        self._query(record)

    def _person(self, record: Scenario) -> None:
        names = published_values().names
        row = [code_of(a, record.profile[a]) if a in record.profile else -1 for a in names]
        self.codes += np.array(row, dtype=np.int8).tobytes()
        self.domain_of.append(record.domain)
        for name, code in zip(names, row, strict=True):
            if name in record.profile:
                self.has[name] += 1
                self.off[name] += not is_printed(name, record.profile[name])
                self.unread[name] += code < 0

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


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def grids(found: FileFigures) -> list[Grid]:
    """Return the tables that are printed of a file's figures."""
    values = [
        (name, f"{n:,}", _share(off, n), _share(unread, n)) for name, (n, off, unread) in found.values.items()
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
    return [
        Grid(
            "Value sets: how many profiles have another value than the printed ones",
            ("attribute", "profiles", "not verbatim", "not readable as one"),
            values,
            "",
        ),
        Grid("Consistency rules", ("rule", "found", "holds"), rules, ""),
        Grid("Queries", ("queries that", "share"), queries, ""),
        Grid("Balance", ("domain", "scenarios", "share"), domains, ""),
    ]


def _share(n: int, of: int) -> str:
    return f"{n:,} of {of:,} ({n / of:.1%})" if of else "-"
