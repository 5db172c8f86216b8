"""Jobs of a sweep compared over the same scenarios."""

import math

import numpy as np
import pytest

from envs import UserError
from experiments.comparison import paired
from experiments.comparison.paired import compare, read_scores


def scores(values, start=0):
    return {f"s{start + i}": float(value) for i, value in enumerate(values)}


def test_a_constant_difference_is_certain():
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 4, 50)
    (pair,) = compare({"a": scores(base + 0.25), "b": scores(base)})
    assert (pair.job, pair.other, pair.n, pair.verdict) == ("a", "b", 50, "better")
    # Scenarios differ by far more than the jobs: only a paired interval is as narrow as this.
    assert (pair.difference, pair.low, pair.high) == pytest.approx((0.25, 0.25, 0.25))


def test_noise_without_a_difference_is_undecided():
    rng = np.random.default_rng(1)
    base = rng.uniform(1, 4, 200)
    noise = rng.normal(0, 0.2, 200)
    (pair,) = compare({"a": scores(base + noise - noise.mean()), "b": scores(base)})
    assert pair.verdict == "undecided"
    half = 1.96 * noise.std() / math.sqrt(200)
    assert (pair.high - pair.low) / 2 == pytest.approx(half, rel=0.15)


def test_only_common_scenarios_count_whatever_their_order():
    first, second = scores([3, 3, 3, 3]), dict(reversed(scores([1, 2, 2, 2, 5]).items()))
    del first["s0"]
    (pair,) = compare({"a": first, "b": second})
    assert (pair.n, pair.difference) == (3, 1.0)


def test_every_pair_in_the_order_of_the_jobs():
    pairs = compare({"c": scores([3]), "a": scores([2]), "b": scores([1])})
    assert [(p.job, p.other, p.difference) for p in pairs] == [("c", "a", 1), ("c", "b", 2), ("a", "b", 1)]


def test_nothing_in_common_is_no_number():
    (pair,) = compare({"a": scores([3]), "b": scores([3], start=5)})
    assert pair.n == 0
    assert math.isnan(pair.difference)
    assert pair.verdict == "-"


def test_queries_of_one_person_are_drawn_together():
    """The same 200 differences: 10 people of 20 equal ones each tell less than 200 people."""
    people = np.random.default_rng(2).normal(0.0, 1.0, 10)
    values = [(f"{p:05d}-{q:02d}", f"x{p}-{q}", people[p]) for p in range(10) for q in range(20)]
    widths = []
    for column in (0, 1):
        first = {row[column]: 3 + row[2] for row in values}
        (pair,) = compare({"a": first, "b": dict.fromkeys(first, 3.0)})
        widths.append(pair.high - pair.low)
    assert widths[0] == pytest.approx(math.sqrt(20) * widths[1], rel=0.25)


def test_jobs_without_a_table_are_left_out_and_foreign_ones_refused(tmp_path):
    (tmp_path / "0").mkdir()
    assert read_scores(tmp_path, ["0"]) == {}
    (tmp_path / "0" / paired.TABLE).write_text("no table")
    with pytest.raises(UserError, match=r"0/paths.parquet: cannot be read"):
        read_scores(tmp_path, ["0"])
