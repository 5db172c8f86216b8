"""Lines of plans: nothing is lost on the way, damage is found, and rows come in the order of scenarios."""

import json
import math
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.loading.seen_ids import key_of
from search.path_table import COLUMNS, PathTable, save_groups
from search.plan_lines import batch_of, from_json, in_order, is_summed, rows_of
from search.planning import Failure, ScenarioPlan

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**63 - 1)
MAYBE = NUMBER | st.just(math.nan)


@st.composite
def plans(draw):
    path = draw(st.lists(TEXT, max_size=4, unique=True))
    scores = [*draw(st.lists(st.none() | NUMBER, min_size=len(path), max_size=len(path))), draw(NUMBER)]
    return ScenarioPlan(
        scenario_id=draw(TEXT), domain=draw(TEXT), query=draw(TEXT), path=tuple(path),
        path_scores=tuple(scores), score=scores[-1], score_stderr=draw(MAYBE), n_samples=draw(COUNT),
        search_score=draw(MAYBE), budget=draw(COUNT), num_simulations=draw(COUNT), judge_calls=draw(COUNT),
        search=draw(TEXT), judge=draw(TEXT), seed=draw(COUNT), score_full=draw(MAYBE),
        search_calls=draw(COUNT), full_calls=draw(COUNT), requests=draw(COUNT), cache_hits=draw(COUNT),
        invalid_rankings=draw(COUNT), stopped=draw(TEXT),
        alternatives=tuple(draw(st.lists(st.tuples(st.integers(0, 9), TEXT, st.integers(-1, 99), MAYBE)))),
    )  # fmt: skip


def told(plan):
    """All of a plan; NaN is equal to itself."""
    return repr(plan)


def plain(table):
    return [{k: "nan" if v != v else v for k, v in row.items()} for row in table.to_pylist()]


@settings(max_examples=60, deadline=None)
@given(st.lists(plans(), min_size=1, max_size=4))
def test_lines_and_rows_hold_all_of_a_plan(made):
    lines = batch_of(made).lines
    assert [told(from_json(json.loads(line))) for line in lines.split(b"\n")[:-1]] == list(map(told, made))
    rows = rows_of(lines)
    assert plain(rows.select(list(COLUMNS))) == plain(PathTable.from_records(made, {}).table)
    assert [repr(v) for v in rows["score_full"].to_pylist()] == [repr(p.score_full) for p in made]
    assert rows["invalid_rankings"].to_pylist() == [p.invalid_rankings for p in made]


@settings(max_examples=60, deadline=None)
@given(plans(), st.data())
def test_a_turned_bit_is_found(made, data):
    line = batch_of([made]).lines
    assert is_summed(line) is True
    bit = data.draw(st.integers(0, 8 * (len(line) - 1) - 1))
    damaged = bytearray(line)
    damaged[bit // 8] ^= 1 << bit % 8
    assert is_summed(bytes(damaged)) is not True


def plan_of(number, **changes):
    values = {
        "scenario_id": f"s{number}", "domain": "health", "query": "q", "path": (), "path_scores": (3.0,),
        "score": 3.0 + number, "score_stderr": 0.0, "n_samples": 1, "search_score": 3.0, "budget": 4,
        "num_simulations": 10, "judge_calls": 1, "search": "mcts", "judge": "simulated", "seed": 0,
    }  # fmt: skip
    return ScenarioPlan(**{**values, **changes})


def test_a_line_of_an_earlier_release_has_no_sum():
    line = batch_of([plan_of(0)]).lines
    row = json.loads(line)
    del row["crc32"]
    assert is_summed(json.dumps(row).encode() + b"\n") is None


def test_a_batch_counts_plans_and_keeps_failures():
    failure = Failure("x", "judge", "no score")
    batch = batch_of([plan_of(0), failure, plan_of(1, judge_calls=5, requests=2)])
    assert (len(batch), batch.failures) == (3, (failure,))
    assert tuple(batch.totals) == (2, 6, 2, 7.0)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_rows_come_in_the_order_of_scenarios(size, tmp_path):
    numbers = list(range(100))
    random.Random(size).shuffle(numbers)
    planned = [n for n in numbers if n % 9]  # some failed
    parts = [planned[:30], planned[30:31], [*planned[31:], planned[3]], [500]]  # one twice, one of nobody
    blocks = [batch_of([plan_of(n) for n in part]).lines for part in parts]
    keys = np.array([key_of(f"s{n}") for n in range(100)], np.uint64)
    groups = list(in_order(blocks, keys, size))
    assert pa.concat_tables(groups)["scenario_id"].to_pylist() == [f"s{n}" for n in range(100) if n % 9]
    assert max(map(len, groups)) <= size
    save_groups((group.select(list(COLUMNS)) for group in groups), {}, tmp_path / "paths.parquet")
    expected = PathTable.from_records([plan_of(n) for n in range(100) if n % 9], {})
    assert PathTable.load(tmp_path / "paths.parquet").table.equals(expected.table)
