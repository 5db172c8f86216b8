"""What a command line may say: every key is read by somebody, and what is refused writes nothing."""

import functools
import json

import pytest
import yaml

from experiments.console.keys import keyword_names
from tests.experiments.run_cases import (
    NAMES,
    SERIAL,
    assert_one_line,
    json_lines,
    record,
    rows,
    write_scenarios,
)

PLUG_INS = '''
import numpy as np
from search.problem import Plan

class First:
    """The first `width` attributes."""
    def __init__(self, width: int = 2, part=None):
        self.width = width
    def plan(self, problem, rng):
        return Plan(tuple(range(self.width)), np.full(self.width + 1, 3.0))

class Part:
    def __init__(self, size: int = 1):
        self.size = size

class Open:
    """Takes any keyword."""
    def __init__(self, base: float = 2.0, headers: dict | None = None, **more):
        self.base, self.more = base + len(more), more
    def score(self, scenario, contexts):
        return [self.base + len(names) / 10 for names in contexts]

def prior(scenario, mask, power=1):
    return np.arange(10.0) ** power
'''
YAML = {
    "search/mine": "_target_: plug_ins.First\nwidth: 3\n",
    "search/mistyped": "_target_: plug_ins.First\nwidht: 3\n",
    "search/nested": "_target_: plug_ins.First\npart:\n  _target_: plug_ins.Part\n  sise: 3\n",
    "search/classless": "width: 3\n",
    "search/broken": "_target_: [\n",
    "scenarios/few": "limit: 1\nsplitt: all\n",
    "hydra/launcher/mine": "_target_: plug_ins.Part\nsize: 3\n",
    "bundle/good": "# @package _global_\nbudget: 1\nseed: ${vars.x}\nvars:\n  x: 7\n",
    "bundle/bad": "# @package _global_\nbugdet: 1\n",
}
MINE = "--config-dir=mine"
FIRST = ("search=custom", "search._target_=plug_ins.First")
OPEN = ("judge=custom", "judge._target_=plug_ins.Open")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "plug_ins.py").write_text(PLUG_INS)
    write_scenarios(tmp_path / "s.jsonl", [record(i) for i in range(2)])
    for name, text in YAML.items():
        path = tmp_path / "mine" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def everything(folder):
    """Return every path below `folder`, with the content of files."""
    paths = [p for p in folder.rglob("*") if "__pycache__" not in p.parts]
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in paths}


def refused(command, home, *arguments, **options):
    before = everything(home)
    done = command(*arguments, **options)
    assert_one_line(done)
    assert done.out == ""
    assert everything(home) == before
    return done.err


WRONG = [
    (["+budgett=2"], "budgett", "budget"),
    (["budgett=2"], "budgett", "budget"),
    (["++budgett=2"], "budgett", "budget"),
    (["+sed=3"], "sed", "seed"),
    (["+paralel=ray"], "paralel", "parallel"),
    (["paralel=ray"], "paralel", "parallel"),
    (["+scenarios.limti=3"], "scenarios.limti", "scenarios.limit"),
    (["scenarios.limti=3"], "scenarios.limti", "scenarios.limit"),
    (["+limit=3"], "limit", "scenarios.limit"),
    (["search=mcts", "selection=uct"], "selection", "search.selection"),
    (["search=mcts", "+search.num_simulation=9"], "search.num_simulation", "search.num_simulations"),
    (["search=greedy", "+search.max_judge_call=9"], "search.max_judge_call", "search.max_judge_calls"),
    (["+search.selection=uct"], "search.selection", "search=auto"),
    (["judge.presett=varied"], "judge.presett", "judge.preset"),
    (["+prior.paths=x"], "prior.paths", "prior=uniform"),
    (["tracking=wandb", "+tracking.mod=offline"], "tracking.mod", "tracking.mode"),
    (["~sede"], "sede", "seed"),
    (["~judge.preste"], "judge.preste", "judge.preset"),
    (["+policy=default"], "policy", "prior"),
    (["+preset=quick"], "landscapes", "expected one of"),
    (["+hydra.swep.dir=x"], "hydra.swep", "hydra.sweep"),
    (["hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs", "it takes none"),
    (["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobz=2"], "n_jobz", "hydra.launcher.n_jobs"),
    (["-m", "+sweep=exploration", "hydra.sweeper.n_trialz=3"], "n_trialz", "hydra.sweeper.n_trials"),
    (["-m", "+sweep=exploration", "hydra.sweeper.sampler.sed=3"], "sampler.sed", "sampler.seed"),
    (["-m", MINE, "hydra/launcher=mine", "hydra.launcher.sise=2"], "launcher.sise", "launcher.size"),
    ([*FIRST, "+search.widht=3"], "search.widht", "search.width"),
    ([*FIRST, "search.widht=3"], "search.widht", "search.width"),
    ([MINE, "search=mistyped"], "search.widht", "search.width"),
    ([MINE, "search=nested"], "search.part.sise", "search.part.size"),
    ([MINE, "scenarios=few"], "splitt", "split"),
    ([MINE, "+bundle=bad"], "bugdet", "budget"),
    (["prior=custom", "prior._target_=plug_ins.prior", "prior.powr=2"], "prior.powr", "prior.power"),
    (["-m", "+budgett=2,3"], "budgett", "budget"),
    (["-m", "seed=1,2", "sede=3"], "sede", "seed"),
    (["-m", "search=mcts,greedy", "+search.selection=uct"], "search.selection", "greedy"),
    (["-m", "search=mcts,gredy"], "gredy", "greedy"),
    (["-m", MINE, "search=mine,mistyped"], "search.widht", "search.width"),
    (["-m", "+sweep=exploration", "hydra.sweeper.params={serch.exploration:'interval(0.1,1)'}"],
     "serch", "search"),
    (["-m", "+sweep=exploration", "hydra.sweeper.params={search:'choice(mcts,gredy)'}"], "gredy", "greedy"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "key", "nearest"), WRONG, ids=[" ".join(w[0]) for w in WRONG])
def test_a_key_that_nobody_reads_is_refused_with_the_nearest(command, home, arguments, key, nearest):
    said = refused(command, home, SERIAL, "scenarios.path=s.jsonl", *arguments)
    assert key in said
    assert nearest in said.replace(key, "", 1)


UNREADABLE = [
    (["budget"], "budget", "KEY=VALUE"),
    (["=4"], "=4", "KEY=VALUE"),
    (["+=4"], "+=4", "KEY=VALUE"),
    (["budget=1=2"], "budget", "'1=2'"),
    (["judge.preset='varied"], "judge.preset", "quotes"),
    (["search=static", "search.order=[Age"], "search.order", "in pairs"),
    (["seed=1,2"], "seed", "found '1,2', expected one value"),
    (["-m", "seed=range(3"], "seed", "in pairs"),
    (["-m", "seed=range(a,b)"], "seed", "range(a,b)"),
    (["budget=${vars.none}"], "budget", "vars.none"),
    (["budget=${oc.env:RAISE_NO_SUCH_VARIABLE}"], "budget", "RAISE_NO_SUCH_VARIABLE"),
    (["+search=greedy", "search=mcts"], "search", "more than one"),
    (["--config-name=nothing"], "--config-name=nothing", "no such file"),
    (["judge=custom", "judge._target_=os.path.nothing"], "judge._target_", "os.path has no nothing"),
    (["judge=custom", "judge._target_=no_such_module.Judge"], "judge._target_", "no module no_such_module"),
    (["search=custom", "search._target_=plug_ins.Frist"], "search._target_", "nearest is plug_ins.First"),
    (["search=custom", "search._target_=plug_ins.First.make"], "search._target_", ".make"),
    (["search=custom", "search._target_=plug_ins."], "search._target_", "empty"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "place", "told"), UNREADABLE, ids=[" ".join(w[0]) for w in UNREADABLE])
def test_what_cannot_be_read_or_found_is_told_with_its_place(command, home, arguments, place, told):
    said = refused(command, home, SERIAL, "scenarios.path=s.jsonl", *arguments)
    assert said.startswith(f"error: {place}")
    assert told in said


OTHERS = [
    ("ask", ["+qury=x"], "query"),
    ("ask", ["qury=x"], "query"),
    ("ask", ["users.promt=x"], "users.prompt"),
    ("ask", ["policy.abstention.cost_wieght=1"], "policy.abstention.cost_weight"),
    ("ask", ["policy/acquisiton=nearest"], "policy/acquisition"),
    ("ask", ["policy.acquisition=nearest"], "policy/acquisition=MEMBER"),
    ("ask", ["policy.abstention=[fixed]"], "policy.abstention: found a list"),
    ("ask", ["policy/acquisition=custom"], "policy.acquisition._target_=my_pkg.MyClass"),
    ("evaluate", ["policy.acquisition=3"], "policy/acquisition=MEMBER"),
    ("evaluate", ["+value_cots=0.1"], "value_costs"),
    ("evaluate", ["judge=openai", "judge.model=m", "judge.modle=n"], "judge.model"),
    ("compare_search", ["serches=[greedy]"], "searches"),
    ("compare_search", ["+custom.mine._target_=plug_ins.First", "+custom.mine.widht=2"], "custom.mine.width"),
    ("plan_population", ["+solvr=exact"], "solver"),
    ("judge_figures", ["+seedz=2"], "seed"),
    ("benchmark", ["+repeat=1"], "repeats"),
    ("benchmark_agent", ["decision=1"], "decisions"),
    ("benchmark_llm", ["+latency=1"], "latency_s"),
]


@pytest.mark.parametrize(("name", "arguments", "nearest"), OTHERS, ids=[" ".join(o[1]) for o in OTHERS])
def test_every_command_refuses_keys_that_nobody_reads(command, home, name, arguments, nearest):
    assert nearest in refused(command, home, *arguments, module=f"experiments.{name}")


MISTAKES = [
    ["budget=0"],
    ["seed=x"],
    ["scenarios.limit=many"],
    ["scenarios.path=none.jsonl"],
    ["scenarios=none"],
    ["judge=custom"],
    ["judge=null"],
    ["judge._target_=null"],
    ["search._target_=plug_ins.Nobody"],
    [*FIRST, "search.width=wide"],
    [*FIRST, "part=1"],
    ["search.wave=0"],
    ["~judge"],
    ["budget=2,3"],
    ["budget"],
    ["--multirum"],
    ["--config-dir=nowhere"],
    ["--config-name=nothing"],
    [MINE, "search=classless"],
    [MINE, "search=broken"],
    ["-m", "budget=2,many"],
    ["-m", "budget=2,0"],
    ["-m", "search=mcts", "search.num_simulations=5,many"],
    ["-m", "output_dir=a,b"],
    ["-m", "output_dir=runs/${seed}", "seed=1,2"],
    ["-m", "search=custom", "search._target_=plug_ins.First,plug_ins.Nobody"],
    ["-m", "cost_weight=interval(0,1)"],
    ["-m", "search=mcts", "search.num_simulations=5,0"],
    ["-m", "scenarios.limit=1,2", "judge.preset=published,nobody"],
    ["-m", "scenarios.path=s.jsonl,none.jsonl"],
    ["-m", "seed=1,2", "output_dir=s.jsonl"],
]


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_wrong_command_writes_nothing(command, home, arguments):
    refused(
        command,
        home,
        SERIAL,
        "scenarios.path=s.jsonl",
        *arguments,
        *(["output_dir=out"] * ("-m" not in arguments)),
    )


LATE = [
    ("evaluate", ["draws=0"], "bootstrap: found 0 draws"),
    ("evaluate", ["level=3"], "level: found 3.0"),
    ("evaluate", ["search.wave=0", "paths=null"], "search.wave"),
    ("evaluate", ["-m", "users=mixed", "users.partial=0.1,2"], "users.partial: found 2"),
    ("evaluate", ["-m", "level=0.5,3"], "level: found 3.0"),
    ("plan_population", ["-m", "solver=exact,guess"], "solver: found 'guess'"),
    ("plan_population", ["tracking=wandb", "tracking.mode=x"], "tracking.mode: found 'x'"),
]


@pytest.mark.parametrize(("name", "arguments", "told"), LATE, ids=[" ".join(late[1]) for late in LATE])
def test_what_only_a_constructor_refuses_is_found_before_a_folder_is_made(
    command, home, name, arguments, told
):
    assert told in refused(command, home, *arguments, module=f"experiments.{name}")


@pytest.mark.parametrize(
    ("judge", "search"),
    [
        ([], "search.algorithms.mcts.MCTSSearch"),
        (["judge.noise_std=0.2"], "search.algorithms.bayes.BayesSearch"),
    ],
)
def test_the_configuration_that_is_shown_is_the_one_that_is_saved(command, home, judge, search):
    before = everything(home)
    given = (SERIAL, "scenarios.path=s.jsonl", *judge, "search.num_simulations=20", "output_dir=out")
    done = command("--cfg", "job", *given)
    assert (done.code, done.err) == (0, "")
    assert everything(home) == before
    shown = yaml.safe_load(done.out)
    assert (shown["budget"], shown["search"]["_target_"]) == (4, search)
    assert command(*given).code == 0
    assert yaml.safe_load((home / "out" / ".hydra" / "config.yaml").read_text()) | {"hydra": 0} == shown | {
        "hydra": 0
    }
    only = command("--cfg", "job", "--package", "search", "--resolve", *given)
    assert yaml.safe_load(only.out) == shown["search"]
    assert_one_line(command("--cfg", "job", "--package", "serch", *given))


def test_a_configuration_is_shown_without_the_key_of_its_judge(command, home):
    done = command("--cfg", "job", "judge=openai", "judge.model=m", "judge.key_variable=NO_SUCH_KEY")
    assert (done.code, done.err) == (0, "")
    assert yaml.safe_load(done.out)["budget"] == 4


RIGHT = [
    (["budget=2"], {"budget": 2}),
    (["+budget=2"], {"budget": 2}),
    (["++budget=2"], {"budget": 2}),
    (["~budget"], {"budget": 4}),
    (["~scenarios.limit"], {"budget": 4}),
    (["scenarios.limit=null", "+seed=5"], {"seed": 5}),
    (["+vars.x=3", "seed=${vars.x}"], {"seed": 3}),
    (["'budget'=2"], None),
    (["scenarios.path='s.jsonl'", "budget=1"], {"budget": 1}),
    ([*OPEN, "+judge.base=2", "judge.anything=1", "+judge.other.deep=2"], {"score": 4.4}),
    ([*OPEN, "+judge.headers.X=y", "judge.headers.Z=z"], {"score": 2.4}),
    ([*FIRST, "search.width=3"], {"search": "First", "path": list(NAMES[:3])}),
    ([*FIRST, "+search.width=1", "+search.part._target_=plug_ins.Part", "+search.part.size=2"],
     {"path": [NAMES[0]]}),
    ([MINE, "search=mine"], {"path": list(NAMES[:3])}),
    ([MINE, "search=mine", "search.width=1", "search.max_judge_calls=9"], {"path": [NAMES[0]]}),
    ([MINE, "search=mine", "~search.width"], {"path": list(NAMES[:2])}),
    ([MINE, "+bundle=good"], {"budget": 1, "seed": 7}),
    (["prior=custom", "prior._target_=plug_ins.prior", "prior.power=2"], {"search": "mcts"}),
    (["~search.wave", "hydra.verbose=hydra"], {"budget": 4}),
    (["hydra.job.chdir=true"], {"budget": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "expected"), RIGHT, ids=[" ".join(r[0]) for r in RIGHT])
def test_unusual_commands_that_are_right(command, home, arguments, expected):
    if expected is None:
        pytest.skip("a quoted key is none of Hydra's")
    done = command(SERIAL, "scenarios.path=s.jsonl", *arguments, "output_dir=out dir/x")
    assert (done.code, done.err) == (0, "")
    found = rows(home / "out dir" / "x")
    assert len(found) == 2
    for row in found:
        assert (
            {key: row[key] for key in expected} == pytest.approx(expected)
            if "score" in expected
            else ({key: row[key] for key in expected} == expected)
        )


def test_keys_that_a_mapping_leaves_open_reach_the_judge(command, home):
    options = ("judge=openai", "judge.model=m", "judge.base_url=http://127.0.0.1:9", "dry_run=true")
    before = everything(home)
    done = command(*options, "+judge.headers.X=y", "judge.extra_body.top_k=3", "budget=4")
    assert (done.code, done.err) == (0, "")
    assert everything(home) == before


def test_overrides_stay_as_they_were_typed(command, home):
    typed = [SERIAL, "scenarios.path=s.jsonl", "search=greedy", "+budget=2", "output_dir=out"]
    assert command(*typed).code == 0
    assert yaml.safe_load((home / "out" / ".hydra" / "overrides.yaml").read_text()) == typed


class Base:
    def __init__(self, width=1, *, depth=2):
        pass


class Passing(Base):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (Base, {"width", "depth"}),
        (functools.partial(Base, width=3), {"width", "depth"}),
        (Passing, None),
        (lambda scenario, mask, power=1: None, {"scenario", "mask", "power"}),
        (lambda a, /, b: None, {"b"}),
        (json, None),
    ],
)
def test_what_a_class_accepts(target, names):
    assert keyword_names(target) == names


def test_a_sweep_is_one_folder_with_a_subfolder_a_job(command, home):
    done = command("-m", SERIAL, "scenarios.path=s.jsonl", "search=greedy", "budget=1,2", "output_dir=runs/s")
    assert (done.code, done.err) == (0, "")
    assert {p.name for p in home.iterdir()} >= {"runs", "s.jsonl"}
    assert not {"outputs", "multirun"} & {p.name for p in home.iterdir()}
    assert [rows(home / "runs" / "s" / job)[0]["budget"] for job in "01"] == [1, 2]
    done = command("runs/s", module="experiments.collect")
    assert (done.code, done.err) == (0, "")
    assert "2 of 2 jobs" in done.out
    assert json_lines(home / "runs" / "s" / "1" / ".hydra" / "history.jsonl")[0]["command"] == "train_mcts"


def test_a_dry_sweep_tells_of_every_job_and_writes_nothing(command, home):
    before = everything(home)
    done = command(
        "-m", SERIAL, "scenarios.path=s.jsonl", "search=greedy", "budget=1,2", "seed=range(3)", "dry_run=true"
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.count("Nothing was run.") == 6
    assert everything(home) == before
