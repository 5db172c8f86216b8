"""Index of stored plans: paths, scores and policy trees, retrieved by similarity to a query."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs import Schema, UserError, penguin_schema
from envs.judges.made_up import made_up_by
from envs.schema import MAX_ASKABLE
from policies.embeddings import Embedding, static_embedding
from policies.retrieval import Index
from search.path_table import PathTable, schema_of_run
from search.population.history_values import FILE_NAME as HISTORIES
from search.population.history_values import NOT_ASKED, HistoryValues, load_histories
from search.population.policy_tree import STOP
from search.population.policy_tree_file import FILE_NAME as TREES
from search.population.policy_tree_file import PolicyTrees, load_trees

SHIPPED = Path(__file__).parent / "data" / "paths.parquet"
"""A small table planned from the bundled scenarios with the SIMULATED judge, its policy trees and histories.

Planned under the mean of draws 1000 to 1019 of the judge, so that nobody's first question hangs on one draw:

    python -m experiments.train_mcts budget=4 judge=simulated_varied judge.model_seed=1000 judge.draws=20 \\
        search=exhaustive parallel=serial output_dir=shipped
    python -m experiments.plan_population budget=4 judge=simulated_varied judge.model_seed=1000 \\
        judge.draws=20 min_profiles=20 folds=0 pictures=none output_dir=shipped
"""
NO_ATTRIBUTE = -1
"""Fills the places of a path that is shorter than the longest."""


@dataclass(frozen=True)
class Neighbours:
    """The K stored queries nearest to a query, nearest first.

    Attributes
    ----------
    rows : int64[K], rows of the table
    similarity : float64[K], cosine
    paths : int64[K, B], schema indices in the order of asking, -1 beyond a path's end
    scores : float64[K, B + 1], mean score of each prefix, the first with nothing asked; NaN = unscored, or
        beyond the path's end
    domains : tuple[str, ...] of K
    """

    rows: np.ndarray
    similarity: np.ndarray
    paths: np.ndarray
    scores: np.ndarray
    domains: tuple[str, ...]

    def weights(self, temperature: float) -> np.ndarray:
        """Return float64[K], sum 1: the softmax of similarity / `temperature`."""
        if not len(self.similarity):
            return np.zeros(0)
        raw = np.exp((self.similarity - self.similarity.max()) / temperature)
        return raw / raw.sum()

    def domain_shares(self, temperature: float) -> dict[str, float]:
        """Return {domain: total weight of its neighbours}, sum 1."""
        total: dict[str, float] = {}
        for name, weight in zip(self.domains, self.weights(temperature), strict=True):
            total[name] = total.get(name, 0.0) + float(weight)
        return total


class PlanIndex:
    """A path table as arrays, with the index of its queries.

    Attributes
    ----------
    schema : of the attributes in the paths
    index : of the N queries
    paths : int16[N, B], schema indices, -1 beyond a path's end
    scores : float64[N, B + 1], NaN as in `Neighbours`
    budget : the most questions any stored plan was allowed
    source : where the table came from, for messages and for `Agent.from_json`
    simulated : whether any stored score comes from a simulated judge
    made_up : the attributes of the schema whose gains such a judge made up
    ranking : the n attributes, by what they add over all stored paths together, most first
    trees : plans that branch on answers, for each domain, or None
    histories : what asking is worth after each set of answers, by domain, or None
    """

    def __init__(
        self,
        table: PathTable,
        index: Index,
        schema: Schema | None = None,
        source: str = "",
        trees: PolicyTrees | None = None,
        histories: HistoryValues | None = None,
    ) -> None:
        """Take a table and the index of its queries.

        Raises
        ------
        UserError
            an empty table, an index of another length, an attribute that `schema` lacks, foreign trees.
        """
        if not len(table):
            raise UserError(f"{source or 'paths'}: the table has no row, expected planned paths")
        if len(index) != len(table):
            raise UserError(f"index: found {len(index)} queries, expected the table's {len(table)}")
        self.schema = schema or penguin_schema()
        self.index = index
        self.source = source
        self.table = table
        import pyarrow.compute as pc  # a third of a second, at the first table

        lengths, names = _flat(table.table["path"])
        self.paths = _padded(lengths, _schema_indices(names, self.schema, source), NO_ATTRIBUTE)
        lengths, scores = _flat(table.table["path_scores"])
        self.scores = _padded(lengths, scores.to_numpy(zero_copy_only=False).astype(np.float64), np.nan)
        if self.scores.shape[1] != self.paths.shape[1] + 1:
            raise UserError(
                f"{source or 'paths'}: a path and its scores differ in length, expected one more score"
            )
        domains = _one(table.table["domain"].dictionary_encode())
        self._domain_names = tuple(domains.dictionary.to_pylist())
        self._domains = domains.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        self.budget = int(pc.max(table.table["budget"]).as_py())
        self.simulated = bool(pc.any(pc.starts_with(table.table["judge"], "simulated")).as_py())
        self.made_up = made_up_by(pc.unique(table.table["judge"]).to_pylist(), self.schema)
        self.ranking = _ranking(self.paths, self.scores, len(self.schema))
        self.trees = None if trees is None else _trees_on(trees, self.schema, source)
        self.histories = None if histories is None else _histories_on(histories, self.schema, source)

    def __len__(self) -> int:
        return len(self.paths)

    @classmethod
    def load(
        cls,
        paths: str | Path | None = None,
        embedding: Embedding | None = None,
        schema: Schema | None = None,
        index: str | Path | None = None,
    ) -> PlanIndex:
        """Read a run folder or a Parquet file (default: the table that ships with the package).

        Policy trees and the run's schema are read too where their files lie beside the table; `schema` is for
        a table without one, or to take another (default: PENGUIN's).
        `index`: a file to keep the vectors in; read when it exists (and checked), else written. Without it
        the queries are embedded anew (about 10,000 a second with the default embedding).

        Raises
        ------
        UserError
            see `PathTable.load` and `Index.load`.
        """
        source = SHIPPED if paths is None else Path(paths)
        table = PathTable.load(source)
        folder = source if source.is_dir() else source.parent
        trees = load_trees(folder / TREES) if (folder / TREES).exists() else None
        histories = load_histories(folder / HISTORIES) if (folder / HISTORIES).exists() else None
        if schema is None:
            schema = schema_of_run(source)
        embedding = embedding or static_embedding()
        queries = table.table["query"].to_pylist()
        if index is not None and Path(index).exists():
            made = Index.load(index, embedding, queries)
            return cls(table, made, schema, str(source), trees, histories)
        made = Index.build(embedding, queries)
        if index is not None:
            made.save(index)
        return cls(table, made, schema, str(source), trees, histories)

    def take(self, rows: np.ndarray) -> PlanIndex:
        """Return the index of the rows `rows` (int64[M]) alone, without embedding anything again."""
        table = PathTable(self.table.table.take(rows), self.table.provenance)
        index = self.index.take(rows, self.queries(rows))
        return PlanIndex(table, index, self.schema, self.source, self.trees, self.histories)

    def neighbours(self, query: str, k: int, domain: str | None = None) -> Neighbours:
        """Return the `k` stored queries nearest to `query` (fewer when fewer are stored).

        `domain`: look at the rows of that domain alone; at all rows where it has none.
        """
        among = None
        if domain in self._domain_names:
            among = np.flatnonzero(self._domains == self._domain_names.index(str(domain)))
        return self.rows(*self.index.nearest(query, k, among))

    def rows(self, rows: np.ndarray, similarity: np.ndarray) -> Neighbours:
        """Return the stored rows `rows` (int64[K]) as neighbours of the given similarity (float64[K])."""
        return Neighbours(
            rows,
            similarity,
            self.paths[rows].astype(np.int64),
            self.scores[rows],
            tuple(self._domain_names[code] for code in self._domains[rows]),
        )

    def queries(self, rows: np.ndarray) -> list[str]:
        """Return the stored queries of `rows` (int64[K])."""
        return self.table.table["query"].take(rows).to_pylist()


def _one(column: Any) -> Any:
    import pyarrow as pa

    found = column.combine_chunks()
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _flat(column: Any) -> tuple[np.ndarray, Any]:
    """Return (length of each list int64[N], all members in a row)."""
    import pyarrow.compute as pc

    lengths = _one(pc.list_value_length(column)).fill_null(0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64), _one(pc.list_flatten(column))


def _schema_indices(names: Any, schema: Schema, source: str) -> np.ndarray:
    coded = names.dictionary_encode()
    known = coded.dictionary.to_pylist()
    for name in known:
        if name not in schema.names:
            raise UserError(
                f"{source or 'paths'}: attribute {name!r} is in a path, expected one of the schema: "
                f"{', '.join(schema.names[:10])}{', ...' if len(schema) > 10 else ''}"
            )
    places = np.array([schema.index(name) for name in known] or [0], dtype=np.int16)
    return places[coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)]


def _ranking(paths: np.ndarray, scores: np.ndarray, n_attributes: int) -> tuple[int, ...]:
    """Return the attributes by the sum of what they added, most first; ties in schema order."""
    steps = np.diff(scores, axis=1)
    use = (paths != NO_ATTRIBUTE) & ~np.isnan(steps)
    added = np.bincount(paths[use].astype(np.int64), weights=steps[use], minlength=n_attributes)
    return tuple(np.argsort(-added, kind="stable").tolist())


def _places(
    names: tuple[str, ...], levels: tuple[tuple[str, ...], ...], schema: Schema, what: str
) -> np.ndarray:
    """Return int64[n], the schema indices of a plan's attributes: all, or a part where they are too many."""
    own = {a.name: tuple(level.name for level in a.levels) for a in schema.attributes}
    ordered = tuple(name for name in schema.names if name in names)
    whole_or_part = len(ordered) == len(schema) or len(schema) > MAX_ASKABLE
    if not whole_or_part or (names, levels) != (ordered, tuple(own[name] for name in ordered)):
        raise UserError(
            f"{what} has other attributes or levels than the schema, expected the same in the same order"
        )
    return np.array([schema.index(name) for name in ordered])


def _levels(schema: Schema) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(level.name for level in a.levels) for a in schema.attributes)


def _histories_on(plan: HistoryValues, schema: Schema, source: str) -> HistoryValues:
    """Return `plan` over all attributes of `schema`; those that it does not know cannot be asked by it."""
    what = f"{source or 'trees'}: the file of histories"
    places = _places(plan.names, plan.levels, schema, what)
    if len(places) == len(schema):
        return plan
    (m, _, d), n = plan.rest.shape, len(schema)
    codes = np.full((m, n), NOT_ASKED, plan.codes.dtype)
    rest, after = np.full((2, m, n, d), np.nan, plan.rest.dtype)
    codes[:, places], rest[:, places], after[:, places] = plan.codes, plan.rest, plan.after
    paths = np.where(plan.paths < 0, NO_ATTRIBUTE, places[plan.paths])
    return replace(
        plan, names=schema.names, levels=_levels(schema), codes=codes, rest=rest, after=after, paths=paths
    )


def _trees_on(trees: PolicyTrees, schema: Schema, source: str) -> PolicyTrees:
    """Return `trees` over all attributes of `schema`."""
    found = {}
    for group, tree in trees.trees.items():
        what = f"{source or 'trees'}: the policy tree of domain {tree.group!r}"
        place = _places(tree.names, tree.levels, schema, what).tolist()
        nodes = (n if n.attribute == STOP else replace(n, attribute=place[n.attribute]) for n in tree.nodes)
        found[group] = replace(
            tree,
            names=schema.names,
            levels=_levels(schema),
            nodes=tuple(nodes),
            fallback=tuple(place[a] for a in tree.fallback),
        )
    return replace(trees, trees=found)


def _padded(lengths: np.ndarray, flat: np.ndarray, fill: float) -> np.ndarray:
    """Return [N, longest] of the lists that `flat` holds one after the other, `fill` beyond their ends."""
    table = np.full((len(lengths), int(lengths.max(initial=0))), fill, dtype=flat.dtype)
    table[np.arange(table.shape[1]) < lengths[:, None]] = flat
    return table
