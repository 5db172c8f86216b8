"""Profiles by ancestral sampling: the declared tables, the published graph, the rules, the checks' power."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from envs import UserError
from envs.schema.attribute import UNKNOWN
from experiments.penguin.consistency_rules import check_rules
from experiments.penguin.generating.chi_square import chi_square, upper_tail
from experiments.penguin.generating.profile_sampling import (
    PUBLISHED_GRAPH,
    ProfileTables,
    as_values,
    balanced_situations,
)
from experiments.penguin.published_values import (
    DATA,
    code_of,
    published_values,
    situation_groups,
    value_names,
)

NAMES = published_values().names


@pytest.fixture(scope="module")
def tables():
    return ProfileTables()


@pytest.fixture(scope="module")
def drawn(tables):
    situations = balanced_situations(14_000)
    return tables.sample(situations, np.random.default_rng(0)), situations


def domains_of(situations):
    return np.array([situation_groups()[i][2] for i in situations])


def codes_of(profiles):
    """Return int8[n, 10], the printed value of each attribute of each profile."""
    rows = [[code_of(name, p[name]) if name in p else UNKNOWN for name in NAMES] for p in profiles]
    return np.array(rows, np.int8)


def column(codes, name):
    return codes[:, NAMES.index(name)]


def test_the_six_rules_hold_for_all_14_000(drawn):
    codes, situations = drawn
    assert all(rule.holds for rule in check_rules(codes, domains_of(situations)))


def test_profiles_follow_the_declared_tables(tables, drawn):
    found = chi_square(tables, *drawn)
    assert {c.attribute for c in found} == set(PUBLISHED_GRAPH)
    for row in found:
        assert row.impossible == 0
        assert row.p > 0.001
        assert row.degrees > 0
        assert math.isclose(row.p, stats.chi2.sf(row.statistic, row.degrees), abs_tol=0.003)


def test_chi_square_sees_one_attribute_drawn_from_elsewhere(tables, drawn):
    codes, situations = drawn[0].copy(), drawn[1]
    rng = np.random.default_rng(1)
    mental = column(codes, "Mental Health Status")
    mental[:] = mental[rng.permutation(len(mental))]  # the same shares, and none of the dependence
    found = {c.attribute: c for c in chi_square(tables, codes, situations)}
    assert found["Mental Health Status"].p < 1e-6
    assert found["Emotional State"].impossible > 0  # despair without severe depression
    assert found["Age"].p > 0.001


def test_a_declared_probability_by_hand(tables):
    """The weights 2, 3, 2.5, 1.5, 1 times 4, 1.5, 0.3, 0.1, 0.05 of education."""
    weights = np.array([2 * 4, 3 * 1.5, 2.5 * 0.3, 1.5 * 0.1, 1 * 0.05])
    found = tables.probabilities("Age", ("education/Academic Performance",))
    np.testing.assert_allclose(found, weights / weights.sum())
    phd = value_names("Education Level").index("PhD")
    assert tables.probabilities("Education Level", ("health/Physical Health", "18-24"))[phd] == 0.0


def test_the_first_people_do_not_depend_on_how_many_follow(tables, drawn):
    few = tables.sample(balanced_situations(300), np.random.default_rng(0))
    np.testing.assert_array_equal(few, drawn[0][:300])
    other = tables.sample(balanced_situations(300), np.random.default_rng(1))
    assert (few != other).any(axis=1).mean() > 0.9


def test_all_situations_have_as_many_people():
    assert set(np.bincount(balanced_situations(1400)).tolist()) == {10}
    assert len(situation_groups()) == 140


@pytest.mark.parametrize("people", [7, 14, 35, 141])
def test_few_people_are_spread_over_domains_and_groups(people):
    placed = [situation_groups()[i] for i in balanced_situations(people)]
    for part, kinds in ((1, 14), (2, 7)):
        counts = Counter(row[part] for row in placed)
        assert max(counts.values()) <= -(-people // kinds)
        assert len(counts) == min(people, kinds)


def test_parents_come_before_their_children():
    seen = {"situation"}
    for name, parents in PUBLISHED_GRAPH.items():
        assert set(parents) <= seen
        seen.add(name)
    assert seen == {"situation", *NAMES}


def test_printed_values_read_as_themselves(drawn):
    profiles = as_values(drawn[0][:500])
    np.testing.assert_array_equal(codes_of(profiles), drawn[0][:500])
    for name in NAMES:
        assert [code_of(name, v) for v in value_names(name)] == list(range(len(value_names(name))))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("Age", "35-44 years", "35-44"),
        ("Age", "67", "55+"),
        ("Age", "twelve", None),
        ("Marital Status", "recently widowed", "Widowed"),
        ("Education Level", "Bachelor's degree", "Bachelor's"),
        ("Past Self-Harm History", "No", "None"),
        ("Gender", "xyz", None),
    ],
)
def test_free_text(name, text, value):
    assert code_of(name, text) == (-1 if value is None else value_names(name).index(value))


def person(**changes):
    base = {
        "Age": "25-34",
        "Marital Status": "Married",
        "Profession": "teacher",
        "Economic Status": "Stable",
        "Health Status": "Good",
        "Education Level": "Master's",
        "Mental Health Status": "None",
        "Past Self-Harm History": "None",
        "Emotional State": "anger",
    }
    return base | changes


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("1", {"Age": "18-24", "Education Level": "PhD"}),
        ("5a", {"Emotional State": "despair"}),
        ("5b", {"Emotional State": "happiness"}),
        ("6", {"Profession": "legal", "Economic Status": "Severe Difficulty"}),
    ],
)
def test_each_violation_is_counted_by_its_rule_alone(rule, changes):
    people = [person(), person(**changes), person()]
    found = check_rules(codes_of(people), np.array(["health"] * 3))
    counts = {r.rule.split()[0]: r.violations for r in found if hasattr(r, "violations")}
    assert counts == dict.fromkeys(["1", "5a", "5b", "6"], 0) | {rule: 1}


def test_an_unread_value_is_no_violation_and_not_counted_as_kept():
    found = check_rules(codes_of([person(Age="?")]), np.array(["health"]))
    assert (found[0].violations, found[0].n) == (0, 0)


def test_rules_that_compare_see_the_reverse():
    ill = [person(**{"Age": "25-34", "Health Status": "Serious Illness"})] * 5 + [person(Age="55+")] * 5
    single = [person(**{"Marital Status": "Single"})] * 8 + [person()] * 2
    for people, domain, number in ((ill, "health", "2"), (single, "relationship", "3")):
        found = check_rules(codes_of(people), np.array([domain] * len(people)))
        assert [r.holds for r in found if r.rule.startswith(number)] == [False]


@pytest.mark.parametrize("degrees", [1, 3, 10, 200])
@pytest.mark.parametrize("p", [0.9, 0.5, 0.05, 0.01])
def test_upper_tail(degrees, p):
    assert math.isclose(
        upper_tail(stats.chi2.isf(p, degrees), degrees), p, abs_tol=0.015 if degrees > 1 else 0.04
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("18-24: 2,", "17-24: 2,", "Age: found '17-24', expected one of"),
        ("{Male: 48,", "{Male: -48,", "Gender: found a weight below 0"),
        ("given: {situation: {}}", "given: {Age: {}}", "Gender: given: found Age, expected situation"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, old, new, reason):
    text = (DATA / "profile_tables.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "tables.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=reason):
        ProfileTables(tmp_path / "tables.yaml")
