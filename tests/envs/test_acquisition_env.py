"""The Gymnasium adapter: Gymnasium's own checks, masks, rewards, secrecy, randomness."""

import copy
import math
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.wrappers import FlattenObservation
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs import Attribute, Level, Scenario, Schema, UserError
from envs.scenario import DOMAINS

IDS = sorted(i for i in gymnasium.registry if i.startswith("envs/"))
TELLTALE = "zebra"  # in every value, so that a leak is seen
_LEVELS = (Level("low", ("low",)), Level("high", ("high",)))
SCHEMA = Schema(Attribute(name, "?", cost=i + 1, levels=_LEVELS) for i, name in enumerate("ABCDE"))
ANSWER = len(SCHEMA)
LOW, HIGH, OTHER = f"low {TELLTALE}", f"high {TELLTALE}", TELLTALE
FULL = {"A": LOW, "B": HIGH, "C": OTHER, "D": LOW, "E": HIGH}
SCENARIOS = (
    Scenario("full", "health", f"query {TELLTALE}", FULL, SCHEMA),
    Scenario("gaps", "career", "query", {"A": HIGH, "C": LOW, "D": "unknown"}, SCHEMA),
    Scenario("bare", "other", "query", {}, SCHEMA),
)


class Additive:
    """1 + the sum of (0.1, 0.2, ...) over what is known; counts what it is asked."""

    def __init__(self):
        self.asked = []

    def score(self, scenario, contexts):
        self.asked += contexts
        return [1 + sum(0.1 * (1 + SCHEMA.index(name)) for name in context) for context in contexts]


class Gappy(Additive):
    """Leaves every set of even size unscored: the empty one too."""

    def score(self, scenario, contexts):
        values = super().score(scenario, contexts)
        return [v if len(c) % 2 else math.nan for v, c in zip(values, contexts, strict=True)]


class Noisy(Additive):
    """Noise from (scenario, context, sample) alone."""

    stochastic = True

    def score(self, scenario, contexts, samples):
        self.samples = getattr(self, "samples", []) + list(samples)
        values = super().score(scenario, contexts)
        return [
            v + np.random.default_rng([len(scenario.id), s, SCHEMA.mask(c)]).random()
            for v, c, s in zip(values, contexts, samples, strict=True)
        ]


JUDGES = (Additive, Gappy, Noisy)


def make(judge=Additive, env_id=IDS[0], **kwargs):
    return gymnasium.make(env_id, scenarios=SCENARIOS, judge=judge(), **kwargs)


def play(env, actions, **reset):
    """Return (observations, rewards, terminated, infos) of an episode; the lists start with the reset's."""
    observation, info = env.reset(**reset)
    observations, rewards, infos, over = [observation], [], [info], False
    for action in actions:
        if over:
            break
        observation, reward, over, truncated, info = env.step(action)
        assert not truncated
        observations.append(observation)
        rewards.append(reward)
        infos.append(info)
    return observations, rewards, over, infos


def test_importing_envs_registers_it():
    assert "envs/AttributeAcquisition-v0" in IDS
    assert envs.__name__ == "envs"


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("reward", ["incremental", "terminal"])
def test_check_env(env_id, judge, reward):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(judge, env_id, reward=reward, cost_weight=0.1).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_defaults(env_id):
    """The bundled scenarios and the simulated judge: the one test that needs both."""
    env = gymnasium.make(env_id)
    check_env(env.unwrapped)
    observation, info = env.reset(seed=0)
    assert observation["budget_left"] == 4
    assert 1.0 <= info["score"] <= 5.0


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_make_vec(env_id, mode):
    vector = gymnasium.make_vec(
        env_id, num_envs=2, vectorization_mode=mode, scenarios=SCENARIOS, judge=Additive(), budget=2
    )
    observation, info = vector.reset(seed=3, options={"scenario": "full"})
    assert info["action_mask"].shape == (2, ANSWER + 1)
    observation, reward, terminated, truncated, _ = vector.step(np.array([0, ANSWER]))
    assert observation["known"].tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert reward == pytest.approx([0.1, 0.0])
    assert terminated.tolist() == [False, True]
    assert not truncated.any()
    vector.step(np.array([1, 0]))  # the second one starts afresh
    vector.close()


def test_flattened_observations_stay_in_their_space():
    env = FlattenObservation(make())
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.step(0)[0] in env.observation_space


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("judge", JUDGES)
def test_twins_from_one_seed(env_id, judge):
    rng = np.random.default_rng(0)
    one, two = make(judge, env_id), make(judge, env_id)
    for seed in [5, None, None, 6, None]:
        actions = rng.integers(ANSWER + 1, size=6)
        first, second = play(one, actions, seed=seed), play(two, actions, seed=seed)
        assert data_equivalence(first, second, exact=True)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_a_copy_goes_on_alike_and_apart(twin):
    env = make(Noisy).unwrapped
    env.reset(seed=1, options={"scenario": "full"})
    env.step(0)
    other = twin(env)
    assert data_equivalence(env.step(3), other.step(3), exact=True)
    other.step(1)
    assert env.render() is None
    assert env._state.known == 0b01001
    assert data_equivalence(play(env, [2, 1]), play(other, [2, 1]), exact=True)  # the generator came along


@given(
    seed=st.integers(0, 1000),
    actions=st.lists(st.integers(0, ANSWER), max_size=8),
    budget=st.integers(0, 5),
    judge=st.sampled_from(JUDGES),
    cost_weight=st.sampled_from([0.0, 0.3]),
    known=st.sets(st.sampled_from("ABCDE")),
)
@settings(max_examples=150, deadline=None)
def test_both_rewards_sum_to_the_same(seed, actions, budget, judge, cost_weight, known):
    """Whatever is done, legal or not; `ANSWER` at the end closes the episode."""
    options = {"scenario": "full", "known": sorted(known)}
    runs = []
    for env_id in IDS:
        for reward in ("incremental", "terminal"):
            env = make(judge, env_id, reward=reward, budget=budget, cost_weight=cost_weight)
            runs.append(play(env, [*actions, ANSWER], seed=seed, options=options))
    for run in runs[1:]:
        assert run[2]
        assert runs[0][2]
        assert sum(run[1]) == pytest.approx(sum(runs[0][1]), abs=1e-9)
        assert data_equivalence(run[0], runs[0][0], exact=True)


@given(seed=st.integers(0, 1000), actions=st.lists(st.integers(0, ANSWER), max_size=8))
@settings(max_examples=100, deadline=None)
def test_the_mask_is_what_changes_the_known_set_or_ends(seed, actions):
    env = make(budget=4)
    observation, info = env.reset(seed=seed)
    for action in [*actions, ANSWER]:
        mask = info["action_mask"]
        assert mask.dtype == np.int8
        assert mask[ANSWER] == 1
        assert (mask == env.get_wrapper_attr("action_masks")()).all()
        before = observation
        observation, _, over, _, info = env.step(action)
        changed = action == ANSWER or (observation["known"] != before["known"]).any()
        assert mask[action] == changed
        assert info["illegal"] == (not changed)
        assert observation in env.observation_space
        if over:
            break


def test_hard_budget():
    env = make(budget=2)
    observations, _, over, _ = play(env, [4, 0, 1], options={"scenario": "full"})
    assert over
    assert observations[-1]["known"].tolist() == [1, 0, 0, 0, 1]  # the third question was never asked
    assert [int(o["budget_left"]) for o in observations] == [2, 1, 0]


def test_nothing_left_to_ask_ends():
    _, _, over, infos = play(make(), [0, 2], options={"scenario": "gaps"})
    assert over
    assert infos[0]["action_mask"].tolist() == [1, 0, 1, 0, 0, 1]
    assert infos[-1]["action_mask"].tolist() == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("action", [0, ANSWER])
def test_nothing_to_ask_at_the_start_ends_with_the_first_step(action):
    observations, rewards, over, infos = play(make(), [action], options={"scenario": "bare"})
    assert infos[0]["action_mask"].tolist() == [0, 0, 0, 0, 0, 1]
    assert over
    assert rewards == [0.0]
    assert not observations[-1]["known"].any()


def test_answer_is_last_and_stops():
    env = make()
    assert env.unwrapped.ANSWER == ANSWER
    assert env.action_space.n == ANSWER + 1
    observations, rewards, over, _ = play(env, [1, ANSWER], options={"scenario": "full"})
    assert over
    assert rewards == pytest.approx([0.2, 0.0])
    assert observations[-1]["budget_left"] == 3


def test_an_illegal_question_costs_one_question_and_nothing_else():
    env = make(cost_weight=1.0)
    observations, rewards, over, infos = play(env, [0, 0, 1], options={"scenario": "gaps"})
    assert [i["illegal"] for i in infos] == [False, False, True, True]
    assert rewards == pytest.approx([0.1 - 1.0, 0.0, 0.0])
    assert [int(o["budget_left"]) for o in observations] == [4, 3, 2, 1]
    assert [i["cost"] for i in infos] == [0.0, 1.0, 1.0, 1.0]
    assert not over


def test_costs_add_up_by_hand():
    actions, options = [4, 1, ANSWER], {"scenario": "full"}
    steps = play(make(cost_weight=0.1), actions, options=options)
    end = play(make(cost_weight=0.1, reward="terminal"), actions, options=options)
    assert steps[1] == pytest.approx([0.5 - 0.5, 0.2 - 0.2, 0.0])
    assert end[1] == pytest.approx([0.0, 0.0, 0.7 - 0.7])
    assert [i["cost"] for i in steps[3]] == [0.0, 5.0, 7.0, 7.0]


def test_unscored_sets_by_hand():
    """Even sets are unscored: the base is the first scored set, {A}, and {A, B} gains nothing."""
    options = {"scenario": "full"}
    _, rewards, _, infos = play(make(Gappy), [0, 1, 2, 3], options=options)
    assert rewards == pytest.approx([0.0, 0.0, 0.5, 0.0])
    assert ["score" in i for i in infos] == [False, True, False, True, False]
    _, rewards, _, _ = play(make(Gappy, reward="terminal"), [0, 1, 2, 3], options=options)
    assert rewards == pytest.approx([0.0, 0.0, 0.0, 0.5])


def test_terminal_asks_the_judge_for_the_ends_alone():
    env = make(reward="terminal")
    _, _, _, infos = play(env, [3, 0, ANSWER], options={"scenario": "full"})
    assert env.unwrapped._judge.asked == [(), ("A", "D")]  # names in schema order
    assert ["score" in i for i in infos] == [False, False, False, True]


def test_incremental_asks_for_each_set_once():
    env = make()
    play(env, [3, 3, 0, ANSWER], options={"scenario": "full"})
    assert env.unwrapped._judge.asked == [(), ("D",), ("A", "D")]


def test_known_at_the_start():
    env = make(budget=2, cost_weight=1.0, reward="terminal")
    options = {"scenario": "full", "known": ["B", "E"]}
    observations, rewards, over, infos = play(env, [0, 2], options=options)
    assert observations[0]["known"].tolist() == [0, 1, 0, 0, 1]
    assert observations[0]["budget_left"] == 2  # what the query reveals does not count
    assert infos[0]["action_mask"].tolist() == [1, 0, 1, 1, 0, 1]
    assert over
    assert rewards == pytest.approx([0.0, 0.4 - 4.0])  # nor does it cost or gain


def test_answers_are_coded():
    observations, _, _, _ = play(make(budget=5), [0, 1, 2], options={"scenario": "full"})
    assert observations[0]["answers"].tolist() == [0, 0, 0, 0, 0]
    assert observations[-1]["answers"].tolist() == [2, 3, 1, 0, 0]
    assert observations[-1]["domain"] == DOMAINS.index("health")


def test_the_hidden_profile_stays_hidden():
    """Two people who differ only in what was not asked look the same; no value is ever in words."""
    twin = Scenario("full", "health", "query", dict.fromkeys("ABCDE", HIGH) | {"A": LOW}, SCHEMA)
    seen = []
    for scenario in (SCENARIOS[0], twin):
        env = gymnasium.make(IDS[0], scenarios=[scenario], judge=Additive(), render_mode="ansi")
        observations, rewards, over, infos = play(env, [0, 1], seed=0)
        text = env.render()
        assert "A, B" in text
        assert TELLTALE not in text + repr((observations, infos, env, env.spec))
        seen.append((observations, rewards, over, infos))
    assert data_equivalence(*seen, exact=True)


def test_what_was_returned_is_the_callers_own():
    env = make()
    observation, info = env.reset(seed=0, options={"scenario": "full"})
    for array in (observation["known"], observation["answers"], info["action_mask"]):
        array[:] = 1
    observation, _, _, _, info = env.step(0)
    assert observation["known"].tolist() == [1, 0, 0, 0, 0]
    assert observation["answers"].tolist() == [2, 0, 0, 0, 0]
    assert info["action_mask"].tolist() == [0, 1, 1, 1, 1, 1]


def test_one_sample_an_episode_whatever_is_asked():
    env = make(Noisy)
    for seed, scenario in [(1, "full"), (1, "gaps"), (2, "full")]:
        play(env, [0, 2, ANSWER], seed=seed, options={"scenario": scenario})
    samples = env.unwrapped._judge.samples
    assert len(set(samples[:3])) == 1
    assert samples[0] == samples[3]  # another scenario, the same seed
    assert samples[0] != samples[6]
    env.reset(seed=1)
    assert samples[0] == env.unwrapped._judge.samples[-1]  # drawing the scenario changes nothing
    first = play(env, [0, 1, ANSWER], seed=1, options={"scenario": "full"})[3][-2]["score"]
    second = play(env, [1, 0, ANSWER], seed=1, options={"scenario": "full"})[3][-2]["score"]
    assert first == second


def test_scenarios_are_drawn_evenly_and_picked_by_id_or_index():
    env = make()
    env.reset(seed=0)
    drawn = [env.reset()[1]["scenario_id"] for _ in range(300)]
    assert all(70 <= drawn.count(s.id) <= 130 for s in SCENARIOS)  # 100 +- 8.2 each
    assert env.reset(options={"scenario": "bare"})[1]["scenario_id"] == "bare"
    assert env.reset(options={"scenario": np.int64(1)})[1]["scenario_id"] == "gaps"


def test_steps_outside_an_episode_and_actions_outside_the_space():
    env = make().unwrapped
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    for action in (-1, ANSWER + 1, 0.5):
        with pytest.raises(InvalidAction):
            env.step(action)
    env.step(ANSWER)
    with pytest.raises(ResetNeeded):
        env.step(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scenarios": []},
        {"scenarios": [SCENARIOS[0], SCENARIOS[0]]},
        {"scenarios": [SCENARIOS[0], Scenario("p", "health", "q", {})]},
        {"scenarios": [Scenario("p", "sailing", "q", {})]},
        {"budget": -1},
        {"budget": 2.5},
        {"reward": "dense"},
        {"cost_weight": math.nan},
        {"cost_weight": -1.0},
        {"render_mode": "human"},
    ],
)
def test_wrong_arguments_are_told_in_one_line(wrong):
    arguments = {"scenarios": SCENARIOS, "judge": Additive()} | wrong
    with pytest.raises(UserError) as caught:
        type(make().unwrapped)(**arguments)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"scenario": "nobody"},
        {"scenario": 3},
        {"scenario": -1},
        {"scenario": None},
        {"scenario": "gaps", "known": ["B"]},  # no value there
        {"scenario": "gaps", "known": ["Z"]},
        {"scenaro": 0},
    ],
)
def test_wrong_options_are_told_in_one_line(options):
    with pytest.raises(UserError, match=r"^reset: option [^\n]* expected [^\n]*$"):
        make().reset(options=options)


def test_a_judge_that_loses_scores_is_told():
    class Lossy(Additive):
        def score(self, scenario, contexts):
            return []

    with pytest.raises(UserError, match="Lossy: returned 0 scores"):
        make(Lossy).reset()
