"""Judges, searchers and priors of the user's, in a module of the working directory."""

import json
import math
import statistics

import pytest

from search.planning import REPORT_SAMPLE
from tests.experiments.run_cases import (
    NAMES,
    REPO,
    SERIAL,
    assert_one_line,
    json_lines,
    planned_ids,
    record,
    rows,
    summary,
    write_scenarios,
)

PLUG_INS = '''
import json, math
import numpy as np
from envs import Score, UserError
from search.path_rule import best_plan
from search.problem import Plan

class Counting:
    """More is better; notes each call."""
    name = "counting"
    def __init__(self, per_attribute: float = 0.25, notes: str | None = None):
        self.per_attribute, self.notes = per_attribute, notes
    def score(self, scenario, contexts):
        if self.notes:
            with open(self.notes, "a") as file:
                file.write("".join(json.dumps([scenario.id, list(c)]) + "\\n" for c in contexts))
        return [2 + self.per_attribute * len(c) for c in contexts]

class First:
    """The first `width` askable attributes, whatever the judge says."""
    def __init__(self, width: int, belief: float = 4.5):
        self.width, self.belief = width, belief
    def plan(self, problem, rng):
        path = [i for i in range(problem.n_attributes) if int(problem.askable) >> i & 1][: self.width]
        return Plan(tuple(path), np.array([1.0] * len(path) + [self.belief]))

class Dice:
    """Sample i of a set of k attributes scores 2 + k / 2 + (i % 4) / 10; each call is noted."""
    stochastic = True
    def __init__(self, notes: str, unscored: list | None = None):
        self.notes, self.unscored = notes, unscored or []
    def score(self, scenario, contexts, samples):
        with open(self.notes, "a") as file:
            for c, s in zip(contexts, samples, strict=True):
                file.write(json.dumps([list(c), s]) + "\\n")
        out = []
        for c, s in zip(contexts, samples):
            bad = len(c) in self.unscored or (s in self.unscored)
            out.append(Score(reason="refused") if bad else 2 + len(c) / 2 + (s % 4) / 10)
        return out

class Looker:
    """Asks the lowest two attributes and looks at the empty set and at them `looks` times."""
    def __init__(self, looks: int = 3):
        self.looks = looks
    def plan(self, problem, rng):
        masks = np.array([0, 1, 3] * self.looks, np.uint64)
        samples = np.repeat(np.arange(self.looks), 3)
        found = problem.evaluate(masks, samples).reshape(self.looks, 3)
        return Plan((0, 1), np.nanmax(found, axis=0, initial=-1))

class OutOfRange:
    """Out of range where Age is known (as a Score or as a number), unscored where Gender is."""
    def score(self, scenario, contexts):
        odd = int(scenario.id[1:]) % 2
        return [(Score(7, 3, 3) if odd else 5.5) if "Age" in c else math.nan if "Gender" in c
                else Score(3, 3, 3 + len(c) / 10) for c in contexts]

class Fails:
    """Its author's mistake, at one scenario."""
    def __init__(self, at: str = "s5", user: bool = False):
        self.at, self.user = at, user
    def score(self, scenario, contexts):
        if scenario.id == self.at:
            if self.user:
                raise UserError("the judge's key is refused, expected another")
            return {"a": 1}["mistake in the plug-in"]
        return [2 + len(c) / 10 for c in contexts]

class Broken:
    def __init__(self):
        raise KeyError("mistake in the constructor")
    def score(self, scenario, contexts):
        return []

class Odd:
    """Returns what is no list of scores."""
    def __init__(self, what: str):
        self.what = what
    def score(self, scenario, contexts):
        return {"short": [3.0] * (len(contexts) - 1), "text": ["3.0"] * len(contexts)}[self.what]

class OddPlan:
    def __init__(self, what: str):
        self.what = what
    def plan(self, problem, rng):
        two = np.zeros(2)
        return {
            "none": None,
            "twice": Plan((1, 1), np.zeros(3)),
            "long": Plan(tuple(range(5)), np.zeros(6)),
            "negative": Plan((-1,), two),
            "beyond": Plan((99,), two),
            "missing": Plan((9,), two),
            "scores": Plan((1,), np.zeros(3)),
            "unscored": Plan((1,), np.array([2.0, np.nan])),
            "names": Plan(("Age",), two),
        }[self.what]

def last_first(scenario, mask, power=0):
    """A prior that wants the last attribute most."""
    return np.arange(10.0) ** power
'''
CUSTOM_JUDGE = ("scenarios.path=s.jsonl", "judge=custom")
N = 10
SEARCHES = sorted({path.stem for path in (REPO / "conf" / "search").glob("*.yaml")} - {"custom"})


@pytest.fixture
def home(tmp_path):
    (tmp_path / "plug_ins.py").write_text(PLUG_INS)
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(N)])
    return tmp_path


def judge(name, *options):
    return (*CUSTOM_JUDGE, f"judge._target_=plug_ins.{name}", *options, "output_dir=out")


def searcher(name, *options):
    return ("search=custom", f"search._target_=plug_ins.{name}", *options)


def test_judge_and_searcher_with_keywords(command, home):
    done = command(
        SERIAL, *judge("Counting", "+judge.per_attribute=0.5"), *searcher("First", "+search.width=3")
    )
    assert (done.code, done.err) == (0, "")
    for row in rows(home / "out"):
        assert row["path"] == list(NAMES[:3])
        assert row["path_scores"] == [2.0, 2.5, 3.0, 3.5]
        assert (row["score"], row["score_stderr"], row["n_samples"]) == (3.5, 0.0, 1)
        assert (row["search_score"], row["judge"], row["search"]) == (4.5, "counting", "First")
        assert row["judge_calls"] == 4  # the searcher asked nothing: the report's prefixes alone
    assert summary(home / "out")["mean_optimism"] == 1.0


@pytest.mark.slow
def test_plug_ins_in_ray_workers(command, home):
    options = (*judge("Counting", "+judge.per_attribute=0.5"), *searcher("First", "+search.width=3"))
    assert command(SERIAL, *options).code == 0
    done = command("parallel=ray", "parallel.num_workers=2", *(o.replace("=out", "=ray") for o in options))
    assert (done.code, done.err) == (0, "")
    assert rows(home / "ray") == rows(home / "out")


def test_a_prior_of_the_users(command, home):
    options = ("prior=custom", "prior._target_=plug_ins.last_first", "+prior.power=9")
    options += ("search=mcts", "search.num_simulations=2", "search.batch_size=1", "+budget=1")
    done = command(SERIAL, *judge("Counting"), *options)
    assert (done.code, done.err) == (0, "")
    assert {tuple(row["path"]) for row in rows(home / "out")} == {("Emotional State",)}


def test_each_set_is_asked_for_once(command, home):
    done = command(
        SERIAL, *judge("Counting", "+judge.notes=calls"), "search=mcts", "search.num_simulations=60"
    )
    assert (done.code, done.err) == (0, "")
    calls = [(scenario, tuple(names)) for scenario, names in json_lines(home / "calls")]
    full = tuple(NAMES)
    for row in rows(home / "out"):
        mine = [names for scenario, names in calls if scenario == row["scenario_id"] and names != full]
        assert len(mine) == len(set(mine)) == row["judge_calls"]
        assert all(list(names) == sorted(names, key=NAMES.index) for names in mine)
    assert len([c for c in calls if c[1] == full]) == N


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("limit", [2, 7, 40])
def test_max_judge_calls_holds_for_every_searcher(command, home, search, limit):
    options = (f"search={search}", f"search.max_judge_calls={limit}", "scenarios.limit=3")
    done = command(SERIAL, *judge("Counting", "+judge.notes=calls"), *options)
    assert (done.code, done.err) == (0, "")
    for plan in json_lines(home / "out" / "plans.jsonl")[1:]:
        asked = {tuple(c) for s, c in json_lines(home / "calls") if s == plan["scenario_id"]}
        assert plan["search_calls"] <= limit
        assert plan["judge_calls"] - plan["search_calls"] <= len(plan["path"]) + 1
        assert len(asked - {tuple(NAMES)}) == plan["judge_calls"]
    found = summary(home / "out")
    assert found["search_judge_calls"] <= 3 * limit


def test_a_stochastic_judge_is_reported_on_fresh_samples(command, home):
    done = command(
        SERIAL,
        *judge("Dice", "+judge.notes=calls"),
        *searcher("Looker"),
        "report_samples=6",
        "scenarios.limit=1",
    )
    assert (done.code, done.err) == (0, "")
    (row,) = rows(home / "out")
    # REPORT_SAMPLE is a multiple of 4: samples give 0 .1 .2 .3 0 .1 on top of 2 + k / 2
    noise = [0.0, 0.1, 0.2, 0.3, 0.0, 0.1]
    assert REPORT_SAMPLE == 1 << 20
    for k, score in enumerate(row["path_scores"]):
        assert score == pytest.approx(2 + k / 2 + sum(noise) / 6, abs=1e-12)
    assert row["score"] == row["path_scores"][-1]
    assert row["n_samples"] == 6
    assert row["score_stderr"] == pytest.approx(statistics.stdev(noise) / math.sqrt(6), abs=1e-12)
    assert row["search_score"] == pytest.approx(3.2)  # the luckiest of its looks 0, 1, 2
    assert row["judge_calls"] == 3 * 3 + 3 * 6
    calls = [(tuple(names), sample) for names, sample in json_lines(home / "calls")]
    assert len(calls) == len(set(calls)) == 27 + 6  # and six looks at the full context
    assert {sample for _, sample in calls} == {0, 1, 2, *range(1 << 20, (1 << 20) + 6)}
    found = summary(home / "out")
    assert found["mean_optimism"] == pytest.approx(3.2 - row["score"])
    assert found["mean_score_full"] == pytest.approx(7 + sum(noise) / 6) or found["mean_score_full"] is None
    assert (found["search_judge_calls"], found["full_context_calls"]) == (9, 6)


def test_unscored_samples_do_not_count(command, home):
    first = 1 << 20
    unscored = f"+judge.unscored=[1,{first},{first + 3}]"
    done = command(
        SERIAL, *judge("Dice", "+judge.notes=calls", unscored), *searcher("Looker"), "report_samples=4",
        "scenarios.limit=1",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    (row,) = rows(home / "out")
    # Contexts of one attribute are unscored: null, not a number; samples 0 and 3 of the report as well.
    assert row["path_scores"] == [pytest.approx(2.15), None, pytest.approx(3.15)]
    assert row["n_samples"] == 2
    assert row["score_stderr"] == pytest.approx(statistics.stdev([0.1, 0.2]) / math.sqrt(2))


def test_one_sample_has_no_standard_error(command, home):
    options = (
        *judge("Dice", "+judge.notes=calls"),
        *searcher("Looker"),
        "report_samples=1",
        "scenarios.limit=1",
    )
    assert command(SERIAL, *options).code == 0
    (row,) = rows(home / "out")
    assert (row["n_samples"], row["score_stderr"]) == (1, "nan")
    assert command(SERIAL, *options, "resume=true").code == 0
    assert rows(home / "out") == [row]


def test_an_unscored_final_context_fails_at_the_report(command, home):
    done = command(
        SERIAL,
        *judge("Dice", "+judge.notes=calls", "+judge.unscored=[2]"),
        *searcher("Looker"),
        "scenarios.limit=1",
    )
    assert_one_line(done, code=1)
    (failure,) = json_lines(home / "out" / "failures.jsonl")
    assert failure["stage"] == "report"
    assert "8 of 8 samples" in failure["reason"]


@pytest.mark.parametrize("search", SEARCHES)
def test_unscored_sets_are_never_chosen(command, home, search):
    done = command(SERIAL, *judge("OutOfRange"), f"search={search}", "+budget=3")
    assert done.code == 0, done.err
    for row in rows(home / "out"):
        assert not {"Age", "Gender"} & set(row["path"])
        assert row["score"] == pytest.approx(3 + len(row["path"]) / 30)
        assert None not in row["path_scores"]


@pytest.mark.parametrize("name", ["Fails", "Broken"])
def test_a_plug_ins_own_error_keeps_its_traceback_and_what_is_finished_is_saved(command, home, name):
    done = command(SERIAL, *judge(name), "search=greedy")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "plug_ins.py" in done.err
    assert "KeyError: 'mistake in the " in done.err
    if name == "Fails":
        assert planned_ids(home / "out") == [f"s{i}" for i in range(5)]
        # Once the plug-in is put right, the run goes on.
        right = PLUG_INS.replace('{"a": 1}["mistake in the plug-in"]', "[2.0] * len(contexts)")
        (home / "plug_ins.py").write_text(right)
        done = command(SERIAL, *judge(name), "search=greedy", "resume=true")
        assert (done.code, done.err) == (0, "")
        assert len(rows(home / "out")) == N


def test_a_user_error_of_a_plug_in_is_one_line(command, home):
    done = command(SERIAL, *judge("Fails", "+judge.user=true"), "search=greedy")
    assert_one_line(done)
    assert planned_ids(home / "out") == [f"s{i}" for i in range(5)]


@pytest.mark.slow
@pytest.mark.parametrize("user", [False, True])
def test_a_plug_ins_error_in_a_ray_worker(command, home, user):
    options = (*judge("Fails", f"+judge.user={str(user).lower()}"), "search=greedy")
    done = command(*options, "parallel=ray", "parallel.num_workers=2", "parallel.chunk_size=100")
    if user:
        assert_one_line(done)
    else:
        assert done.code == 1
        assert "plug_ins.py" in done.err
        assert "KeyError: 'mistake in the plug-in'" in done.err
    # Whoever met s5 had finished its own first part, which is saved; the other worker may not have begun.
    saved = planned_ids(home / "out")
    assert {"s0", "s1"} <= set(saved) or {"s2", "s3"} <= set(saved)
    assert "s5" not in saved
    assert len(saved) == len(set(saved))


@pytest.mark.parametrize("what", ["short", "text"])
def test_a_judge_that_returns_no_scores(command, home, what):
    done = command(SERIAL, *judge("Odd", f"+judge.what={what}"))
    assert_one_line(done)
    assert "judge Odd, scenario s0" in done.err


NO_PLANS = {
    "none": "found a NoneType, expected a Plan",
    "twice": "attribute 1 twice",
    "long": "holds 5 attributes, expected at most 4",
    "negative": "attribute -1, which is not askable",
    "beyond": "attribute 99, which is not askable",
    "missing": "attribute 9, which is not askable",
    "scores": "scores have shape (3,), expected (2,)",
    "unscored": "the final score is not finite",
    "names": "the path holds a str",
}


def assert_refused(done, what):
    assert_one_line(done)
    assert "search OddPlan, scenario s0" in done.err
    assert NO_PLANS[what] in done.err


@pytest.mark.parametrize("what", NO_PLANS)
def test_a_searcher_that_returns_no_plan(command, home, what):
    write_scenarios(home / "s.jsonl", [record(0, profile=dict.fromkeys(NAMES[:9], "x"))])
    assert_refused(command(SERIAL, *judge("Counting"), *searcher("OddPlan", f"+search.what={what}")), what)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["twice", "missing"])
def test_a_searcher_that_returns_no_plan_in_a_ray_worker(command, home, what):
    write_scenarios(home / "s.jsonl", [record(0, profile=dict.fromkeys(NAMES[:9], "x"))])
    options = (*judge("Counting"), *searcher("OddPlan", f"+search.what={what}"))
    assert_refused(command(*options, "parallel=ray", "parallel.num_workers=1"), what)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("+search.width=three", "search.width: found 'three', expected an integer"),
        ("+search.depth=3", "depth"),
        ("search._target_=plug_ins.Counting", "has no method plan"),
        ("search._target_=plug_ins.Missing", "Missing"),
        ("search._target_=plug_in.First", "plug_in"),
    ],
)
def test_a_plug_in_that_does_not_fit_is_one_line(command, home, override, expected):
    done = command(SERIAL, *judge("Counting"), *searcher("First"), override)
    assert_one_line(done)
    assert expected in done.err


def test_files_are_strict_json(command, home):
    options = (*judge("Dice", "+judge.notes=calls"), *searcher("Looker"), "report_samples=1")
    assert command(SERIAL, *options).code == 0  # its standard errors are NaN
    texts = [(home / "out" / "summary.json").read_text()]
    texts += (home / "out" / "plans.jsonl").read_text().splitlines()
    assert len(texts) == N + 2
    for text in texts:
        json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} is no JSON"))
