"""Methods and their scores: by hand, against enumeration, and against the agent itself."""

import dataclasses
import itertools

import numpy as np
import pytest

from envs import UserError
from envs.loading import load_scenarios
from envs.users import DECLINED, Reply
from envs.users.spoken_user import MANNERS, SpokenUser
from experiments.evaluation.methods.baselines import (
    BEST_STATIC,
    FULL,
    ORACLE,
    RANDOM_ORDERS,
    VANILLA,
    baselines,
    best_sets,
    oracle_sets,
    random_name,
    static_name,
)
from experiments.evaluation.methods.compared_methods import (
    CHOSEN,
    MethodOptions,
    compared_methods,
    remember,
    rules,
)
from experiments.evaluation.methods.conversations import Conversations
from experiments.evaluation.methods.greedy_sets import StepwiseSets, greedy_sets
from experiments.evaluation.methods.population_plans import ALL, plan_tree, population_plans, seen_trees
from experiments.evaluation.methods.trajectories import Known, Method, TrueScores
from experiments.evaluation.path_tables import plan_table, without_test_people
from experiments.evaluation.results import COLUMNS, evaluate
from experiments.evaluation.run import Side, numbered, run
from experiments.evaluation.setting import Answers, TrainScores, exact_table, people, spread
from policies import Agent, converse
from policies.abstention import FixedAbstention, ValueAbstention
from policies.acquisition import ConditionalAcquisition, NearestAcquisition, VoteAcquisition
from policies.composed import ComposedPolicy
from policies.embeddings import StaticEmbedding
from policies.understanding import Reading, Value
from policies.understanding.readers.rules_reader import default_reader
from search.algorithms.exhaustive import ExhaustiveSearch
from search.population.policy_tree import STOP
from search.rollouts import Serial
from tests.experiments.evaluation.evaluation_cases import (
    ABC,
    TABLE,
    Tables,
    path_record,
    path_table,
    scenario,
    setting,
    simulated,
)
from tests.policies.policy_cases import level_of

ACQUISITIONS = {
    "nearest": NearestAcquisition(),
    "vote": VoteAcquisition(),
    "conditional": ConditionalAcquisition(),
}
PRICED = ABC.costs * [1, 3, 4]


class Declines:
    """Answers everything but the given attributes."""

    def __init__(self, *names):
        self.names = names

    def answer(self, scenario, attribute, question):
        return DECLINED if attribute in self.names else Reply(scenario.profile[attribute])


def rows_of(results, name):
    return results[results["method"] == name].reset_index(drop=True)


@pytest.fixture(scope="module")
def sides():
    """(train, test) of the bundled scenarios, some of each."""
    return load_scenarios(split="train").scenarios[::4], load_scenarios(split="test").scenarios[::2]


@pytest.fixture(scope="module")
def embedding():
    return StaticEmbedding()


@pytest.fixture(scope="module")
def played(sides, embedding):
    """(setting, scores, memory, options) with a table planned on the train side by enumeration, noise .17."""
    train, test = sides
    judge = simulated(noise_std=0.17)
    there = setting(test, train, judge, budget=3)
    table = plan_table(train, judge, ExhaustiveSearch(), 3, 0, Serial(), report_samples=4)
    scores = TrainScores(train, judge, 3)
    options = MethodOptions(ComposedPolicy(), embedding, value_costs=(0.1,), costs=(0.0, 0.3), min_profiles=3)
    return (
        there,
        scores,
        remember(there, scores, table.table, options, seen_trees(scores, 0.0, 3), "here"),
        options,
    )


def test_rows_by_hand():
    test = [scenario("p", C="high")]
    there = setting(test)
    results = evaluate(there, baselines(there, TrainScores(there.train, there.judge, 2)), [0])
    assert tuple(results.columns) == COLUMNS
    vanilla, full = rows_of(results, VANILLA).iloc[0], rows_of(results, FULL).iloc[0]
    assert (vanilla["score"], vanilla["n_asked"], vanilla["disclosure"]) == (2.0, 0, 0)
    assert (full["score"], full["n_asked"]) == (pytest.approx(3.8), 3)
    assert full["disclosure"] == pytest.approx(1 * 1 + 2 * 3 + 0.5 * 4)
    assert (vanilla["score_empty"], vanilla["score_full"]) == (2.0, pytest.approx(3.8))
    # A table is no simulated judge, so sets are searched greedily: A is best alone, and AC beside A.
    assert rows_of(results, ORACLE).iloc[0]["asked"] == ["A", "C"]
    assert vanilla["score_best"] == pytest.approx(3.4)
    assert [rows_of(results, static_name(k)).iloc[0]["asked"] for k in (1, 2)] == [["A"], ["A", "C"]]
    assert list(full["asked"]) == ["A", "B", "C"]


def test_greedy_search_asks_each_set_once_and_reads_nobody_twice():
    asked = []

    class Counted(Tables):
        def score(self, scenario, contexts):
            asked.extend((scenario.id, names) for names in contexts)
            return super().score(scenario, contexts)

    people = [scenario("p"), scenario("q", "career", C="unknown"), scenario("r")]
    search = StepwiseSets(Counted(), people)
    (both, n), (alone, _) = search.paths([[0, 1, 2], [1]], 2)
    assert (both, n) == ((0, 2), 2)  # A brings most; then AC 3.4, 3.4 and A alone 3.0, more than AB 3.2
    assert alone == (0, 1)  # what q does not have adds nothing
    assert len(asked) == len(set(asked)) <= 3 * greedy_sets(3, 2)


def test_random_order_is_the_mean_of_its_orders():
    there = setting([scenario("p", C="high")])
    (method,) = [
        m for m in baselines(there, TrainScores(there.train, there.judge, 2)) if m.name == random_name(2)
    ]
    talks = method.converse(0)
    assert len(talks) == RANDOM_ORDERS
    assert {len(t.asked) for t in talks} == {2}
    expected = np.mean([TABLE["".join(sorted(ABC.names[a] for a in t.asked))] for t in talks])
    (row,) = evaluate(there, [method], [0]).to_dict("records")
    assert row["score"] == pytest.approx(expected)
    assert row["disclosure"] == pytest.approx(np.mean([sum(PRICED[a] for a in t.asked) for t in talks]))
    assert list(row["asked"]) == []


def test_a_declined_question_is_asked_but_not_told():
    test = [scenario("p", C="high")]
    there = setting(test, user=Declines("B"))
    results = evaluate(there, baselines(there, TrainScores(there.train, there.judge, 2)), [0])
    pairs = {tuple(sorted(t.asked)): t.answered for t in _method(there, random_name(2)).converse(0)}
    assert pairs.get((0, 1), 0b001) == 0b001
    # The references know what they know, whether or not the person would say it.
    assert rows_of(results, FULL)["score"][0] == pytest.approx(3.8)


def _method(there, name):
    (found,) = [m for m in baselines(there, TrainScores(there.train, there.judge, 2)) if m.name == name]
    return found


def test_words_that_tell_nothing_are_no_answer():
    test = [scenario("p")]
    for manner in ("evasive", "off_topic", "declining"):
        talk = Answers(SpokenUser(**{manner: 1.0}), test, Reads()).trajectory(0, (0, 1, 2))
        assert (talk.asked, talk.answered, talk.partly) == ((0, 1, 2), 0, 0)
    missing = [scenario("q", A="unknown")]
    assert setting(missing).answers.trajectory(0, (0, 1)).answered == 0b10


class Reads:
    """Takes whatever is said, or nothing of some attributes, for an answer to what was asked."""

    def __init__(self, deaf_to=()):
        self.deaf_to = deaf_to

    def read(self, text, schema, asked=None, dialogue=None):
        return Reading({} if asked in self.deaf_to else {asked: Value(text)})


def test_what_counts_is_truly_told_and_read():
    test = [scenario("p")]
    told = Answers(SpokenUser(paraphrased=1.0), test, Reads(deaf_to=("B",))).trajectory(0, (0, 1, 2))
    assert told.answered == 0b101
    part = Answers(SpokenUser(partial=1.0), test, Reads()).trajectory(0, (0, 2))
    assert (part.answered, part.partly) == (0, 0b101)


class Tells:
    """Answers every question with the values of A and C, asked or not."""

    def answer(self, scenario, attribute, question):
        told = "all" if attribute in ("A", "C") else "nothing"
        return Reply("both", told, tuple(name for name in ("A", "C") if name != attribute))


class ReadsBoth:
    def read(self, text, schema, asked=None, dialogue=None):
        return Reading({"A": Value("low", "low"), "C": Value("high", "high"), "B": Value("made up")})


def test_everything_told_in_one_reply_counts_and_nothing_that_was_not():
    there = setting([scenario("p", C="high")])
    there = dataclasses.replace(there, answers=Answers(Tells(), there.test, ReadsBoth()))
    (row,) = rows_of(evaluate(there, [_asks(there, 0)], [0]), "asks").to_dict("records")
    assert (row["n_asked"], row["n_told"], row["score"]) == (1, 2, pytest.approx(TABLE["AC"]))


def _asks(there, *path):
    return Method("asks", "policy", lambda i: [there.answers.trajectory(i, path)])


def test_what_is_told_in_part_is_known_half_of_the_time(sides):
    judge = simulated()
    there = setting(sides[1][:1], sides[0], judge, budget=2)
    there = dataclasses.replace(there, answers=Answers(SpokenUser(partial=1.0), there.test, Reads()))
    a, b = [k for k in range(10) if there.test[0].askable >> k & 1][:2]
    (row,) = evaluate(there, [_asks(there, a, b)], [0]).to_dict("records")
    names = there.schema.names
    contexts = [(), (names[a],), (names[b],), (names[a], names[b])]
    assert row["score"] == pytest.approx(np.mean([s.value for s in judge.score(there.test[0], contexts)]))


class Words:
    """A judge that reads how much was said: 1 and a tenth for each character, at most 5."""

    def score(self, scenario, contexts):
        values = {**scenario.profile, **scenario.said}
        return [min(5.0, 1 + sum(len(values[name]) for name in names) / 10) for names in contexts]


def test_a_judge_of_words_reads_what_was_said_and_references_the_values():
    there = setting([scenario("p", C="high")], judge=Words(), user=SpokenUser(partial=1.0))
    there = dataclasses.replace(there, answers=Answers(there.answers.user, there.test, Reads()))
    said = there.answers.user.answer(there.test[0], "A", "?").text
    results = evaluate(there, [*baselines(there, TrainScores(there.train, Words(), 2)), _asks(there, 0)], [0])
    assert rows_of(results, "asks")["score"][0] == pytest.approx(min(5.0, 1 + len(said) / 10))
    assert rows_of(results, FULL)["score"][0] == pytest.approx(1 + len("lowlowhigh") / 10)


@pytest.mark.parametrize("manner", ["evasive", "off_topic", "declining"])
def test_with_users_who_tell_nothing_nobody_is_better_than_vanilla(played, manner):
    """Exactly: whatever a reader takes their words for, nothing that was not told is scored."""
    there, scores, plan_index, options = played
    answers = Answers(SpokenUser(**{manner: 1.0}), there.test, Reads())
    there = dataclasses.replace(there, answers=answers)
    methods = compared_methods(there, scores, plan_index, options)
    results = evaluate(there, methods, numbered(there.test))
    told = results[~results["method"].isin([FULL, ORACLE])]
    assert told["n_asked"].max() >= there.budget
    assert (told["score"] == told["score_empty"]).all()
    assert (told["n_told"] == 0).all()


def test_the_best_static_set_is_that_of_the_train_mean():
    table = np.array([[2.0, 3.0, 1.0], [2.0, 1.0, 4.0], [2.0, 2.5, 2.0]])
    masks = np.array([0b00, 0b01, 0b10], dtype=np.uint64)
    best = best_sets(table, masks, ["x", "y", "x"])
    assert best == {"": 0b10, "x": 0b01, "y": 0b10}  # means: all 2, 2.17, 2.33; x 2, 2.75, 1.5
    assert best_sets(table, masks, ["x", "y", "x"], 0)["y"] == 0


def test_static_sets_come_from_the_train_side_alone(sides):
    train, test = sides
    judge = simulated()
    there = setting(test, train, judge, budget=2)
    scores = TrainScores(train, judge, 2)
    results = evaluate(there, baselines(there, scores), numbered(test))
    for row in rows_of(results, static_name(2)).to_dict("records"):
        own = [s for s in train if s.domain == row["domain"]]
        value = {
            pair: np.mean([judge.score(s, [pair])[0].value for s in own])
            for pair in itertools.combinations(test[0].schema.names, 2)
        }
        assert tuple(sorted(row["asked"])) == tuple(sorted(max(value, key=value.get)))


def test_the_oracle_is_the_best_set_of_enumeration(sides):
    train, test = sides
    judge = simulated()
    there = setting(test, train, judge, budget=2)
    for i, path in enumerate(oracle_sets(there)):
        contexts = [c for k in range(3) for c in itertools.combinations(test[i].schema.names, k)]
        scores = [s.value for s in judge.score(test[i], contexts)]
        assert sorted(test[i].schema.names[a] for a in path) == sorted(contexts[int(np.argmax(scores))])
        if len(path) == 2:  # ordered so that the first question already brings more
            singles = judge.score(test[i], [(test[i].schema.names[a],) for a in path])
            assert singles[0].value >= singles[1].value


def test_true_scores_are_without_noise_and_means_of_fresh_looks_else(sides):
    _, test = sides
    quiet, noisy = simulated(), simulated(noise_std=0.5)
    masks = [0, 1, 0b11, 1]
    exact = TrueScores(noisy, test).dimensions(0, [Known(mask) for mask in masks])
    assert np.array_equal(exact, quiet.dimensions(test[0], np.array(masks, np.uint64)))

    class Looks:
        stochastic = True

        def __init__(self):
            self.samples = set()

        def score(self, scenario, contexts, samples):
            self.samples |= set(samples)
            return [2.0 + (s % 2) for s in samples]

    judge = Looks()
    assert TrueScores(judge, test, 4).dimensions(0, [Known(3)]).tolist() == [[2.5, 2.5, 2.5]]
    assert min(judge.samples) >= 1 << 20  # no search has seen these


def test_a_person_on_both_sides_is_refused():
    same = scenario("p", A="high")
    with pytest.raises(UserError, match="both sides"):
        setting([same], train=[dataclasses.replace(same, id="q", query="another")])


def test_plans_about_test_people_are_found_by_what_they_ask_and_who_they_are():
    """Ids say nothing: the same people may stand in another file under other ids, others under the same."""
    test = [scenario("p", query="Should I go, or not?"), scenario("q", query="What now?", B="high")]
    table = path_table(
        path_record("x", "A", (2, 3), query="SHOULD I  go \N{EM DASH} or not"),
        path_record("p", "B", (2, 2.5), query="Should I stay?"),
        path_record("y", "B", (2, 2.5), query="Something else?"),
    )
    kept = without_test_people(table, "file", test)
    assert kept.table.table["scenario_id"].to_pylist() == ["p", "y"]
    assert (kept.n_left_out, "not at hand" in kept.overlap) == (1, True)
    people = {"x": test[0].profile, "y": test[1].profile, "p": scenario("z", C="high").profile}
    kept = without_test_people(table, "file", test, people=people)
    assert kept.table.table["scenario_id"].to_pylist() == ["p"]
    assert "2 of 3 rows" in kept.overlap
    with pytest.raises(UserError, match="every row is about a person of the test side"):
        without_test_people(path_table(path_record("u", "A", (2, 3), query="What now")), "file", test)


def test_nothing_about_test_people_reaches_the_plans(played, sides, embedding):
    """The plans are the same whoever is tested, whatever they would say and whatever they would score."""
    train, test = sides
    _, scores, plan_index, options = played
    other = setting(test[:3], train, simulated(noise_std=0.17), budget=3, user=Declines("Age"))
    again = TrainScores(train, simulated(noise_std=0.17), 3)
    assert np.array_equal(scores.seen, again.seen)
    table = plan_table(train, simulated(noise_std=0.17), ExhaustiveSearch(), 3, 0, Serial(), report_samples=4)
    assert table.table.table.equals(plan_index.table.table)
    rebuilt = remember(other, again, table.table, options, seen_trees(again, 0.0, 3), "here")
    assert rebuilt.trees.trees == plan_index.trees.trees
    assert {s.id for s in test}.isdisjoint(plan_index.table.table["scenario_id"].to_pylist())


class Deaf:
    """Reads nothing from a query, and from a reply what the evaluation's reader reads without a dialogue."""

    def read(self, text, schema, asked=None, dialogue=None):
        return Reading() if asked is None else default_reader().read(text, schema, asked)


class Calm:
    def check(self, *_):
        return None


@pytest.mark.parametrize("user", [None, SpokenUser(*(0.15,) * len(MANNERS), seed=4)])
@pytest.mark.parametrize("rule", ["value 0.1", "fixed 2", "never"])
def test_walks_are_the_conversations_of_the_agent(played, user, rule):
    there, _, plan_index, _ = played
    if user is not None:
        there = dataclasses.replace(there, answers=Answers(user, there.test))
    own = rules([0.1], there.budget)
    talks = Conversations(there, plan_index, own, ComposedPolicy().n_neighbours)
    for name, acquisition in ACQUISITIONS.items():
        (method,) = [m for m in talks.methods({name: acquisition}) if m.name == f"{name} + {rule}"]
        policy = ComposedPolicy(acquisition, own[rule], budget=there.budget)
        agent = Agent(plan_index, policy, detector=Calm(), reader=Deaf())
        for i, person in enumerate(there.test):
            (found,) = method.converse(i)
            replies = {
                person.schema.names[a]: r.text for (k, a), r in there.answers.replies.items() if k == i
            }
            turn = converse(agent, person.query, lambda t, r=replies: r[t.attribute])
            assert tuple(person.schema.names[a] for a in found.asked) == turn.path
            known = person.schema.mask(turn.context)
            told = found.answered | found.partly
            assert told == known if user is None else told & known == told


def test_the_configured_policy_is_its_grid_twin(played):
    there, scores, plan_index, options = played
    chosen = ComposedPolicy(VoteAcquisition(), ValueAbstention(0.1))
    methods = {
        m.name: m
        for m in compared_methods(there, scores, plan_index, dataclasses.replace(options, policy=chosen))
    }
    twin = "vote + value 0.1"
    assert [methods[CHOSEN].converse(i) for i in range(4)] == [methods[twin].converse(i) for i in range(4)]


def test_abstention_only_asks_at_random_and_stops_by_the_best_question(played):
    there, _, plan_index, _ = played
    dear = Conversations(there, plan_index, {"value 99": ValueAbstention(99.0)}, 5).abstention_only()
    assert [t.asked for t in dear[0].converse(0)] == [()] * RANDOM_ORDERS
    free = Conversations(there, plan_index, {"value 0": ValueAbstention(0.0)}, 5).abstention_only()
    lengths = {len(t.asked) for t in free[0].converse(0)}
    assert max(lengths) == there.budget
    firsts = {t.asked[0] for t in free[0].converse(0)}
    assert len(firsts) > 2


def test_rules_stop_where_they_say(played):
    there, _, plan_index, _ = played
    talks = Conversations(there, plan_index, {"one": FixedAbstention(1), "two": FixedAbstention(2)}, 5)
    methods = {m.name: m.converse(0)[0] for m in talks.methods({"vote": VoteAcquisition()})}
    one, two = methods["vote + one"], methods["vote + two"]
    assert (len(one.asked), len(two.asked)) == (1, 2)
    assert two.asked[:1] == one.asked
    assert one.answered & two.answered == one.answered


def test_population_plans_follow_their_trees(played):
    there, scores, _, _ = played
    plans = {m.name: m for m in population_plans(there, scores, (0.0, 50.0), (0.0,), 3)}
    everybody = range(len(there.test))
    assert all(plans["population plan, cost 50"].converse(i)[0].asked == () for i in everybody)
    for i in everybody:
        first = plans["population plan, cost 0"].converse(i)[0].asked[0]
        own = plan_tree(scores, there.test[i].domain, exact=True, cost_weight=0.0, min_profiles=3)
        assert first == own.next_attribute({})
        untold = plans["population plan, domain not told, cost 0"].converse(i)[0].asked[0]
        assert untold == plan_tree(scores, ALL, exact=True, cost_weight=0.0, min_profiles=3).next_attribute(
            {}
        )


class WholeWords:
    """Takes every reply for the value of what was asked, and its level for what the words mean."""

    def read(self, text, schema, asked=None, dialogue=None):
        return Reading({asked: Value(text, level_of(schema.attributes[schema.index(asked)], text))})


def test_conditional_that_is_told_nothing_follows_one_tree(played):
    there, scores, plan_index, options = played
    there = dataclasses.replace(there, answers=Answers(there.answers.user, there.test, WholeWords()))
    methods = {m.name: m for m in compared_methods(there, scores, plan_index, options)}
    tree = seen_trees(scores, 0.1, 3).trees[ALL]
    for i, person in enumerate(there.test):
        (talk,) = methods["conditional + value 0.1"].converse(i)
        codes = {}
        for a in talk.asked:
            assert tree.next_attribute(codes) == a
            codes[a] = int(person.codes[a])
        assert len(talk.asked) == there.budget or tree.next_attribute(codes) == STOP
    for k in (1, 2):
        assert {len(methods[f"conditional + fixed {k}"].converse(i)[0].asked) for i in range(5)} == {k}


def test_a_smaller_budget_plans_as_if_larger_sets_did_not_exist(sides):
    large, small = (TrainScores(sides[0], simulated(), budget) for budget in (3, 2))
    options = {"exact": True, "cost_weight": 0.05, "min_profiles": 3}
    assert plan_tree(large, ALL, budget=2, **options) == plan_tree(small, ALL, **options)
    assert plan_tree(large, ALL, **options) != plan_tree(small, ALL, **options)


def test_plans_that_share_their_states_are_those_made_alone(sides):
    together = TrainScores(sides[0], simulated(), 3)
    for cost in (0.3, 0.0, 0.1):
        options = {"exact": True, "cost_weight": cost, "min_profiles": 4}
        alone = plan_tree(TrainScores(sides[0], simulated(), 3), ALL, **options)
        shared = plan_tree(together, ALL, **options)
        assert [n.attribute for n in shared.nodes] == [n.attribute for n in alone.nodes]
        assert shared.fallback == alone.fallback
        assert [n.value for n in shared.nodes] == pytest.approx([n.value for n in alone.nodes])


def test_questions_cost_the_same_or_their_own_price(sides):
    same, own = (TrainScores(sides[0], simulated(), 2, unit) for unit in (True, False))
    assert set(same.schema.costs) == {1.0}
    assert own.schema is sides[0][0].schema
    assert same.schema.names == own.schema.names
    # Free questions are asked whatever they cost; at a price the dear ones go.
    trees = [plan_tree(s, ALL, exact=True, cost_weight=0.3, min_profiles=3) for s in (same, own)]
    assert trees[0] != trees[1]


def test_exact_scores_have_no_noise_and_seen_ones_do(sides):
    train, _ = sides
    scores = TrainScores(train, simulated(noise_std=0.17), 2)
    quiet = exact_table(simulated(), scores.scenarios, scores.masks)
    assert np.array_equal(scores.exact, quiet)
    assert 0.1 < np.std(scores.seen - quiet) < 0.2
    some = scores.only(train[:5])
    assert np.array_equal(some.exact, quiet[:5])
    assert np.array_equal(some.seen, scores.seen[:5])


def test_people_count_by_profile_and_domain():
    same = [scenario("a"), scenario("b", query="another"), scenario("c", A="high"), scenario("d", "career")]
    first, of = people(same)
    assert first.tolist() == [0, 2, 3]
    assert of.tolist() == [0, 0, 1, 2]
    assert TrainScores(same, Tables(), 2).weights.tolist() == [2.0, 1.0, 1.0]
    assert numbered(same) == [0, 0, 1, 0]


def test_spread_takes_from_the_whole_list():
    assert spread(list("abcdefghi"), 3) == ["a", "e", "i"]
    assert spread(list("abc"), None) == ["a", "b", "c"]
    assert spread(list("abc"), 7) == ["a", "b", "c"]


def test_runs_are_deterministic_and_every_method_meets_every_person(sides, embedding):
    train, test = sides

    def once():
        judge = simulated(noise_std=0.17)
        return run(
            [judge], lambda j, people: plan_table(people[:12], j, ExhaustiveSearch(), 2, 0, Serial()),
            [Side(train, test)], SpokenUser(0.4, 0.2, 0.1, 0.05, 0.1), 2,
            MethodOptions(
                ComposedPolicy(), embedding, (0.1,), costs=(0.0,), variations=("unanswered", "domains")
            ),
        )  # fmt: skip

    one, two = once(), once()
    assert one.results.equals(two.results)
    assert one.varied.equals(two.varied)
    counts = one.results.groupby("method")["scenario_id"].nunique()
    assert set(counts) == {len(test)}
    assert BEST_STATIC in counts
    scores = one.results["score"]
    assert scores.between(1, 5).all()
    assert (one.results["score"] <= one.results["score_best"] + 1e-9)[one.results["n_asked"] <= 2].all()
    rates = one.varied[one.varied["variation"] == "unanswered"]
    asked_all = rates[rates["method"] == BEST_STATIC].groupby("setting", sort=False)["n_told"].mean()
    assert asked_all.is_monotonic_decreasing
