"""Which question next: the orders worked out by hand; never what is known or declined."""

import math

import numpy as np
import pytest

from envs import UserError
from policies.abstention import ValueAbstention
from policies.acquisition import AutoAcquisition, ConditionalAcquisition, NearestAcquisition, VoteAcquisition
from search.population.policy_tree import DECLINED, STOP, PolicyNode, PolicyTree
from search.population.policy_tree_file import PolicyTrees
from tests.policies.policy_cases import RECORDS, SCHEMA, dialogue, name, plan_index, record


@pytest.mark.parametrize(
    ("context", "declined", "expected"),
    [("", "", "A"), ("A", "", "B"), ("", "A", "B"), ("B", "", "A"), ("AB", "", "C"), ("A", "B", "C")],
)
def test_nearest_follows_the_nearest_path_then_the_next_one(context, declined, expected):
    """The nearest is AB; then BA, which has nothing new; then C."""
    assert name(NearestAcquisition().choose(dialogue("one two four", context, declined))) == expected


def test_nearest_reports_its_paths_own_step():
    choice = NearestAcquisition().choose(dialogue("one two", "A"))
    assert choice.gain == pytest.approx(0.2)
    assert choice.stderr == 0.0


@pytest.mark.parametrize("acquisition", [NearestAcquisition(), VoteAcquisition()])
def test_beyond_the_paths_the_whole_table_is_asked(acquisition):
    """Ranking of the table: A, C, B, D."""
    choice = acquisition.choose(dialogue("six seven", k=1))
    assert (name(choice), choice.gain) == ("A", 0.0)
    assert name(acquisition.choose(dialogue("six seven", "A", "C", k=1))) == "B"


def test_vote_takes_what_is_gained_most_by_all_together():
    """AB gains .8 from A, two of BA gain .5 from B each and next to nothing from A after it."""
    rows = [
        record("one", "A", (3.0, 3.8), number=0),
        record("one", "B", (3.0, 3.5), number=1),
        record("one", "B", (3.0, 3.5), number=2),
    ]
    choice = VoteAcquisition().choose(dialogue("one", found=plan_index(rows)))
    assert name(choice) == "B"
    assert choice.gain == pytest.approx(1 / 3)
    assert name(VoteAcquisition().choose(dialogue("one", "B", found=plan_index(rows)))) == "A"


def test_vote_breaks_ties_in_schema_order():
    rows = [record("one", "C", (3.0, 3.5), number=0), record("one", "B", (3.0, 3.5), number=1)]
    assert name(VoteAcquisition().choose(dialogue("one", found=plan_index(rows)))) == "B"


def test_vote_is_blind_to_far_neighbours_at_a_low_temperature():
    rows = [
        record("one", "A", (3.0, 3.2), number=0),
        *(record("two", "B", (3.0, 4.9), number=i) for i in (1, 2)),
    ]
    found = plan_index(rows)
    assert name(VoteAcquisition(0.05).choose(dialogue("one", found=found))) == "A"
    assert name(VoteAcquisition(100.0).choose(dialogue("one", found=found))) == "B"


@pytest.mark.parametrize("acquisition", [NearestAcquisition(), VoteAcquisition()])
def test_never_twice_and_never_what_is_known(acquisition):
    for query in ("one two", "four five", "eight", "six"):
        for taken in range(1 << 4):
            names = [n for i, n in enumerate(SCHEMA.names) if taken >> i & 1]
            for cut in range(len(names) + 1):
                choice = acquisition.choose(dialogue(query, names[:cut], names[cut:]))
                assert name(choice) not in names
                assert (choice.attribute is None) == (taken == 15)


@pytest.mark.parametrize("temperature", [0, -1, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(UserError, match="temperature"):
        VoteAcquisition(temperature)


def tree(group, first=0, low=1, high=STOP):
    """Ask `first`; after level low ask `low`, after high `high`, after nothing told the fallback D."""
    nodes = [PolicyNode(first, 1.0, 3.6, 3.0, {0: 1, 1: 2})]
    below = []
    for attribute, chance in ((low, 0.75), (high, 0.25)):
        children = {} if attribute == STOP else {0: 3 + len(below)}
        nodes.append(PolicyNode(attribute, chance, 3.7, 3.7 if attribute == STOP else 3.4, children))
        if children:
            below.append(PolicyNode(STOP, chance, 3.9, 3.9))
    levels = tuple(tuple(level.name for level in a.levels) for a in SCHEMA.attributes)
    return PolicyTree(SCHEMA.names, levels, 3, (*nodes, *below), (3,), group)


TREES = PolicyTrees({"health": tree("health"), "all": tree("all", first=2, low=3)}, {})


def conditional(context, declined=(), query="one two", k=2, **options):
    found = plan_index(trees=TREES)
    options = {"domain": "health", **options}
    return ConditionalAcquisition().choose(dialogue(query, context, declined, found, k, **options))


def test_conditional_goes_by_the_values():
    assert name(conditional({})) == "A"
    assert name(conditional({"A": "quite low"})) == "B"
    assert stops(conditional({"A": "high"}))
    assert stops(conditional({"A": "low", "B": "low"}))


def stops(choice):
    """Tell whether the tree stops; the question is for those who ask on."""
    assert choice.net
    return choice.gain == 0 and ValueAbstention().should_stop(None, choice) == (True, choice.reason)


def test_conditional_where_its_tree_stops_names_the_next_of_the_fallback_then_of_the_table():
    assert name(conditional({"A": "high"})) == "D"
    ranked = [a for a in plan_index(trees=TREES).ranking if a not in (0, 3)]
    assert conditional({"A": "high", "D": "low"}).attribute == ranked[0]
    assert conditional({"A": "high"}, ("D",)).attribute == ranked[0]
    everything = conditional(dict.fromkeys(SCHEMA.names, "low") | {"A": "high"})
    assert everything.attribute is None
    assert "stops here" in everything.reason


def test_conditional_takes_declined_and_unreadable_answers_alike():
    assert name(conditional({}, ("A",))) == "D"
    assert name(conditional({"A": "purple"})) == "D"
    assert stops(conditional({"A": "purple", "D": "low"}))


def test_conditional_starts_from_what_the_query_reveals():
    assert name(conditional({"B": "low"})) == "A"
    assert name(conditional({"A": "low", "C": "high"})) == "B"


def test_without_histories_the_tree_is_that_of_the_domain_the_caller_knows_else_of_all():
    assert name(conditional({}, query="eight", domain="health")) == "A"
    assert name(conditional({}, query="one two", domain="education")) == "C"  # education has no tree
    assert name(conditional({}, query="one two", domain=None)) == "C"  # neighbours pick nobody's tree


def test_conditional_reports_what_going_on_adds_net_of_costs():
    choice = conditional({})
    assert choice.net
    assert choice.gain == pytest.approx(0.6)
    assert math.isnan(conditional({}, ("A",)).gain)


@pytest.mark.parametrize("trees", [None, TREES])
def test_auto_follows_trees_where_there_are_any_and_else_the_vote(trees):
    there = dialogue("one two", {"A": "low"}, (), plan_index(trees=trees), 2, "health")
    wanted = VoteAcquisition() if trees is None else ConditionalAcquisition()
    assert AutoAcquisition().choose(there) == wanted.choose(there)
    assert VoteAcquisition().choose(there) != ConditionalAcquisition().choose(
        dialogue("one two", {"A": "low"}, (), plan_index(trees=TREES), 2, "health")
    )


def test_conditional_without_a_plan_is_one_line():
    for trees in (None, PolicyTrees({"career": tree("career")}, {})):
        with pytest.raises(UserError, match=r"^by hand: no histories, nor a policy tree for 'all'[^\n]*$"):
            ConditionalAcquisition().choose(dialogue(found=plan_index(trees=trees), k=2))


def test_trees_of_another_schema_are_refused():
    other = PolicyTree(("A", "B"), ((), ()), 2, (PolicyNode(STOP, 1.0, 3.0, 3.0),), group="health")
    with pytest.raises(UserError, match=r"^by hand: the policy tree of domain 'health'[^\n]*$"):
        plan_index(trees=PolicyTrees({"health": other}, {}))


def test_codes_of_the_tree_are_those_of_the_schema():
    assert DECLINED == -1
    assert [SCHEMA.attributes[0].code(v) for v in ("low", "high", "purple")] == [0, 1, -1]
    assert np.all(plan_index(RECORDS).paths < len(SCHEMA))
