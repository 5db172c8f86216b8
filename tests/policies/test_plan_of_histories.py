"""Questions by histories: the posterior of the domain weighs people, and the plan goes by the answers."""

import itertools

import numpy as np
import pytest

from envs import UserError
from policies.abstention import ValueAbstention
from policies.acquisition import AutoAcquisition, ConditionalAcquisition, InformationAcquisition
from policies.composed import ComposedPolicy
from search.population.history_building import history_values
from search.population.population_problem import PopulationProblem
from tests.policies.policy_cases import SCHEMA, dialogue, name, plan_index, record
from tests.search.population.population_cases import by_hand

GAINS = {"health": (1.0, 0.2, 0.1, 0.0), "social": (0.1, 0.2, 1.0, 0.0)}
"""What A, B, C, D add to 2 for people of each domain, whatever they answer; B 0.6 more after A is high.

A few people stop answering, so that of two orders of the same questions the one with more at first is better.
"""


def histories(dropout=1e-3, cost_weight=0.0, gains=GAINS):
    codes, scores, domains = [], [], []
    sets = [sum(1 << a for a in c) for c in ((), *_sizes())]
    for domain, own in gains.items():
        for a in (0, 1):
            codes.append([a, 0, 0, 0])
            more = [0.6 * (a and mask & 3 == 3) for mask in sets]
            scores.append(
                [
                    2 + sum(g for i, g in enumerate(own) if m >> i & 1) + x
                    for m, x in zip(sets, more, strict=True)
                ]
            )
            domains.append(domain)
    problem = PopulationProblem(
        SCHEMA,
        2,
        np.array(codes),
        np.array(scores),
        row_domains=domains,
        dropout=dropout,
        cost_weight=cost_weight,
    )
    return history_values(problem, 0)


def _sizes():
    for k in (1, 2):
        yield from sorted(itertools.combinations(range(4), k), key=lambda c: sum(1 << a for a in c))


def choose(acquisition=None, query="one two", context=(), values=None, **options):
    there = dialogue(query, context, found=plan_index(histories=values or histories()), **options)
    return (acquisition or ConditionalAcquisition(other_domains=0.0)).choose(there)


def test_the_domain_that_the_caller_knows_decides():
    assert name(choose(domain="health")) == "A"
    assert name(choose(domain="social")) == "C"


@pytest.mark.parametrize(
    ("posterior", "first"), [({"health": 0.8, "social": 0.2}, "A"), ({"social": 0.7}, "C")]
)
def test_the_posterior_of_the_query_weighs_people(monkeypatch, posterior, first):
    asked = []
    monkeypatch.setattr(
        "policies.acquisition.domain_posterior", lambda query: asked.append(query) or posterior
    )
    choice = choose()
    assert name(choice) == first
    assert asked == ["one two"]
    share = posterior.get("health", 0) / sum(posterior.values())
    best = {"A": share * 1.0 + (1 - share) * 0.1, "C": share * 0.1 + (1 - share) * 1.0}
    # The second question is the other one of A and C for all, or B after A is high, whichever is more.
    second = (0.8 + best["C"]) / 2 if first == "A" else max(best["A"], 0.2)
    assert choice.gain == pytest.approx(best[first] + second, abs=0.01)


def test_a_schema_with_domains_of_its_own_takes_the_neighbours_vote():
    own = histories(gains={"housing": GAINS["health"], "law": GAINS["social"]})
    records = (
        record("one two", "AB", (3.0, 3.8, 4.0), "law"),
        record("four", "AB", (3.0, 3.8, 4.0), "housing"),
    )
    for query, first in (("one two", "C"), ("four", "A")):
        there = dialogue(query, found=plan_index(records, histories=own), k=2)
        assert name(ConditionalAcquisition(0.05, 0.0).choose(there)) == first


def test_the_next_question_depends_on_the_answer():
    assert name(choose(context={"A": "high"}, domain="health")) == "B"  # .2 + .6
    assert name(choose(context={"A": "low"}, domain="health")) == "B"  # .2
    assert choose(context={"A": "high"}, domain="health").gain == pytest.approx(0.8, abs=0.01)
    assert choose(context={"A": "low"}, domain="health").gain == pytest.approx(0.2, abs=0.01)


def test_an_answer_that_nobody_gave_goes_on_by_the_path():
    choice = choose(context={"A": "high", "B": "high"}, domain="social")
    assert name(choice) == "C"
    assert choice.reason == "the fixed path goes on"
    assert choice.gain == pytest.approx(1.0, abs=0.01)


def test_beyond_the_path_the_gain_is_nothing_and_the_rule_stops():
    choice = choose(context={"A": "high", "B": "high"}, domain="health")
    assert choice.gain == 0
    assert ValueAbstention().should_stop(None, choice)[0] if choice.net else True


def test_costs_are_off_the_gain_where_the_plan_weighed_them():
    assert not choose(domain="health").net
    dear = choose(domain="health", values=histories(cost_weight=0.5))
    assert dear.net
    assert dear.gain == pytest.approx(1.0 - 0.5 + (0.8 - 0.5) / 2, abs=0.01)  # B pays after high alone


def test_value_of_information_looks_one_question_ahead():
    """arXiv 2601.06407, eq. 4: E[V(b after the answer)] - V(b), not what questions after that may add."""
    choice = choose(InformationAcquisition(other_domains=0.0), domain="health")
    assert (name(choice), choice.gain) == ("A", pytest.approx(1.0, abs=0.01))
    net = choose(
        InformationAcquisition(other_domains=0.0), domain="health", values=histories(cost_weight=0.9)
    )
    assert (name(net), net.gain) == ("A", pytest.approx(0.1, abs=0.01))
    too_dear = choose(
        InformationAcquisition(other_domains=0.0), domain="health", values=histories(cost_weight=1.1)
    )
    assert ValueAbstention().should_stop(None, too_dear)[0]


def test_value_of_information_misses_two_questions_that_help_only_together():
    """Neither A nor B helps alone; together 2. Costs .5: one ahead nothing pays, two ahead both do."""
    codes, scores = np.zeros((1, 4)), np.full((1, 11), 2.0)
    scores[0, [i for i, c in enumerate(((), *_sizes())) if set(c) == {0, 1}]] = 4.0
    problem = PopulationProblem(SCHEMA, 2, codes, scores, cost_weight=0.5, group="health")
    values = history_values(problem, 0)
    for acquisition, asks in ((InformationAcquisition(), False), (ConditionalAcquisition(), True)):
        policy = ComposedPolicy(acquisition, ValueAbstention())
        decision = policy.decide(dialogue(found=plan_index(histories=values), domain="health"))
        assert (decision.attribute is not None) is asks


def test_value_of_information_wants_histories():
    with pytest.raises(UserError, match=r"^by hand: no histories[^\n]*$"):
        InformationAcquisition().choose(dialogue())


def test_auto_takes_histories_before_all_else():
    there = dialogue(found=plan_index(histories=histories()), domain="social")
    assert AutoAcquisition().choose(there) == ConditionalAcquisition().choose(there)


def test_histories_of_another_schema_are_refused():
    with pytest.raises(UserError, match=r"^by hand: the file of histories[^\n]*$"):
        plan_index(histories=history_values(by_hand(), 0))
