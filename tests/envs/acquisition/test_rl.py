"""Standard learners on the environment, held against random questions and against the planner.

The population is synthetic: what an attribute is worth depends on the domain and on the person's
answer, gains saturate, and some values are missing, so no one set of questions is best for all. An
agent learns on some people and is measured on others, whom it never met. `pytest -s` prints the
shares, and a JUnit report holds them as properties.
"""

import itertools

import gymnasium
import numpy as np
import pytest

from envs import DOMAINS, Attribute, Level, Scenario, Schema

N, N_LEVELS, N_DOMAINS, BUDGET = 8, 3, 4, 3
N_TRAIN, N_TEST = 150, 300
ENV = "envs/AttributeAcquisition-v0"
LEVELS = tuple(Level(word, (word,)) for word in ("one", "two", "three"))
SCHEMA = Schema(Attribute(f"a{i}", "?", levels=LEVELS) for i in range(N))


class Saturating:
    """s(U) = 2 + 2.5 (1 - exp(-sum of weights over U)) - harm; weight[domain, attribute, level]."""

    def __init__(self):
        rng = np.random.default_rng(7)
        by_domain = rng.lognormal(-1.6, 1.0, (N_DOMAINS, N, 1))
        self.weight = by_domain * rng.lognormal(0.0, 0.6, (N_DOMAINS, N, N_LEVELS))
        self.harm = 0.2 * (rng.random((N_DOMAINS, N, N_LEVELS)) < 0.1)

    def score(self, scenario, contexts):
        domain, codes = DOMAINS.index(scenario.domain), scenario.codes
        values = []
        for context in contexts:
            cells = [(domain, i, codes[i]) for i in map(SCHEMA.index, context)]
            total = sum(self.weight[cell] for cell in cells)
            values.append(2 + 2.5 * (1 - np.exp(-total)) - sum(self.harm[cell] for cell in cells))
        return values


def _people(rng, n):
    """Return `n` scenarios; one value in eight is missing."""
    words = [level.name for level in LEVELS]
    return [
        Scenario(
            f"p{i}",
            DOMAINS[rng.integers(N_DOMAINS)],
            "query",
            {name: words[rng.integers(N_LEVELS)] for name in SCHEMA.names if rng.random() > 1 / 8},
            SCHEMA,
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(11)
    return _people(rng, N_TRAIN), _people(rng, N_TEST)


def _make(scenarios, **kwargs):
    return gymnasium.make(ENV, scenarios=scenarios, judge=Saturating(), budget=BUDGET, **kwargs)


def _returns(scenarios, act):
    """Return float64[len(scenarios)]: the return of one episode with each; `act(observation, mask)`."""
    env = _make(scenarios)
    returns = np.zeros(len(scenarios))
    for i in range(len(scenarios)):
        observation, info = env.reset(seed=i, options={"scenario": i})
        over = False
        while not over:
            observation, reward, over, _, info = env.step(act(observation, info["action_mask"]))
            returns[i] += reward
    return returns


def _planned(scenarios):
    """Return float64[len(scenarios)]: the best gain of any set within the budget, by enumeration."""
    judge, gains = Saturating(), []
    for scenario in scenarios:
        names = SCHEMA.names_of(scenario.askable)
        sets = [c for k in range(BUDGET + 1) for c in itertools.combinations(names, k)]
        scores = judge.score(scenario, sets)
        gains.append(max(scores) - scores[0])
    return np.array(gains)


def _random(rng):
    """Legal questions at random until the end: it never answers early, which would make it worse."""

    def act(_, mask):
        asks = np.flatnonzero(mask[:-1])
        return int(rng.choice(asks)) if len(asks) else N

    return act


def _check(name, act, scenarios, record_property):
    """Assert that `act` beats random questions on `scenarios` by a 95 % interval; record the shares."""
    agent, chance, best = (
        _returns(scenarios, act),
        _returns(scenarios, _random(np.random.default_rng(3))),
        _planned(scenarios),
    )
    difference = agent - chance
    half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    assert (agent <= best + 1e-9).all()  # nobody beats the enumeration
    figures = {
        "share_of_planner": agent.sum() / best.sum(),
        "share_of_planner_random": chance.sum() / best.sum(),
        "gain_over_random": difference.mean(),
        "gain_over_random_half_width": half,
    }
    for key, value in figures.items():
        record_property(f"{name}_{key}", round(float(value), 4))
    print(f"\n{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    assert difference.mean() - half > 0, f"{name} is not above random questions"


def _state(observation):
    """What the tabular agent sees: the domain and the known set."""
    return int(observation["domain"]), int(observation["known"] @ (1 << np.arange(N)))


def _q_learning(env, rng, episodes=4000, rate=0.1):
    """Return Q, float64[domains, 2**N, N + 1]: epsilon-greedy Q-learning, undiscounted, with masks.

    Sutton and Barto, Reinforcement Learning (2018), section 6.5. Epsilon falls from 1 to 0.1.
    """
    q = np.zeros((len(DOMAINS), 2**N, N + 1))
    for episode in range(episodes):
        observation, info = env.reset(seed=int(rng.integers(2**31)))
        over, epsilon = False, max(0.1, 1 - 1.5 * episode / episodes)
        while not over:
            state, mask = _state(observation), info["action_mask"]
            explore = rng.random() < epsilon
            action = int(rng.choice(np.flatnonzero(mask))) if explore else _greedy(q[state], mask)
            observation, reward, over, _, info = env.step(action)
            follow = 0.0 if over else q[_state(observation)][info["action_mask"] == 1].max()
            q[state][action] += rate * (reward + follow - q[state][action])
    return q


def _greedy(values, mask):
    return int(np.where(mask == 1, values, -np.inf).argmax())


def test_tabular_q_learning_beats_random_questions(people, record_property):
    train, test = people
    q = _q_learning(_make(train), np.random.default_rng(0))
    _check(
        "q_learning", lambda observation, mask: _greedy(q[_state(observation)], mask), test, record_property
    )


def test_random_questions_do_not_beat_themselves(people, record_property):
    """The check can fail: another draw of the same random policy does not pass it."""
    with pytest.raises(AssertionError, match="control is not above"):
        _check("control", _random(np.random.default_rng(4)), people[1], record_property)


@pytest.mark.slow
def test_maskable_ppo_beats_random_questions(people, record_property):
    """The same with sb3-contrib, the optional extra `rl`; its policy sees the answers too."""
    sb3_contrib = pytest.importorskip("sb3_contrib", reason="needs the extra `rl`")
    train, test = people
    model = sb3_contrib.MaskablePPO(
        "MultiInputPolicy", _make(train), n_steps=1024, batch_size=128, gamma=1.0, seed=0, device="cpu"
    )
    model.learn(16_384)

    def act(observation, mask):
        return int(model.predict(observation, action_masks=mask, deterministic=True)[0])

    _check("maskable_ppo", act, test, record_property)
