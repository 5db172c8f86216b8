"""What asking is worth after every history of answers, kept apart by domain: a plan for any mix of domains.

A history h is a set of answers, whatever their order. All that a plan weighs is a sum over people, so the
sums are kept for the people of each domain d, and a query of domain d with probability p_d weighs them by
w_d = p_d + o (1 - p_d), with o for what a person of another domain counts (`other_domains`):

    N(h) = sum_d w_d N_d(h)           people who answer h
    G(h) = sum_d w_d G_d(h)           their objectives (score less weighted costs) when answered now
    R(h, a) = sum_d w_d R_d(h, a)     of those whose answer to a no kept history holds: the fallback goes on
    Q(h, a) = x G(h) + (1 - x) (R(h, a) + sum_{o kept} V(h a o))
    V(h) = max( G(h), max_a Q(h, a) )

x is the chance that a person stops answering before a question (`dropout`). Where N(h) is below
`min_profiles` the fallback goes on, too. So no history tells of a few people, in the file or in a plan.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs import UserError
from envs.checking.damaged import ARCHIVE_DAMAGE
from envs.durable import replacing
from search.population.policy_tree import DECLINED

FILE_NAME = "histories.npz"
FORMAT = "raise-planner histories 1"
NOT_ASKED = DECLINED - 1
"""In `codes`: the history holds no answer to this question."""
TIE = 1e-9
"""Values a person closer than this are equal: the lowest attribute wins."""
ARRAYS = ("codes", "people", "stop", "fallback", "rest", "after", "paths", "path_scores")


@dataclass(frozen=True, eq=False)
class HistoryValues:
    """Sums over people of D domains for M histories of fewer than `budget` answers, the empty one first.

    Attributes
    ----------
    names, levels : of the n attributes, in schema order
    domains : tuple[str, ...] of D
    budget, dropout, min_profiles : see the module; `cost_weight`: what was taken off the scores
    codes : int8[M, n], the answers, `DECLINED` or `NOT_ASKED`; every history stands after its parts
    people, stop, fallback : float32[M, D], N_d, G_d, and what going on with the fallback brings
    rest, after : float32[M, n, D], R_d, and the objectives of answering right after the question; NaN = asked
    paths : int8[P, budget], ways to ask everybody the same, -1 beyond the end; the first one is the fallback
    path_scores : float32[P, budget + 1, D], objectives of each beginning, the last one again beyond the end
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    domains: tuple[str, ...]
    budget: int
    cost_weight: float
    dropout: float
    min_profiles: float
    codes: np.ndarray
    people: np.ndarray
    stop: np.ndarray
    fallback: np.ndarray
    rest: np.ndarray
    after: np.ndarray
    paths: np.ndarray
    path_scores: np.ndarray

    @functools.cached_property
    def places(self) -> dict[bytes, int]:
        """{a row of `codes`: its place}."""
        return {row.tobytes(): i for i, row in enumerate(self.codes)}

    @functools.cached_property
    def _children(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (parent int64[E], question int64[E], child int64[E]) of all pairs one answer apart."""
        found = []
        for child, row in enumerate(self.codes):
            for a in np.flatnonzero(row != NOT_ASKED).tolist():
                before = row.copy()
                before[a] = NOT_ASKED
                found.append((self.places[before.tobytes()], a, child))
        parents, questions, children = np.array(found, np.int64).reshape(-1, 3).T
        return parents, questions, children

    @functools.cached_property
    def _by_size(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Return (histories int64[H], their `_children`) of each number of answers, the highest first."""
        sizes = (self.codes != NOT_ASKED).sum(axis=1)
        parents, questions, children = self._children
        found = []
        for size in range(int(sizes.max()), -1, -1):
            edges = np.flatnonzero(sizes[parents] == size)
            here = np.flatnonzero(sizes == size)
            found.append((here, parents[edges], questions[edges], children[edges]))
        return found

    def plan(self, shares: Mapping[str, float], other_domains: float) -> HistoryPlan:
        """Return the plan for a query of each domain d with probability `shares[d]` (default 0)."""
        share = np.array([shares.get(domain, 0.0) for domain in self.domains])
        weights = share + other_domains * (1 - share)
        if not weights.sum() > 0:  # of none of these domains, and others do not count: anybody
            weights = np.ones_like(share)
        people, stop, fallback, rest, after, path_scores = (
            (array * weights).sum(axis=-1)
            for array in (self.people, self.stop, self.fallback, self.rest, self.after, self.path_scores)
        )
        few = people < self.min_profiles * (1 - 1e-6)
        value = stop.copy()
        q = np.full(rest.shape, -np.inf)
        for here, parents, questions, children in self._by_size:
            below = np.zeros(rest.shape)
            np.add.at(below, (parents, questions), value[children])
            asking = (1 - self.dropout) * (rest[here] + below[here]) + self.dropout * stop[here, None]
            q[here] = np.where(np.isnan(asking), -np.inf, asking)
            value[here] = np.where(few[here], fallback[here], np.maximum(stop[here], q[here].max(axis=1)))
        each = np.maximum(people, 1e-12)[:, None]
        next_only = np.where(np.isnan(after), -np.inf, after) / each
        stays = (1 - self.dropout) ** np.arange(self.budget + 1)
        chances = np.append(self.dropout * stays[:-1], stays[-1])
        best = int(np.argmax((path_scores * chances).sum(axis=1)))
        path = tuple(self.paths[best][self.paths[best] >= 0].tolist())
        gains = dict(zip(path, (np.diff(path_scores[best]) / people[0]).tolist(), strict=False))
        return HistoryPlan(self, few, stop / each[:, 0], q / each, next_only, gains)


@dataclass(frozen=True, eq=False)
class HistoryPlan:
    """What to ask after each of M histories, for one mix of domains.

    `few`: bool[M], where `path` goes on. `stop`: float64[M], expected objective of answering now. `q`,
    `after`: float64[M, n], of asking a question and going on by the plan, and of answering right after it;
    -inf where it was asked. `path`: the best way to ask everybody the same, in order, {attribute: what it
    adds there}.
    """

    values: HistoryValues
    few: np.ndarray
    stop: np.ndarray
    q: np.ndarray
    after: np.ndarray
    path: Mapping[int, float]

    def find(self, answers: Mapping[int, int]) -> int | None:
        """Return the place of the history `answers` ({attribute: code}), None where too few gave them.

        A question that was declined tells nothing unless the plan knows what declining tells.
        """
        for told in (answers, {a: code for a, code in answers.items() if code != DECLINED}):
            row = np.full(len(self.values.names), NOT_ASKED, np.int8)
            for attribute, code in told.items():
                row[attribute] = code
            place = self.values.places.get(row.tobytes())
            if place is not None and not self.few[place]:
                return place
        return None

    def best(self, worth: np.ndarray, may_ask: np.ndarray) -> int | None:
        """Return the best question by `worth` (float64[n]) among `may_ask` (bool[n]); ties: the lowest."""
        left = np.where(may_ask, worth, -np.inf)
        return int(np.flatnonzero(left >= left.max() - TIE)[0]) if np.isfinite(left.max()) else None


def save_histories(path: str | Path, values: HistoryValues, provenance: Mapping[str, Any]) -> None:
    """Write `values` at once, with what made them: a reader sees the old file or the whole new one."""
    path = Path(path)
    head = {
        "format": FORMAT,
        "names": values.names,
        "levels": values.levels,
        "domains": values.domains,
        "budget": values.budget,
        "cost_weight": values.cost_weight,
        "dropout": values.dropout,
        "min_profiles": values.min_profiles,
        "provenance": dict(provenance),
    }
    arrays: dict[str, Any] = {name: getattr(values, name) for name in ARRAYS}
    with replacing(path) as file:
        np.savez_compressed(file, head=np.array(json.dumps(head)), **arrays)


def load_histories(path: str | Path) -> HistoryValues:
    """Read a file of `save_histories`.

    Raises
    ------
    UserError
        one line: no such file, another format, or arrays that do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(str(file["head"]))
            arrays = {name: file[name] for name in ARRAYS}
        if head["format"] != FORMAT:
            raise UserError(f"{path}: format {head['format']!r}, expected {FORMAT!r}; plan again")
        values = HistoryValues(
            tuple(head["names"]),
            tuple(map(tuple, head["levels"])),
            tuple(head["domains"]),
            int(head["budget"]),
            float(head["cost_weight"]),
            float(head["dropout"]),
            float(head["min_profiles"]),
            **arrays,
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, expected histories ({FILE_NAME})") from None
    except ARCHIVE_DAMAGE as error:
        raise UserError(f"{path}: not readable as histories ({type(error).__name__}); plan again") from None
    _check_shapes(values, path)
    return values


def _check_shapes(values: HistoryValues, path: str | Path) -> None:
    m, n, d, p = len(values.codes), len(values.names), len(values.domains), len(values.paths)
    wanted = {
        "codes": (m, n),
        "people": (m, d),
        "stop": (m, d),
        "fallback": (m, d),
        "rest": (m, n, d),
        "after": (m, n, d),
        "paths": (p, values.budget),
        "path_scores": (p, values.budget + 1, d),
    }
    for name, shape in wanted.items():
        found = getattr(values, name).shape
        if found != shape or not m or not p:
            raise UserError(f"{path}: array {name} has shape {found}, expected {shape}; plan again")
