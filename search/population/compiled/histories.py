"""Arrays of the tree of answer histories, for the compiled tree search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ROOT = 0
NONE = -1
"""In the place of a row or an outcome: there is none yet."""
N_CODES = 128
"""Room for the codes -1 to 126 of an int8 with at most 127 levels."""


class HistoryRules(NamedTuple):
    """What the kernels need to know of a problem.

    `few`: probability below which a node goes on with the fallback; 0 = never. `dropout`: chance that the
    person stops answering before a question.
    """

    budget: int
    n_attributes: int
    exploration: float
    decline_rate: float
    few: float
    dropout: float


class People(NamedTuple):
    """The population: `codes`: int8[N, n]; `penalty`: float64[n], weighted costs; `fallback`: int64[k].

    `params`, `starts`, `askable`: see `search.population.set_table.Surfaces`.
    """

    codes: np.ndarray
    penalty: np.ndarray
    fallback: np.ndarray
    params: np.ndarray
    starts: np.ndarray
    askable: np.ndarray


class Histories(NamedTuple):
    """A graph of M histories, R of them opened, with K outcomes of questions and W ways to come about.

    `size`: int64[4], how many nodes, rows, outcomes and ways are in use. `bounds`: float64[2], least and
    greatest finite value of stopping so far. `counts`: int64[N_CODES], zero between calls.
    Nodes: `asked` uint64[M]; `codes` int8[M, n], of what was asked; `start`, `length` int64[M], the node's
    ways; `weight` float64[M], probability of coming here; `stop`, `value` float64[M]; `row` int64[M], NONE
    until opened; `solved` bool[M]; `visits` int64[M]. `slots`: int64, open addressing, node + 1 or 0.
    Rows, one an opened node: `q` float64[R, n]; `tries` int64[R, n]; `first`, `number` int64[R, n], the
    outcomes of a question, NONE until expanded; `done` bool[R, n].
    `child`: int64[K], node of an outcome. `profile` int64[W], `told` uint64[W], `mass` float64[W]: the ways.
    """

    size: np.ndarray
    bounds: np.ndarray
    counts: np.ndarray
    asked: np.ndarray
    codes: np.ndarray
    start: np.ndarray
    length: np.ndarray
    weight: np.ndarray
    stop: np.ndarray
    value: np.ndarray
    row: np.ndarray
    solved: np.ndarray
    visits: np.ndarray
    slots: np.ndarray
    q: np.ndarray
    tries: np.ndarray
    first: np.ndarray
    number: np.ndarray
    done: np.ndarray
    child: np.ndarray
    profile: np.ndarray
    answered: np.ndarray
    mass: np.ndarray


def new_histories(n_attributes: int, nodes: int, rows: int, ways: int) -> Histories:
    """Return an empty graph with room for so many nodes (and outcomes), opened nodes and ways."""
    n_slots = 1 << (2 * nodes).bit_length()
    return Histories(
        size=np.zeros(4, np.int64),
        bounds=np.array([np.inf, -np.inf]),
        counts=np.zeros(N_CODES, np.int64),
        asked=np.zeros(nodes, np.uint64),
        codes=np.zeros((nodes, n_attributes), np.int8),
        start=np.zeros(nodes, np.int64),
        length=np.zeros(nodes, np.int64),
        weight=np.zeros(nodes),
        stop=np.zeros(nodes),
        value=np.zeros(nodes),
        row=np.full(nodes, NONE, np.int64),
        solved=np.zeros(nodes, np.bool_),
        visits=np.zeros(nodes, np.int64),
        slots=np.zeros(n_slots, np.int64),
        q=np.full((rows, n_attributes), -np.inf),
        tries=np.zeros((rows, n_attributes), np.int64),
        first=np.full((rows, n_attributes), NONE, np.int64),
        number=np.zeros((rows, n_attributes), np.int64),
        done=np.zeros((rows, n_attributes), np.bool_),
        child=np.zeros(4 * nodes, np.int64),
        profile=np.zeros(ways, np.int64),
        answered=np.zeros(ways, np.uint64),
        mass=np.zeros(ways),
    )


def grown(old: Histories, n_attributes: int) -> Histories:
    """Return a graph of twice the room that holds what `old` holds."""
    new = new_histories(n_attributes, 2 * len(old.asked), 2 * len(old.q), 2 * len(old.profile))
    for name, array in old._asdict().items():
        if name != "slots":
            getattr(new, name)[: len(array)] = array
    return new
