"""`evaluate` and `plan_population` go on after a kill: the same tables, nothing asked twice."""

import json
import os
import signal

import pandas as pd
import pytest

from search.population.history_values import ARRAYS, load_histories
from tests.experiments.run_cases import (
    SERIAL,
    assert_one_line,
    json_lines,
    record,
    start,
    summary,
    wait_for_lines,
    write_scenarios,
)

EVALUATE, POPULATION = "experiments.evaluate", "experiments.plan_population"
TORN = b'{"unit": "plan 0 s1", "val'
JUDGE = '''
import hashlib, time

class Scripted:
    """Slow where wanted, unscored for some sets; notes every set that it has scored, after it has."""
    def __init__(self, delay: float = 0.0, notes: str | None = None):
        self.delay, self.notes = delay, notes

    def score(self, scenario, contexts):
        time.sleep(self.delay)
        digests = [hashlib.sha256(repr((scenario.id, names)).encode()).digest() for names in contexts]
        if self.notes is not None:
            with open(self.notes, "a") as file:
                file.write("".join(f"{scenario.id} {'+'.join(names)}\\n" for names in contexts))
        return [float("nan") if d[1] < 2 and n else 1 + 4 * d[0] / 255 for d, n in zip(digests, contexts)]
'''
SCRIPTED = ("judge=custom", "judge._target_=scripted.Scripted")
DATA = ("scenarios.path=s.jsonl", "scenarios.attributes=a.yaml", "budget=2")
KEYS = {
    EVALUATE: (*DATA, "search=greedy", SERIAL, "draws=20", "value_costs=[0.1]", "min_profiles=2"),
    POPULATION: (*DATA, "pictures=none", "folds=2", "min_profiles=2"),
}
SIMULATED = {
    EVALUATE: ("judge=simulated_varied", "variations=[table_sizes]", "users=mixed"),
    POPULATION: ("judge=simulated_varied", "judge.noise_std=0.1", "seeds=2"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumed")
    (folder / "scripted.py").write_text(JUDGE)
    (folder / "a.yaml").write_text("".join(f"- {{name: {n}}}\n" for n in ("Age", "Gender", "Profession")))
    people = [record(i) for i in range(16)]
    for i, person in enumerate(people):
        person["profile"]["Profession"] = ("nurse", "teacher", "student")[i % 3]
    write_scenarios(folder / "s.jsonl", people)
    return folder


@pytest.fixture(scope="module")
def whole(commands, home):
    """Undisturbed runs under the simulated judge."""
    for module, keys in KEYS.items():
        done = commands.run(home, *keys, *SIMULATED[module], f"output_dir={module}", module=module)
        assert (done.code, done.err) == (0, "")
    return home


def tables(folder):
    """All that a run's tables and figures hold, but times and the folder's name."""
    found = {p.name: pd.read_parquet(p) for p in folder.glob("*.parquet")}
    written = [folder / name for name in ("gains.md", "claims.md")]
    texts = {path.name: path.read_text() for path in written if path.exists()}
    if (folder / "policy_trees.jsonl").exists():
        texts["trees"] = json_lines(folder / "policy_trees.jsonl")[1:]
        histories = load_histories(folder / "histories.npz")
        texts["histories"] = [getattr(histories, name).tobytes() for name in ARRAYS]
    figures = {key: value for key, value in summary(folder).items() if key not in ("wall_s", "config")}
    return found, texts, figures


def assert_same(folder, other):
    (one, texts, figures), (two, more, others) = tables(folder), tables(other)
    assert one.keys() == two.keys()
    for name, frame in one.items():
        pd.testing.assert_frame_equal(frame, two[name], check_exact=True)
    assert texts == more
    assert json.dumps(figures) == json.dumps(others)


def cut(source, target, lines, torn=TORN):
    """Make `target` what a run leaves that was killed after so many finished parts."""
    target.mkdir()
    whole = (source / "units.jsonl").read_bytes().splitlines(keepends=True)
    (target / "units.jsonl").write_bytes(b"".join(whole[: 1 + lines]) + torn)
    return len(whole) - 1


@pytest.mark.parametrize("module", KEYS)
@pytest.mark.parametrize("share", [0.9, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.0, 0.3, 1.0))])
def test_a_stopped_command_goes_on(commands, whole, module, share):
    folder = f"{module}-{share}"
    n = len(json_lines(whole / module / "units.jsonl")) - 1
    cut(whole / module, whole / folder, int(share * n))
    keys = (*KEYS[module], *SIMULATED[module], f"output_dir={folder}", "resume=true")
    done = commands.run(whole, *keys, module=module)
    assert (done.code, done.err) == (0, "")
    assert_same(whole / folder, whole / module)
    assert len(json_lines(whole / folder / "units.jsonl")) == n + 1
    before = (whole / module / "units.jsonl").read_bytes().splitlines(keepends=True)
    kept = b"".join(before[: 1 + int(share * n)])
    assert (whole / folder / "units.jsonl").read_bytes().startswith(kept)


@pytest.mark.parametrize("module", KEYS)
def test_a_finished_folder_says_so_and_another_configuration_is_refused(commands, whole, module):
    keys = (*KEYS[module], *SIMULATED[module], f"output_dir={module}")
    before = (whole / module / "units.jsonl").read_bytes()
    assert_one_line(refused := commands.run(whole, *keys, module=module))
    assert "holds a finished run already" in refused.err
    for change in ("seed=1", "judge=simulated", "budget=1", "scenarios.limit=5"):
        assert_one_line(refused := commands.run(whole, *keys, change, "resume=true", module=module))
        assert "another configuration or scenario file" in refused.err
    done = commands.run(whole, *keys, "resume=true", "tracking=none", module=module)
    assert (done.code, done.err) == (0, "")
    assert "the run here is finished" in done.out
    assert (whole / module / "units.jsonl").read_bytes() == before


@pytest.mark.parametrize("module", KEYS)
@pytest.mark.parametrize("line", ["nonsense", '{"unit": 3, "value": 1}', "[]"])
def test_a_damaged_journal_is_one_line(commands, whole, module, line, tmp_path):
    folder = tmp_path / "damaged"
    cut(whole / module, folder, 2, f"{line}\n".encode())
    keys = (*KEYS[module], *SIMULATED[module], f"output_dir={folder}", "resume=true")
    assert_one_line(done := commands.run(whole, *keys, module=module))
    assert "line 4" in done.err


@pytest.mark.parametrize("module", KEYS)
def test_a_damaged_unit_is_one_line(commands, whole, module, tmp_path):
    folder = tmp_path / "damaged"
    cut(whole / module, folder, 0, b"")
    with (folder / "units.jsonl").open("a") as file:
        for row in json_lines(whole / module / "units.jsonl")[1:]:
            file.write(json.dumps({"unit": row["unit"], "value": {"rows": 3}}) + "\n")
    keys = (*KEYS[module], *SIMULATED[module], f"output_dir={folder}", "resume=true")
    assert_one_line(commands.run(whole, *keys, module=module))


def asked(path):
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize(("module", "points"), [(EVALUATE, (3, 14, 25)), (POPULATION, (2, 9, 17))])
def test_kill_9_and_resume(commands, home, module, points):
    """What a slow judge has said is never asked for again but for the one call that was under way."""
    variations = ("variations=[domains]",) if module == EVALUATE else ()
    keys = (*KEYS[module], *SCRIPTED, *variations)
    name = module.rpartition(".")[2]
    done = commands.run(
        home, *keys, f"+judge.notes={name}-once.txt", f"output_dir={name}-once", module=module
    )
    assert (done.code, done.err) == (0, "")
    killed = f"{name}-killed"
    slow = (*keys, f"+judge.notes={killed}.txt", "+judge.delay=0.04", f"output_dir={killed}", "resume=true")
    for lines in points:
        process = start(home, *slow, module=module)
        wait_for_lines(home / killed / "units.jsonl", lines, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = start(home, *slow, module=module)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, (out, err)
    once, twice = asked(home / f"{name}-once.txt"), asked(home / f"{killed}.txt")
    assert set(once) == set(twice)
    # In flight: one plan (at most 7 sets), or one call (of at most 7).
    assert len(once) <= len(twice) <= len(once) + 7 * len(points)
    assert_same(home / killed, home / f"{name}-once")
