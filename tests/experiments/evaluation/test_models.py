"""Methods in which a model chooses and rates: by hand, over HTTP, at once, and paid for once."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from envs import UserError
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from experiments.evaluation.at_once import at_once
from experiments.evaluation.methods.cached_chat import CHOOSES, RATES, SAYS, CachedChat
from experiments.evaluation.methods.compared_methods import CHOSEN, MethodOptions, absent, compared_methods
from experiments.evaluation.methods.trajectories import Known
from experiments.evaluation.path_tables import planned_from_others
from experiments.evaluation.results import converse, evaluate, needed
from experiments.evaluation.setting import TrainScores
from policies.abstention import FixedAbstention, NeverAbstention
from policies.composed import ComposedPolicy
from policies.embeddings import StaticEmbedding
from policies.llm_policies import LLMAcquisition, ScaleAbstention
from policies.plan_index import PlanIndex
from policies.retrieval import Index
from tests.experiments.evaluation.evaluation_cases import (
    ABC,
    TABLE,
    path_record,
    path_table,
    scenario,
    setting,
)
from tests.experiments.penguin.model_cases import says

PLANS = path_table(
    path_record("t0", ["A", "B"], [2.0, 3.0, 3.2], "one two"),
    path_record("t1", ["B", "C"], [2.0, 2.5, 4.0], "three four"),
)
EMBEDDING = StaticEmbedding()


def people(n=1):
    return [scenario(f"s{i}", query=f"one two, {i}", C="high" if i % 2 else "low") for i in range(n)]


def methods_of(chat, test, policy=None):
    here = setting(test)
    scores = TrainScores(here.train, here.judge, here.budget)
    plan_index = PlanIndex(PLANS, Index.build(EMBEDDING, ["one two", "three four"]), ABC)
    options = MethodOptions(policy or ComposedPolicy(), EMBEDDING, value_costs=(0.1,), chat=chat)
    return here, compared_methods(here, scores, plan_index, options), options


def rows_of(chat, test, n_at_once=1, policy=None):
    here, methods, _ = methods_of(chat, test, policy)
    return evaluate(here, methods, list(range(len(test))), converse(here, methods, n_at_once))


def test_a_model_chooses_and_rates_by_hand(tmp_path):
    """It wants C, then A; one more is known, one higher the rating: `scale t` stops after t - 1 questions."""
    with ScriptedServer(Script(says("CA", should_stop=1)), keep_bodies=True) as server:
        chat = CachedChat("m", server.url, cache=str(tmp_path / "c.sqlite"))
        rows = rows_of(chat, people()).set_index("method")
        prompts = {str(body["messages"]) for body in server.seen.bodies}
    asked = {name: "".join(row) for name, row in rows["asked"].items()}
    expected = {"scale 1": "", "scale 2": "C", "scale 3": "CA", "scale 4": "CA", "scale 5": "CA"}
    expected |= {"binary": "C", "fixed 1": "C", "fixed 2": "CA", "never": "CA"}
    for rule, path in expected.items():
        assert asked[f"llm + {rule}"] == path, rule
        assert rows.loc[f"llm + {rule}", "score"] == pytest.approx(TABLE["".join(sorted(path))])
    # The nearest plan asks A, then B.
    assert [asked[f"nearest + scale {t}"] for t in (1, 2, 3)] == ["", "A", "AB"]
    assert asked["nearest + binary"] == "A"
    assert rows.loc["nearest + scale 2", "curve"] == "nearest + scale"
    assert (rows.loc["random order + scale 2", "n_asked"], rows.loc["random order + scale 2", "kind"]) == (
        1.0,
        "baseline",
    )
    first = np.mean([TABLE[""], TABLE["A"], TABLE["B"], TABLE["C"]])
    assert rows.loc["random order + scale 1", "score"] == TABLE[""]
    assert abs(rows.loc["random order + scale 2", "score"] - first) < 1.0
    # Choices: nothing, C known. Ratings: nothing, A, B or C known; whoever is rated is asked only once.
    counts = {name: (topic.n_asked, topic.n_invalid) for name, topic in chat.topics.items()}
    assert counts == {CHOOSES: (2, 0), RATES: (4, 0), SAYS: (4, 0)}
    assert chat.spent.requests == len(prompts) == len(server.seen.bodies) == 10


def test_an_invalid_name_is_the_vote_s_and_is_counted(tmp_path):
    with ScriptedServer(Script(says(""))) as server:
        chat = CachedChat("m", server.url, cache=str(tmp_path / "c.sqlite"))
        rows = rows_of(chat, people()).set_index("method")
        choices, sent = chat.topics[CHOOSES], server.seen.requests
        again = CachedChat("m", server.url, cache=str(tmp_path / "c.sqlite"))
        repeated = rows_of(again, people()).set_index("method")
        assert again.topics[CHOOSES].n_invalid == choices.n_invalid
        assert server.seen.requests == sent  # what cannot be used was paid for, and is kept as well
    for k in (1, 2):
        assert rows.loc[f"llm + fixed {k}", "asked"] == rows.loc[f"vote + fixed {k}", "asked"]
    assert (choices.n_asked, choices.n_invalid) == (2, 2)
    assert sent == 2 * 3 + chat.topics[RATES].n_asked + chat.topics[SAYS].n_asked
    assert repeated["score"].equals(rows["score"])


def test_rows_do_not_depend_on_how_many_are_talked_with_at_once(tmp_path):
    test, found, sent = people(12), [], []
    for n in (1, 32):
        with ScriptedServer(Script(says("CA"), latency_s=0.01)) as server:
            chat = CachedChat("m", server.url, max_in_flight=n, cache=str(tmp_path / f"{n}.sqlite"))
            found.append(rows_of(chat, test, n))
            sent.append(server.seen.requests)
            assert (server.seen.most_at_once > 4) is (n > 1)
    assert found[0].equals(found[1])
    assert sent[0] == sent[1]


def test_the_chosen_policy_asks_as_its_agent_would(tmp_path):
    """Model C, then A, stopped at 2 of 5: one question; its prompts are counted apart from the line-up's."""
    with ScriptedServer(Script(says("CA"))) as server:
        chats = [CachedChat("m", server.url, cache=str(tmp_path / f"{k}.sqlite")) for k in range(2)]
        policy = ComposedPolicy(LLMAcquisition(chats[0]), ScaleAbstention(chats[1], 2), n_neighbours=2)
        rows = rows_of(None, people(3), 8, policy).set_index("method")
    assert rows.loc[CHOSEN, "asked"].tolist() == [["C"]] * 3
    assert [[t.n_asked for t in chat.topics.values()] for chat in chats] == [[6], [6]]
    assert not [name for name in rows.index if name.startswith("llm")]


def test_what_is_known_is_shown_in_the_agent_s_order(tmp_path):
    """C is told before A; the prompt has them in schema order: the same knowledge is the same prompt."""
    with ScriptedServer(Script(says("CAB")), keep_bodies=True) as server:
        chat = CachedChat("m", server.url, cache=str(tmp_path / "c.sqlite"))
        policy = ComposedPolicy(LLMAcquisition(chat), NeverAbstention(), n_neighbours=2)
        here, methods, _ = methods_of(None, people(), policy)
        here.budget = 3
        (chosen,) = [m for m in methods if m.name == CHOSEN]
        assert chosen.converse(0)[0].asked == (2, 0, 1)
        last = server.seen.bodies[-1]["messages"][-1]["content"]
    assert last.index("| A: low") < last.index("| C: low")


def test_a_limit_stops_the_conversations(tmp_path):
    with ScriptedServer(Script(says("CA"))) as server:
        chat = CachedChat("m", server.url, max_requests=5, cache=str(tmp_path / "c.sqlite"))
        with pytest.raises(UserError, match=r"^chat\.max_requests=5: reached"):
            rows_of(chat, people(6), 4)
        assert server.seen.requests == 5
        more = CachedChat("m", server.url, cache=str(tmp_path / "c.sqlite"))
        rows_of(more, people(6), 4)
        total = server.seen.requests
        alone = CachedChat("m", server.url, cache=str(tmp_path / "d.sqlite"))
        rows_of(alone, people(6), 4)
        assert server.seen.requests == 2 * total


def test_needed_sets_are_named_once():
    here, methods, _ = methods_of(None, people(2))
    sets = needed(converse(here, methods), 2)
    for own in sets:
        assert own[0] == Known(0)
        assert len(own) == len(set(own))
    answered = {Known(c.answered) for m in methods for i in range(2) for c in m.converse(i)}
    assert set(sets[0]) | set(sets[1]) == answered | {Known(0)}


def test_absent_methods_are_told_with_the_reason():
    here, methods, options = methods_of(None, people())
    lines = absent(here, options, False)
    assert [line.split(",")[0].split(" want")[0].split(" wa")[0] for line in lines] == [
        "Absent: the exact population plans",
        "Absent: conditional",
        "Absent: llm",
    ]
    assert "(7 a person)" in lines[0]  # of three attributes at most two: 1 + 3 + 3
    assert len(absent(here, options, True)) == 2
    names = {m.name for m in methods}
    assert not [name for name in names if name.startswith(("llm", "conditional", "population plan"))]


def test_tasks_come_in_order_and_none_begins_after_an_error():
    begun = []

    def task(k):
        def run():
            begun.append(k)
            if k == 3:
                raise UserError("three")
            return k

        return run

    assert list(at_once([task(k) for k in range(3)], 2)) == [0, 1, 2]
    for n in (1, 2):
        begun.clear()
        with pytest.raises(UserError, match="three"):
            list(at_once([task(k) for k in range(3, 60)], n))
        assert len(begun) < 20


def test_a_fixed_rule_asks_no_model():
    policy = ComposedPolicy(abstention=FixedAbstention(1), n_neighbours=2)
    _, methods, options = methods_of(None, people(), policy)
    assert not any(m.asks_a_model for m in methods)
    assert options.n_at_once == 1


MADE = {"split": "train", "test_fraction": 0.2, "split_seed": 0}


@pytest.mark.parametrize(
    ("provenance", "reason"),
    [
        ({"config": {"scenarios": MADE}, "scenarios": {"sha256": "f"}}, ""),
        ({"config": {"scenarios": {**MADE, "split": "all"}}, "scenarios": {"sha256": "f"}}, "split=all"),
        ({"config": {"scenarios": {**MADE, "split": "test"}}, "scenarios": {"sha256": "f"}}, "split=test"),
        ({"config": {"scenarios": {**MADE, "split_seed": 1}}, "scenarios": {"sha256": "f"}}, "split_seed=1"),
        ({"config": {"scenarios": {**MADE, "test_fraction": 0.1}}, "scenarios": {"sha256": "f"}}, "=0.1"),
        ({"config": {"scenarios": MADE}, "scenarios": {"sha256": "e"}}, "another scenario file"),
        ({"config": {"scenarios": MADE}}, "does not say"),
        ({}, "does not say"),
    ],
)
def test_trees_count_only_where_they_surely_saw_no_test_person(provenance, reason):
    found = planned_from_others(provenance, OmegaConf.create({**MADE, "split": "all"}), "f")
    assert (reason in found) if reason else (found == "")
