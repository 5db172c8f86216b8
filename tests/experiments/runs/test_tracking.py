"""What reaches Weights & Biases, read back from an offline run's file."""

import json
import os
import struct

import pytest

from envs import UserError
from experiments.runs.tracking import WandbTracker
from tests.experiments.run_cases import SERIAL, record, rows, summary, write_scenarios


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


def offline_records(folder):
    """Return (config, summary, history rows) of the one offline run below `folder`."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    config, figures, history = {}, {}, []

    def take(into, items):
        for item in items:
            into[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)

    for data in transaction_log(path):
        entry = wandb_internal_pb2.Record()
        entry.ParseFromString(data)
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


def test_no_query_and_no_value_reaches_the_tracker(command, tmp_path):
    """Neither in what is logged nor in what the library writes by itself: console, arguments, debug logs."""
    people = [
        {"id": f"p{i}", "domain": "health", "query": f"Bartholomew asks {i}",
         "profile": {"Age": f"3{i}, Philippa", "Emotional State": "Philippa is sad"}}
        for i in range(3)
    ]  # fmt: skip
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in people), encoding="utf-8")
    options = ("tracking=wandb", "tracking.mode=offline", "scenarios.path=s.jsonl", "output_dir=out")
    assert command(SERIAL, *options, "search=greedy", "+budget=2").code == 0
    written = [p for p in (tmp_path / "out").glob("wandb/**/*") if p.is_file()]
    assert any(p.suffix == ".wandb" for p in written)
    for path in written:
        content = path.read_bytes()
        assert b"Bartholomew" not in content, path.name
        assert b"Philippa" not in content, path.name


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
