"""Golden trees: every node of small searches, kept in `golden/*.json`, small enough to check by hand.

Three attributes, budget 2, and these scores (a set is written as its members, `-` is the empty one):

    -: 2   0: 3   1: 2.5   2: 2   01: 3   02: 4.5   12: 3.5

`puct_max.json` by hand. c = 1 and the prior is uniform, so that an edge of the root (three to ask) scores Q
+ sqrt(N) / 3 / (1 + n), one of a single (two to ask) Q + sqrt(N) / 2 / (1 + n). Q is scaled to [0, 1]; an
edge not looked at has the Q of s(n) + the mean gain of its attribute so far. (Unscaled, with c times the
range instead, all comparisons come out the same.)

1. The root is scored: 2. Lowest = highest = 2, so that every Q is 0.
2. N = 1, all edges 1/3: the lowest index, 0, scores 3. Gain of 0: 1. V(-) = 3. Scores now range over 2..3.
3. N = 2, sqrt(2)/3 = .471. Edge 0: 1 + .471/2 = 1.236; edges 1 and 2: 0 + .471. Below 0: N = 1, base 1, no
   gains yet, both 1 + .5: the lowest, 01, scores 3. Gain of 1: 0. It is at the budget, so that it is
   exhausted.
4. N = 3, .577. Edge 0: 1 + .577/3 = 1.192; 1: .577; 2: .577. Below 0 only 2 is left: 02 scores 4.5. Gain of
   2: 1.5. V(0) = V(-) = 4.5; the range is 2..4.5 (a point is worth .4).
5. N = 4, .667. Edge 0 (n = 3): 1 + .667/4 = 1.167; 1: 0 + .667; 2: 1.5 * .4 + .667 = 1.267. 2 scores 2.
   Gain of 2: the mean of 1.5 and 0 = .75.
6. N = 5, .745. Edge 0: 1 + .745/4 = 1.186; but below 0 nothing is left, it is marked exhausted and the
   descent begins again. 1: .745; 2: 0 + .745/2 = .373. 1 scores 2.5. Gain of 1: the mean of 0 and .5 = .25.
7. N = 6, .816. 1: .5 * .4 + .816/2 = .608; 2: .816/2 = .408. Below 1: base .2; 0: .2 + 1 * .4 + .5 = 1.1;
   2: .2 + .75 * .4 + .5 = 1.0. 0 leads to 01, met before: V(1) = 3 at once, and exhausted, so that the next
   is 12: 3.5. V(1) = 3.5. All seven sets are scored.

The root's edges: 0 three times (steps 2, 3, 4), 1 twice (6, 7), 2 once (5); with its own score N = 7. 0 has
N = 3 (itself, 01, 02), 1 has N = 2 (itself, 12): that 01 was seen from 1 counts no visit.

The files are written by the naive twin, never by the code they test: `python tests/search/core/test_golden.py
--write`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.search.naive import NaiveSearch
from tests.search.search_cases import edges_of, mask_of, rows_of, searched, table_problem

FOLDER = Path(__file__).parent / "golden"
SCORES = {"-": 2.0, "0": 3.0, "1": 2.5, "2": 2.0, "01": 3.0, "02": 4.5, "12": 3.5}
GOLDEN = {
    "puct_max": {"selection": "puct", "backup": "max", "exploration": 1.0, "num_simulations": 7},
    "uct_max": {"selection": "uct", "backup": "max", "exploration": 0.5, "num_simulations": 6},
    "puct_mean": {"selection": "puct", "backup": "mean", "exploration": 1.0, "num_simulations": 8},
    "uct_mean": {"selection": "uct", "backup": "mean", "exploration": 0.5, "num_simulations": 8},
}


def named(members):
    return "".join(map(str, sorted(members))) or "-"


def table():
    """float64[8] by bitmask; the set of all three is over the budget, and never scored."""
    return np.array([SCORES.get(named(i for i in range(3) if m >> i & 1), np.nan) for m in range(8)])


def naive_tree(selection, backup, exploration, num_simulations):
    naive = NaiveSearch([], range(3), 2, exploration, uct=selection == "uct", mean=backup == "mean")
    naive.run(lambda s: SCORES[named(s)], num_simulations)
    return {
        named(here): {
            "score": node.score,
            "value": node.value,
            "visits": node.visits,
            "edge_visits": {str(a): n for a, n in sorted(node.edge_visits.items())},
        }
        for here, node in naive.nodes.items()
    }


def golden(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("compiled", [True, False], ids=["surface", "judge"])
@pytest.mark.parametrize("name", GOLDEN)
def test_the_tree_is_the_golden_one(name, compiled):
    kept = golden(name)
    assert kept["search"] == GOLDEN[name]
    assert kept["scores"] == SCORES
    tree, ran, order = searched(table_problem(table(), 2, compiled=compiled), batch_size=1, **GOLDEN[name])
    assert ran == GOLDEN[name]["num_simulations"]
    assert order == [mask_of(() if key == "-" else map(int, key)) for key in kept["nodes"]]
    rows = rows_of(tree)
    assert list(rows) == order
    for mask, node in zip(order, kept["nodes"].values(), strict=True):
        row = rows[mask]
        assert tree.node["score"][row] == node["score"]
        assert tree.node["value"][row] == pytest.approx(node["value"], abs=1e-12)
        assert tree.node["visits"][row] == node["visits"]
        assert {str(a): n for a, n in edges_of(tree, row).items()} == node["edge_visits"]


def test_the_golden_tree_is_the_one_derived_by_hand():
    nodes = golden("puct_max")["nodes"]
    assert list(nodes) == ["-", "0", "01", "02", "2", "1", "12"]
    found = {key: (n["value"], n["visits"], n["edge_visits"]) for key, n in nodes.items()}
    assert found == {
        "-": (4.5, 7, {"0": 3, "1": 2, "2": 1}),
        "0": (4.5, 3, {"1": 1, "2": 1}),
        "01": (3.0, 1, {}),
        "02": (4.5, 1, {}),
        "2": (2.0, 1, {}),
        "1": (3.5, 2, {"2": 1}),
        "12": (3.5, 1, {}),
    }


def write():
    FOLDER.mkdir(exist_ok=True)
    for name, options in GOLDEN.items():
        kept = {"search": options, "scores": SCORES, "nodes": naive_tree(**options)}
        (FOLDER / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    write()
