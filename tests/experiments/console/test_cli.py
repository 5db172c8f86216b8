"""The console command, from outside: what it lists, refuses, completes, and imports."""

import os
import select
import shutil
import subprocess
import sys
import time

import pytest

from experiments.cli import COMMANDS
from experiments.console.help.completion import candidates
from tests.experiments.run_cases import REPO, environment, rows, summary

HEAVY = ("numpy", "hydra", "omegaconf", "ray", "gymnasium", "pandas", "rich")
CONSOLE = "import sys; from experiments.cli import main; main()"
QUICK = ("scenarios.limit=2", "search.num_simulations=20", "judge.model_seed=0")


@pytest.fixture
def folder(tmp_path):
    """A working folder with things named as ours, and one of the standard library's."""
    for name in ("envs", "policies"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    for name in ("search", "statistics"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "train_mcts.yaml").write_text("a: 1\n")
    (tmp_path / "my_judges.py").write_text(
        "class MyJudge:\n"
        "    name = 'mine'\n"
        "    def score(self, scenario, contexts):\n"
        "        return [1 + 4 * ('Age' in known) for known in contexts]\n"
    )
    return tmp_path


def console(cwd, *arguments, code=CONSOLE):
    """Run `raise-planner ARGUMENTS` as its script does, for which the working folder is not on the path."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def python_m(cwd, module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_alone_it_lists_every_command_with_its_line(tmp_path):
    done = console(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {words[0]: words[1:] for words in map(str.split, done.stdout.splitlines()) if words}
    assert lines["train"] == ["Plan", "a", "path", "of", "questions", "for", "every", "scenario"]
    for name in COMMANDS:
        assert len(lines[name]) > 2


def test_every_command_is_listed():
    folder = REPO / "experiments"
    there = {
        path.stem
        for path in folder.glob("*.py")
        if "def main(" in path.read_text() or "main = " in path.read_text()
    }
    assert set(COMMANDS.values()) == there - {"cli"}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("trian", "train"),
        ("train_mcts", "train"),
        ("benchmark_llm", "benchmark-llm"),
        ("budget=4", None),
        ("", None),
    ],
)
def test_unknown_command_is_one_line_with_the_nearest(tmp_path, name, nearest):
    done = console(tmp_path, name)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {name}:")
    assert (f"did you mean {nearest}?" in done.stderr) == (nearest is not None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        *([name, "--help"] for name in ("train", "collect", "show", "claims", "by-model")),
        ["--completion", "bash"],
        ["--completion", "zsh"],
        ["--complete", "raise-planner train se"],
    ],
    ids=" ".join,
)
def test_help_and_completion_import_nothing_heavy_and_write_nothing(tmp_path, arguments):
    code = f"{CONSOLE}\nprint(*[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    done = console(tmp_path, *arguments, code=code)
    assert (done.returncode, done.stderr) == (0, "\n")
    assert os.listdir(tmp_path) == []


def test_help_is_the_same_both_ways(tmp_path):
    called = console(tmp_path, "ask", "users=mixed", "--help").stdout
    module = python_m(tmp_path, "experiments.ask", "users=mixed", "--help")
    assert (module.returncode, module.stderr) == (0, "")
    assert module.stdout.replace("python -m experiments.ask", "raise-planner ask") == called
    assert "users.evasive=0.1" in called
    assert "Group judge=" not in called
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["cache", "show"])
def test_commands_with_arguments_call_themselves_as_they_were_called(tmp_path, name):
    assert console(tmp_path, name, "--help").stdout.startswith(f"usage: raise-planner {name} ")
    wrong = console(tmp_path, name, "--nothing")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert wrong.stderr.endswith(f"(raise-planner {name} --help)\n")
    assert python_m(tmp_path, f"experiments.{name}", "--help").stdout.startswith(
        "usage: python -m experiments."
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("raise-planner tr", ["train ", "train-domain ", "train-gate ", "train-understanding "]),
        ("raise-planner benchmark-", [f"benchmark-{name} " for name in ("agent", "llm", "models", "serve")]),
        ("raise-planner train sea", ["search="]),
        ("raise-planner train search=b", ["search=bayes ", "search=beam "]),
        ("raise-planner train -m search=mcts,gr", ["search=mcts,greedy "]),
        ("raise-planner train judge.no", ["judge.noise_std="]),
        ("raise-planner train judge=openai judge.mod", ["judge.mode=", "judge.model="]),
        ("raise-planner train judge=openai judge.target.mod", ["judge.target.model="]),
        ("raise-planner train scen", ["scenarios."]),
        ("raise-planner train +budg", ["+budget="]),
        ("raise-planner train resume=t", ["resume=true "]),
        ("raise-planner train --mul", ["--multirun "]),
        ("raise-planner ask policy/abs", ["policy/abstention="]),
        ("raise-planner ask policy/abstention=f", ["policy/abstention=fixed "]),
        ("raise-planner ask judg", []),
        ("raise-planner benchmark sear", []),
        ("raise-planner nothing se", []),
        ("raise-planner show ru", []),
    ],
)
def test_completion(line, expected):
    assert candidates(line, COMMANDS) == expected


def test_completion_after_a_space_offers_all_keys():
    found = candidates("raise-planner train ", COMMANDS)
    assert {"budget=", "search=", "scenarios.", "output_dir="} <= set(found)
    assert "search.wave=" not in found  # those of members come with their group


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("raise-planner train sea", ["search="]),
        ("raise-planner train search=be", ["beam "]),  # bash replaces what stands behind "="
        ("raise-planner train judge.no", ["judge.noise_std="]),
    ],
)
def test_completion_in_bash(tmp_path, line, expected):
    script = tmp_path / "raise-planner"
    script.write_text(f"#!{sys.executable} -P\n{CONSOLE}\n")
    script.chmod(0o755)
    pressed = (
        'eval "$(raise-planner --completion bash)"; COMP_LINE=$1 COMP_POINT=${#1}; '
        '_raise_planner raise-planner; printf "%s\\n" "${COMPREPLY[@]}"; complete -p raise-planner >&2'
    )
    done = subprocess.run(
        ["bash", "-c", pressed, "bash", line],
        env={**environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == expected
    assert "_raise_planner" in done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_completion_in_zsh(tmp_path):
    """TAB in a real shell: what then stands on its command line."""
    script = tmp_path / "raise-planner"
    script.write_text(f"#!{sys.executable} -P\n{CONSOLE}\n")
    script.chmod(0o755)
    (tmp_path / "runs-first").touch()
    terminal, inner = os.openpty()
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PS1": "> ", "TERM": "dumb"}
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"], cwd=tmp_path, env={**environment(), **own},
        stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
    )  # fmt: skip
    try:
        press(terminal, "autoload -Uz compinit; compinit -D -u; "
              'eval "$(raise-planner --completion zsh)"; echo re"ady"\n', "ready\r\n")  # fmt: skip
        for typed, expected in [
            ("raise-planner train-d", "raise-planner train-domain "),
            ("raise-planner train sear", "raise-planner train search="),
            ("raise-planner train -m search=mcts,gr", "raise-planner train -m search=mcts,greedy "),
            ("raise-planner show runs-", "raise-planner show runs-first "),
            ("raise-planner train scenarios.path=runs-", "raise-planner train scenarios.path=runs-first "),
        ]:
            press(terminal, f"{typed}\t", expected)
            press(terminal, '\x15echo o"k"\n', "ok\r\n")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)
        os.close(inner)


def press(terminal, keys, expected):
    """Write `keys` to a terminal, and read until `expected` is there."""
    os.write(terminal, keys.encode())
    seen, limit = "", time.monotonic() + 30
    while expected not in seen:
        assert time.monotonic() < limit, seen
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")


def test_both_ways_give_the_same_rows_and_configuration(tmp_path, command):
    done = console(tmp_path, "train", *QUICK, "budget=2", "parallel=serial", "output_dir=a")
    assert (done.returncode, done.stderr) == (0, "")
    assert command(*QUICK, "+budget=2", "parallel=serial", "output_dir=b").code == 0
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


@pytest.mark.parametrize("module", ["experiments.train_mcts", "experiments.cache"])
def test_python_m_names_what_is_in_the_way(folder, module):
    before = sorted(os.listdir(folder))
    done = python_m(folder, module, "--help")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: envs: this folder ")
    for name in ("envs", "policies"):
        (folder / name / "__init__.py").unlink()
        (folder / name).rmdir()
    assert python_m(folder, module, "--help").stderr.startswith("error: search.py: this file ")
    (folder / "search.py").unlink()
    (folder / "statistics.py").unlink()
    assert python_m(folder, module, "--help").returncode == 0  # `conf/` is no package: it is in nobody's way
    assert set(os.listdir(folder)) < set(before)


def run_in(folder, *arguments):
    done = console(
        folder, "train", "budget=1", "scenarios.limit=2", "judge=custom", "judge._target_=my_judges.MyJudge",
        "output_dir=out", *arguments,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if not line.startswith("planned ")]
    assert (done.returncode, told) == (0, [])  # progress is told where Ray takes long to start
    assert [row["path"] for row in rows(folder / "out")] == [["Age"], ["Age"]]
    assert summary(folder / "out")["n_failed"] == 0


def test_the_console_command_does_not_care_what_is_in_the_working_folder(folder):
    run_in(folder, "parallel=serial")


@pytest.mark.slow
def test_nor_do_its_ray_workers(folder):
    run_in(folder, "parallel=ray", "parallel.num_workers=1")
