"""What is frozen: small runs, and how the results of each are read.

All that the golden tests know of the code stands here: the names of the commands and of a few options, the
files a run writes, `Agent`, `PathTable` and the scripted server. Of each result the figures named here are
kept, and no others, so that a new key or column changes nothing; times, wording and people's values are not
among them.
"""

import csv
import itertools
import json
import shutil
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from envs.llm.scripted.scripted_server import ScriptedServer
from policies import Agent
from search.path_table import PathTable
from tests.experiments.run_cases import Commands, json_lines

HERE = Path(__file__).parent


SCENARIOS = f"scenarios.path={HERE / 'scenarios.jsonl'}"
"""Four bundled people of four domains, one with half of the attributes; and a record without a query."""
SERIAL = "parallel=serial"

SEARCHES = (
    "auto", "bayes", "beam", "exhaustive", "greedy", "gumbel", "halving", "mcts", "mcts_paper", "random",
    "static", "static_four", "static_paper", "uct",
)  # fmt: skip
TIED = ("exhaustive", "mcts", "greedy", "bayes", "beam", "gumbel", "halving", "random", "uct")
NAMED = {
    "uct": ("search=mcts", "search.selection=uct"),
    "static": ("search=static", "search.order=[Profession,Emotional State,Age]"),
    "static_four": (
        "search=static",
        "search.order=[Age,Emotional State,Mental Health Status,Profession]",
    ),
    "static_paper": ("search=static",),
}
"""Cases that are not the name of a member of the group alone."""

PATHS = (
    "scenario_id", "domain", "path", "path_scores", "score", "score_stderr", "n_samples", "search_score",
    "budget", "num_simulations", "judge_calls", "search", "judge", "seed",
)  # fmt: skip
TRAINED = (
    "n_scenarios", "n_planned", "n_failed", "judge_calls", "requests", "simulations", "mean_score_empty",
    "mean_score_path", "mean_score_full", "mean_path_length", "mean_optimism",
)  # fmt: skip
GAINS = (
    "domain", "plan", "n_people", "n_scenarios", "n_nodes", "objective", "score", "questions", "gain",
    "held_objective", "held_questions", "held_gain", "held_stderr",
)  # fmt: skip
TREE = ("domain", "planner", "n_profiles", "budget", "fallback")
NODE = ("ask", "probability", "value", "stop_value", "answers")
RUNS = (
    "landscape", "noise_std", "search", "calls", "scenario_id", "path", "true", "regret", "reported",
    "belief", "search_calls", "judge_calls", "simulations",
)  # fmt: skip
COMPARED = (
    "landscape", "noise_std", "calls", "search", "problems", "judges", "regret", "low", "high", "optimism",
    "belief_error", "judge_calls", "vs_greedy", "vs_greedy_low", "vs_greedy_high", "vs_greedy_verdict",
)  # fmt: skip
METHOD = ("score", "questions", "answered", "disclosure", "share", "worse")
VARIED = ("variation", "setting", "method", "score", "questions", "share")
TURN = ("kind", "attribute", "path", "declined", "revealed", "signal")


class Runs:
    """Runs commands as users do, in `folder`; each gets a folder of results of its own."""

    def __init__(self, folder, execute=None):
        self.folder = folder
        shutil.copy(HERE / "coarse_judge.py", folder)
        self._server = None if execute else Commands(folder)
        self._execute = execute or self._server.run
        self._numbers = itertools.count()

    def __call__(self, command, *arguments):
        out = self.folder / f"run-{next(self._numbers)}"
        done = self._execute(self.folder, *arguments, f"output_dir={out}", module=f"experiments.{command}")
        assert done.code == 0, done.err
        return out

    def stop(self):
        if self._server:
            self._server.stop()


def pick(row, names):
    return {name: row[name] for name in names}


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def failures_of(folder):
    return [pick(row, ("scenario_id", "stage")) for row in json_lines(folder / "failures.jsonl")]


def trained(runs, *arguments):
    """Rows of the path table, the failures, and the figures of the run."""
    out = runs("train_mcts", SCENARIOS, SERIAL, *arguments)
    rows = [pick(row, PATHS) for row in PathTable.load(out).table.to_pylist()]
    return [*rows, *failures_of(out), pick(summary_of(out), TRAINED)]


def _named(search):
    return NAMED.get(search, (f"search={search}",))


def searched(search, judge, noise, runs):
    return trained(
        runs, *_named(search), f"judge={judge}", f"judge.noise_std={noise}", "budget=3", "search.wave=2"
    )


def limited(search, runs):
    """The options that change plans, all at once."""
    return trained(
        runs, f"search={search}", "judge=simulated_varied", "judge.noise_std=0.17", "judge.model_seed=3",
        "seed=5", "budget=2", "cost_weight=0.1", "report_samples=3", "search.max_judge_calls=25",
    )  # fmt: skip


def tied(search, runs):
    """Many sets and orders with the same score."""
    return trained(
        runs, *_named(search), "judge=custom", "judge._target_=coarse_judge.CoarseJudge", "budget=3"
    )


def language_model(mode, search, runs):
    """A run with the scripted model as judge, after it has been replayed from its cache with equal rows."""
    cache = f"judge.cache={runs.folder / f'{mode}-{search}.sqlite'}"
    plan = (f"search={search}", "search.max_judge_calls=12", "report_samples=2", "budget=2")
    with ScriptedServer() as server:
        model = ("judge=openai", "judge.model=m", f"judge.base_url={server.url}", f"judge.mode={mode}")
        paid = trained(runs, *plan, *model, cache)
        assert server.seen.requests == paid[-1]["requests"]
    replayed = trained(runs, *plan, "judge=replay", f"judge.mode={mode}", cache)
    assert replayed == [*paid[:-1], paid[-1] | {"requests": 0}]
    return paid


def population(runs, *arguments):
    """Each node of each tree, what the plans gain, and what the summary says of following them."""
    out = runs(
        "plan_population", "judge=simulated_varied", "cost_weight=0.1", "min_profiles=3", "budget=2",
        "scenarios.limit=25", "folds=2", "pictures=none", *arguments,
    )  # fmt: skip
    trees = json_lines(out / "policy_trees.jsonl")[1:]
    nodes = [
        {"tree": tree["domain"], "node": number, **pick(node, NODE)}
        for tree in trees
        for number, node in enumerate(tree["nodes"])
    ]
    gains = [pick(row, GAINS) for row in pq.read_table(out / "gains.parquet").to_pylist()]
    means = {k: v for k, v in summary_of(out).items() if k.startswith(("mean_", "held_", "one_tree_"))}
    return [*[pick(tree, TREE) for tree in trees], *nodes, *gains, *[{k: v} for k, v in means.items()]]


def compared(runs, *arguments):
    """Every plan, and the table of the results."""
    out = runs("compare_search", "preset=quick", "model_seeds=1", "bootstrap=50", SERIAL, *arguments)
    plans = [pick(row, RUNS) for row in pq.read_table(out / "runs.parquet").to_pylist()]
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        table = [pick(row, COMPARED) for row in csv.DictReader(file)]
    return [*plans, *table]


def evaluated(runs, *arguments):
    """What each method scored and asked with each person; the figures of methods, pairs and variations."""
    out = runs(
        "evaluate", "search=greedy", "judge=simulated_varied", "judge.noise_std=0.17", "budget=2",
        "value_costs=[0.1]", "policy/acquisition=conditional", "min_profiles=3", "draws=50", *arguments,
    )  # fmt: skip
    results = pq.read_table(out / "results.parquet").to_pylist()
    held = {}
    for row in results:
        one = held.setdefault((row["method"], row["model_seed"]), {"scores": [], "asked": []})
        one["scores"].append(row["score"])
        one["asked"].append(row["asked"])
    found = summary_of(out)
    return [
        *[{"method": method, "model_seed": seed, **one} for (method, seed), one in held.items()],
        *[{"method": name, **pick(figures, METHOD)} for name, figures in found["methods"].items()],
        *[pick(pair, ("name", "other", "kind", "interval")) for pair in found["pairs"]],
        *[pick(varied, VARIED) for varied in found["variations"]],
    ]


REPLIES = {
    "Age": "I turned 41 in March",
    "Marital Status": "I'd rather not say",
    "Mental Health Status": "anxious, mostly at night",
    "Economic Status": "struggling",
    "Past Self-Harm History": None,
    "Emotional State": "overwhelmed",
}
"""What the person says, by the attribute asked for; to others that it is average."""


def said(turn):
    """The turn without wording and values; of the context, the names."""
    row = {name: getattr(turn, name) for name in TURN}
    return {**row, "context": list(turn.context)}


def talked(query, domain=None, until=9, replies=REPLIES):
    """A conversation over the table of the package, saved and taken up again after each turn."""
    agent = Agent.load()
    turns = [agent.start(query, domain=domain)]
    while turns[-1].kind == "ask":
        agent = Agent.from_json(agent.to_json(), agent)
        ask = turns[-1]
        over = len(turns) > until
        turns.append(agent.answer_now() if over else agent.reply(replies.get(ask.attribute, "average")))
    return [{"query": query}, *[said(turn) for turn in turns]]


def conversations(runs):
    danger = REPLIES | {"Emotional State": "I want to kill myself tonight"}
    return [
        *talked("Should I lend my brother the money?"),
        *talked("I'm 34 and I work as a nurse. Should I take the loan from my brother?"),
        *talked("I cannot sleep since the diagnosis. Should I quit my job?", "health"),
        *talked("Should I move back in with my ex until spring?", until=2),
        *talked("My wife moved out on Sunday. Do I call her?", "relationship", replies=danger),
    ]


TREE_SEARCH = ("solver=mcts", "num_simulations=500", "decline_rate=0.2")
EVALUATE_FEW = ("scenarios.limit=8", "variations=[]")
JUDGES = tuple(itertools.product(("simulated", "simulated_varied"), (0.0, 0.17)))

CASES = {
    **{f"train_mcts-{s}-{j}-{n}": partial(searched, s, j, n) for s in SEARCHES for j, n in JUDGES},
    **{f"train_mcts-{s}-limited": partial(limited, s) for s in ("bayes", "mcts")},
    **{f"train_mcts-{s}-ties": partial(tied, s) for s in TIED},
    **{
        f"train_mcts-{s}-llm_{m}": partial(language_model, m, s)
        for m, s in (("response", "mcts"), ("direct", "auto"))
    },
    "plan_population-exact": population,
    "plan_population-exact-noisy": lambda runs: population(runs, "judge.noise_std=0.17", "samples=2"),
    "plan_population-mcts": lambda runs: population(runs, *TREE_SEARCH),
    "compare_search-few": lambda runs: compared(runs, "landscapes=[sketch]", "calls=[20]"),
    "compare_search-quick": compared,
    "evaluate-few": lambda runs: evaluated(runs, *EVALUATE_FEW),
    "evaluate-varied": lambda runs: evaluated(runs, "scenarios.limit=12", "model_seeds=2", "folds=2"),
    "agent": conversations,
}
"""Name of a file in `rows/` -> what finds its rows."""

SLOW = {
    *[f"train_mcts-{s}-simulated-0.0" for s in SEARCHES if s not in ("bayes", "mcts")],
    *[f"train_mcts-{s}-simulated-0.17" for s in SEARCHES],
    *[f"train_mcts-{s}-simulated_varied-0.17" for s in ("auto", "bayes", "random")],
    *[f"train_mcts-{s}-ties" for s in TIED[3:]],
    "train_mcts-auto-llm_direct",
    "compare_search-quick",
    "evaluate-varied",
}
"""Those left to `-m slow`: the plain ones take less than a minute."""

TYPED = (
    "train_mcts-mcts-simulated_varied-0.0",
    "train_mcts-bayes-simulated_varied-0.17",
    "plan_population-exact",
)
"""Those that are also run by `python -m` in a fresh process each."""
