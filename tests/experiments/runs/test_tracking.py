"""What reaches a tracker, read back from the files of Weights & Biases (offline) and TensorBoard."""

import json
import os
import struct
import time

import pyarrow.parquet as pq
import pytest

from envs import UserError
from experiments.runs.tracking import WandbTracker
from tests.experiments.run_cases import SERIAL, json_lines, record, rows, summary, write_scenarios


def transaction_log(path):
    """Yield the records of a `.wandb` file: a head of 7 bytes, then LevelDB's log format.

    Blocks of 32 KiB; each chunk is crc32 (4 bytes), length (2), type (1: 1 whole, 2 first, 3 middle, 4 last).
    """
    data = path.read_bytes()
    at, parts = 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768  # what is left of a block holds no head: padding
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if not kind:
            return
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


def offline_entries(folder):
    """Return the records of the one offline run below `folder`, once the last of them is there.

    The library's own process writes them, and ends a moment after the run has.
    """
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        entries = []
        for data in transaction_log(path):
            entries.append(wandb_internal_pb2.Record())
            entries[-1].ParseFromString(data)
        if any(entry.HasField("exit") for entry in entries):
            return entries
        time.sleep(0.05)
    raise AssertionError(f"{path}: no end of the run")


def offline_records(folder):
    """Return (config, summary, history rows) of the one offline run below `folder`."""
    config, figures, history = {}, {}, []

    def take(into, items):
        for item in items:
            into[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)

    for entry in offline_entries(folder):
        take(config, entry.run.config.update)
        take(config, entry.config.update)
        take(figures, entry.summary.update)
        if entry.HasField("history"):
            history.append({})
            take(history[-1], entry.history.item)
    return config, figures, history


def test_an_offline_run_holds_the_figures(command, tmp_path):
    write_scenarios(tmp_path / "s.jsonl", [record(i, query=f"wanted-{i}") for i in range(4)])
    done = command(
        SERIAL, "scenarios.path=s.jsonl", "tracking=wandb", "tracking.mode=offline", "+budget=2",
        "search.num_simulations=20", "output_dir=out", "tracking.name=mine", "tracking.tags=[a,b]",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    config, figures, history = offline_records(tmp_path / "out")
    expected = summary(tmp_path / "out")
    assert config["budget"] == 2
    assert config["search"]["num_simulations"] == 20
    for key in ("n_planned", "judge_calls", "mean_score_path", "mean_score_full", "mean_optimism"):
        assert figures[key] == expected[key]
    (logged,) = [row for row in history if "mean_score_path" in row]
    assert logged["mean_score_path"] == expected["mean_score_path"]
    (table,) = (tmp_path / "out").glob("wandb/offline-run-*/files/media/table/by_domain*.json")
    by_domain = json.loads(table.read_text())
    assert by_domain["columns"] == [
        "domain",
        "scenarios",
        "score_empty",
        "score_path",
        "score_full",
        "questions",
        "asked_first",
    ]
    stored = rows(tmp_path / "out")
    last = dict(zip(by_domain["columns"], by_domain["data"][-1], strict=True))
    assert (last["domain"], last["scenarios"]) == ("all", 4)
    assert last["score_path"] == pytest.approx(sum(row["score"] for row in stored) / 4)
    assert last["asked_first"] in {row["path"][0] for row in stored}


RECORDER = """
import json
from pathlib import Path
class Recorder:
    def __init__(self, note):
        self.note = note
    def start(self, config, folder):
        self.path = Path(folder) / "told.jsonl"
        self.tell("start", dict(config), self.note)
    def progress(self, figures, step):
        self.tell("progress", dict(figures), step)
    def finish(self, summary, tables, drawings, files):
        kept = {name: str(path) for name, path in files().items()}
        self.tell("finish", dict(summary), {"tables": tables, "drawings": drawings(), "files": kept})
    def tell(self, what, figures, more):
        with self.path.open("a") as file:
            file.write(json.dumps([what, figures, more]) + "\\n")
"""
CUSTOM = ("tracking=custom", "tracking._target_=recorder.Recorder", "+tracking.note=mine")
WANDB = ("tracking=wandb", "tracking.mode=offline")
TENSORBOARD = ("tracking=tensorboard",)


@pytest.mark.parametrize("options", [WANDB, TENSORBOARD, CUSTOM], ids=["wandb", "tensorboard", "custom"])
def test_no_query_and_no_value_reaches_the_tracker(command, tmp_path, options):
    """Neither in what is logged nor in what a library writes by itself: console, arguments, debug logs."""
    (tmp_path / "recorder.py").write_text(RECORDER)
    people = [
        {"id": f"p{i}", "domain": "health", "query": f"Bartholomew asks {i}",
         "profile": {"Age": f"3{i}, Philippa", "Emotional State": "Philippa is sad"}}
        for i in range(3)
    ]  # fmt: skip
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in people), encoding="utf-8")
    options = (*options, "scenarios.path=s.jsonl", "output_dir=out")
    assert command(SERIAL, *options, "search=greedy", "+budget=2").code == 0
    out = tmp_path / "out"
    ours = {out / "plans.jsonl", out / "paths.parquet"}
    written = [p for p in out.rglob("*") if p.is_file() and p not in ours]
    assert {".wandb", ".jsonl"} & {p.suffix for p in written} or any("tfevents" in p.name for p in written)
    for path in written:
        content = path.read_bytes()
        if path.suffix == ".parquet":  # compressed: as text
            content = str(pq.read_table(path).to_pylist()).encode() + str(pq.read_schema(path)).encode()
        assert b"Bartholomew" not in content, path.name
        assert b"Philippa" not in content, path.name
    assert "Bartholomew" in str(rows(out))  # the check could fail: the run's own table has the queries


def test_the_path_table_goes_as_an_artifact_without_its_queries(command, tmp_path):
    assert command(SERIAL, *WANDB, "scenarios.limit=3", "search=greedy", "output_dir=out").code == 0
    artifacts = [e.request.log_artifact.artifact for e in offline_entries(tmp_path / "out")]
    artifacts += [e.artifact for e in offline_entries(tmp_path / "out")]
    (artifact,) = [a for a in artifacts if a.name == "paths"]
    (entry,) = artifact.manifest.contents
    file = tmp_path / "out" / "paths_without_queries.parquet"
    assert (tmp_path / entry.local_path).read_bytes() == file.read_bytes()
    kept = [{k: v for k, v in row.items() if k != "query"} for row in rows(tmp_path / "out")]
    assert pq.read_table(file).to_pylist() == kept


def test_progress_reaches_the_tracker_during_the_run(command, tmp_path):
    """Each scenario of four is more than a per cent: a row each, the last of which is the run's sum."""
    done = command(SERIAL, *WANDB, "scenarios.limit=4", "search=greedy", "output_dir=out")
    assert (done.code, done.err) == (0, "")
    _, _, history = offline_records(tmp_path / "out")
    during = [row for row in history if "progress/judge_calls" in row]
    stored = rows(tmp_path / "out")
    assert [row["_step"] for row in during] == [1, 2, 3, 4]
    calls = [row["judge_calls"] for row in stored]
    assert [row["progress/judge_calls"] for row in during] == [sum(calls[:n]) for n in (1, 2, 3, 4)]
    means = [sum(row["score"] for row in stored[:n]) / n for n in (1, 2, 3, 4)]
    assert [row["progress/mean_score"] for row in during] == pytest.approx(means)


def test_a_tracker_of_ones_own_is_told_everything(command, tmp_path):
    (tmp_path / "recorder.py").write_text(RECORDER)
    done = command(SERIAL, *CUSTOM, "scenarios.limit=2", "search=greedy", "output_dir=out")
    assert (done.code, done.err) == (0, "")
    start, *during, finish = json_lines(tmp_path / "out" / "told.jsonl")
    assert (start[0], start[1]["budget"], start[2]) == ("start", 4, "mine")
    assert [(what, step) for what, _, step in during] == [("progress", 1), ("progress", 2)]
    found = summary(tmp_path / "out")
    assert during[-1][1]["judge_calls"] == found["judge_calls"] == finish[1]["judge_calls"]
    assert set(finish[2]["tables"]) == {"by_domain"}
    assert set(finish[2]["drawings"]) == {"planned_paths"}
    assert set(finish[2]["files"]) == {"paths"}


def test_a_plan_for_a_population_is_tracked(command, tmp_path):
    (tmp_path / "recorder.py").write_text(RECORDER)
    done = command(
        *CUSTOM, "scenarios.limit=12", "budget=1", "folds=2", "pictures=none", "output_dir=out",
        module="experiments.plan_population",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    start, *during, finish = json_lines(tmp_path / "out" / "told.jsonl")
    assert (start[0], start[1]["min_profiles"], start[2]) == ("start", 10, "mine")
    assert [(what, step) for what, _, step in during] == [("progress", n) for n in (1, 2, 3, 4)]
    assert finish[1] == summary(tmp_path / "out")
    columns, gains = finish[2]["tables"]["gains"]
    assert [row[columns.index("domain")] for row in gains] == ["relationship", "by domain", "all"]
    assert finish[2]["files"] == {"trees": "out/policy_trees.jsonl"}


FAILING = """
from experiments.runs.tracking import TrackerError
class Failing:
    def __init__(self, at):
        self.at = at
    def start(self, config, folder):
        self.fail("start")
    def progress(self, figures, step):
        self.fail("progress")
    def finish(self, summary, tables, drawings, files):
        self.fail("finish")
    def fail(self, at):
        if at == self.at:
            raise (TrackerError if at == "progress" else ConnectionResetError)("nobody\\nthere")
"""


@pytest.mark.parametrize("at", ["start", "progress", "finish"])
def test_a_tracker_that_fails_costs_one_line_and_no_row(command, tmp_path, at):
    (tmp_path / "failing.py").write_text(FAILING)
    options = (SERIAL, "scenarios.limit=3", "search=greedy")
    failing = ("tracking=custom", "tracking._target_=failing.Failing", f"+tracking.at={at}")
    done = command(*options, *failing, "output_dir=out")
    assert done.code == 0
    assert done.err == "warning: tracking: Failing failed (nobody there); the run goes on without it\n"
    assert command(*options, "output_dir=plain").code == 0
    assert rows(tmp_path / "out") == rows(tmp_path / "plain")


def events(folder):
    """Return the values of the one file of events in `folder`: [(tag, step, number, text or picture)].

    TFRecord: length (8 bytes), its CRC (4), a message of that length, its CRC (4).
    """
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.glob("events.out.tfevents.*")
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            more = b"".join(value.tensor.string_val).decode() or value.image.encoded_image_string
            found.append((value.tag, event.step, value.simple_value, more))
    return found


def test_tensorboard_holds_curves_figures_and_tables(command, tmp_path):
    pytest.importorskip("tensorboardX")
    done = command(SERIAL, *TENSORBOARD, "scenarios.limit=4", "search=greedy", "output_dir=out")
    assert (done.code, done.err) == (0, "")
    found = events(tmp_path / "out" / "tensorboard")
    calls = [row["judge_calls"] for row in rows(tmp_path / "out")]
    curve = [(step, value) for tag, step, value, _ in found if tag == "progress/judge_calls"]
    assert curve == [(n, sum(calls[:n])) for n in (1, 2, 3, 4)]
    (score,) = [value for tag, _, value, _ in found if tag == "summary/mean_score_path"]
    assert score == pytest.approx(summary(tmp_path / "out")["mean_score_path"])
    texts = {tag.partition("/")[0]: text for tag, _, _, text in found if text}
    assert '"num_simulations"' in texts["config"] or '"budget": 4' in texts["config"]
    assert "| all | 4 |" in texts["by_domain"]


def test_tensorboard_holds_a_picture(tmp_path):
    pytest.importorskip("tensorboardX")
    from matplotlib.image import imsave

    from experiments.runs.tracking import TensorBoardTracker

    imsave(tmp_path / "p.png", [[0.0, 1.0, 0.5]])
    tracker = TensorBoardTracker()
    tracker.start({}, tmp_path)
    tracker.finish({}, {}, lambda: {"figure": tmp_path / "p.png", "drawn": "<svg/>"})
    pictures = [(tag, more) for tag, _, _, more in events(tmp_path / "tensorboard") if tag == "figure"]
    assert [more[:4] for _, more in pictures] == [b"\x89PNG"]


def test_tensorboard_without_its_package_is_one_line(monkeypatch):
    import importlib.util

    from experiments.runs.tracking import TensorBoardTracker

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install 'raise-planner\\[tensorboard\\]'"):
        TensorBoardTracker()


@pytest.fixture
def wandb_mode(monkeypatch):
    """Set WANDB_MODE, which the library reads once a process, until the test is over."""
    import wandb

    def set_mode(mode):
        monkeypatch.setenv("WANDB_MODE", mode)
        wandb.teardown()

    yield set_mode
    monkeypatch.undo()
    wandb.teardown()


@pytest.mark.parametrize(
    ("mode", "environment", "runs"),
    [(None, "offline", 1), (None, "disabled", 0), ("disabled", "offline", 0), ("offline", "disabled", 1)],
)
def test_the_environment_decides_where_the_configuration_does_not(
    wandb_mode, tmp_path, mode, environment, runs
):
    wandb_mode(environment)
    tracker = WandbTracker(mode=mode)
    tracker.start({}, tmp_path)
    tracker.progress({"n": 1}, 1)
    (tmp_path / "f.txt").touch()
    tracker.finish({"score": 2.0}, {"t": (["a"], [[1]])}, files=lambda: {"f": tmp_path / "f.txt"})
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == runs


def test_a_mode_of_the_environment_that_is_none_is_one_line(wandb_mode, tmp_path):
    wandb_mode("rubbish")
    with pytest.raises(UserError, match=r"^tracking=wandb: the environment variable WANDB_MODE: [^\n]*$"):
        WandbTracker().start({}, tmp_path)


@pytest.mark.parametrize("kind", ["UsageError", "CommError"])
def test_no_account_and_no_connection_are_one_line(monkeypatch, tmp_path, kind):
    import wandb

    def refuse(**options):
        raise getattr(wandb.errors, kind)("nobody answers\nsecond line")

    monkeypatch.setattr(wandb, "init", refuse)
    expected = r"^tracking=wandb: nobody answers; tracking\.mode=offline needs no account and no network$"
    with pytest.raises(UserError, match=expected):
        WandbTracker().start({}, tmp_path)


def test_an_offline_run_holds_the_planned_paths_as_a_drawing(command, tmp_path):
    options = ("tracking=wandb", "tracking.mode=offline", "scenarios.limit=3", "+budget=2", "output_dir=out")
    assert command(SERIAL, *options, "search=greedy").code == 0
    (drawing,) = (tmp_path / "out").glob("wandb/offline-run-*/files/media/html/planned_paths*.html")
    text = drawing.read_text()
    assert text.startswith("<svg")
    (first,) = {row["path"][0] for row in rows(tmp_path / "out")[:1]}
    assert 'aria-label="Planned paths: ' in text
    assert first  # it was planned, and every figure of the drawing comes from the paths
    assert "?" not in text  # no query


def test_an_offline_comparison_holds_its_table_and_figure(command, tmp_path):
    done = command(
        "preset=quick", "searches=[greedy,random]", "landscapes=[varied,needle]", "problems=2",
        "model_seeds=1", "calls=[20]", "noise_std=[0.0]", "default_search=random", "bootstrap=10",
        "tracking=wandb", "tracking.mode=offline", SERIAL, "output_dir=out",
        module="experiments.compare_search",
    )  # fmt: skip
    assert done.code == 0, done.err
    config, figures, history = offline_records(tmp_path / "out")
    assert config["calls"] == [20]
    assert figures["simulated"] is True
    assert figures["plans"] == 8
    media = next((tmp_path / "out").glob("wandb/offline-run-*/files/media"))
    (table,) = media.glob("table/regret*.json")
    assert {row[0] for row in json.loads(table.read_text())["data"]}
    (picture,) = media.glob("images/figure*.png")
    assert picture.read_bytes() == (tmp_path / "out" / "regret.png").read_bytes()
    assert any("figure._type" in row for row in history)


def test_no_tracking_leaves_nothing(command, tmp_path):
    assert command(SERIAL, "scenarios.limit=1", "output_dir=out").code == 0
    assert "wandb" not in os.listdir(tmp_path) + os.listdir(tmp_path / "out")


def test_a_sweep_tracks_each_run(command, tmp_path):
    options = ("tracking=wandb", "tracking.mode=offline", "scenarios.limit=1", "search=greedy")
    assert command("-m", SERIAL, *options, "+budget=1,2", "hydra.sweep.dir=sweep").code == 0
    budgets = [offline_records(tmp_path / "sweep" / number)[0]["budget"] for number in "01"]
    assert budgets == [1, 2]
