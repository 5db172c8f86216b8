"""`python -m experiments.cache`: what it prints, what it never prints, and what it finds."""

import json
import os
import sqlite3
import stat
import subprocess
import sys

import numpy as np
import pytest

from envs import UserError
from envs.llm import Reply, ReplyCache
from experiments import cache

SAID = "zebra"  # what replies say here, so that a leak is seen


def filled(path, keys, text=SAID, model="m"):
    with_replies = ReplyCache(path)
    for i, key in enumerate(keys):
        with_replies.put(
            key, model, i % 2, Reply(f"{text} {key}", input_tokens=10, output_tokens=5).to_json()
        )
    with_replies.close()
    return path


def keys_of(path):
    found = ReplyCache(path, read_only=True)
    rows = [(row.key, json.loads(row.reply)["text"]) for row in found.rows()]
    found.close()
    return rows


def test_stats(tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["a", "b", "c"])
    filled(path, ["d"], model="n")
    assert cache.run(["stats", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}: 4 replies, ")
    assert lines[1:] == [
        "  m: 3 replies (1 beyond the first look), 45 tokens paid",
        "  n: 1 replies (0 beyond the first look), 15 tokens paid",
    ]


def test_export_writes_everything_for_the_owner_alone(tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["b", "a"])
    to = tmp_path / "out.jsonl"
    assert cache.run(["export", str(path), "--to", str(to)]) == 0
    assert SAID not in capsys.readouterr().out
    rows = [json.loads(line) for line in to.read_text().splitlines()]
    assert [(r["key"], r["model"], r["sample"], r["reply"]["text"]) for r in rows] == [
        ("a", "m", 1, f"{SAID} a"),
        ("b", "m", 0, f"{SAID} b"),
    ]
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    with pytest.raises(UserError, match="File exists, expected a new file"):
        cache.run(["export", str(path), "--to", str(to)])


def test_export_of_a_damaged_cache_leaves_no_half(tmp_path):
    path = filled(tmp_path / "c.sqlite", ["a", "b"])
    spoil(path, "UPDATE replies SET reply = '{' WHERE key = 'b'")
    with pytest.raises(UserError, match="the entry b is no reply"):
        cache.run(["export", str(path), "--to", str(tmp_path / "out.jsonl")])
    assert not (tmp_path / "out.jsonl").exists()


def test_merge_takes_what_is_missing_and_keeps_what_is_there(tmp_path, capsys):
    mine = filled(tmp_path / "mine.sqlite", ["a", "b"])
    same = filled(tmp_path / "same.sqlite", ["b", "c"])
    other = filled(tmp_path / "other.sqlite", ["a", "d"], text="else")
    assert cache.run(["merge", str(mine), str(same), str(other)]) == 0
    assert "2 replies added, 1 were there, 1 differ and were left out" in capsys.readouterr().out
    assert keys_of(mine) == [("a", "zebra a"), ("b", "zebra b"), ("c", "zebra c"), ("d", "else d")]
    assert cache.run(["merge", str(mine), str(same), str(other)]) == 0
    assert "0 replies added, 3 were there, 1 differ" in capsys.readouterr().out
    assert keys_of(same) == [("b", "zebra b"), ("c", "zebra c")]


def test_merge_makes_a_new_file_but_wants_the_others(tmp_path):
    one = filled(tmp_path / "one.sqlite", ["a"])
    cache.run(["merge", str(tmp_path / "new.sqlite"), str(one)])
    assert keys_of(tmp_path / "new.sqlite") == [("a", "zebra a")]
    assert stat.S_IMODE((tmp_path / "new.sqlite").stat().st_mode) == 0o600
    with pytest.raises(UserError, match="there is no such file"):
        cache.run(["merge", str(tmp_path / "never.sqlite"), str(tmp_path / "absent.sqlite")])
    assert not (tmp_path / "never.sqlite").exists()


def spoil(path, statement):
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_merge_refuses_what_is_damaged(tmp_path):
    mine, other = filled(tmp_path / "mine.sqlite", []), filled(tmp_path / "other.sqlite", ["a"])
    spoil(other, "UPDATE replies SET reply = replace(reply, 'zebra', 'horse')")
    with pytest.raises(UserError, match="the reply a is damaged"):
        cache.run(["merge", str(mine), str(other)])
    assert keys_of(mine) == []


def test_verify_finds_nothing_wrong(tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["a"])
    assert cache.run(["verify", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: nothing is wrong\n"


FAULTS = {
    "text changed": ("UPDATE replies SET reply = replace(reply, 'zebra', 'horse')", "is damaged"),
    "checksum changed": ("UPDATE replies SET sha256 = 'x'", "is damaged"),
    "no reply": (
        "UPDATE replies SET reply = '{}',"
        " sha256 = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'",
        "is no reply",
    ),
}


@pytest.mark.parametrize(("statement", "words"), FAULTS.values(), ids=FAULTS)
def test_verify_finds_damage(statement, words, tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["a"])
    spoil(path, statement)
    assert cache.run(["verify", str(path)]) == 1
    told = capsys.readouterr().out
    assert words in told
    assert SAID not in told


def test_verify_finds_a_file_that_others_can_read(tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["a"])
    os.chmod(path, 0o644)
    assert cache.run(["verify", str(path)]) == 1
    assert "mode 644, expected 600" in capsys.readouterr().out


def told_or_raised(path):
    try:
        return cache.problems(path)
    except UserError as error:  # where SQLite cannot even begin
        return [str(error)]


@pytest.mark.parametrize("seed", range(8))
def test_verify_finds_a_torn_file(tmp_path, seed):
    torn = np.random.default_rng(seed).bytes(8192)
    path = filled(tmp_path / "c.sqlite", [f"{i:064x}" for i in range(500)])
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + torn + whole[middle + 8192 :])
    found = told_or_raised(path)
    assert found
    assert all("\n" not in line for line in found)


def test_what_is_no_cache_is_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("hello, this is no database at all, only some text in a file")
    command = [sys.executable, "-m", "experiments.cache", "stats"]
    for name, expected in [("absent", "there is no such file"), ("notes.txt", "not a database")]:
        done = subprocess.run([*command, str(tmp_path / name)], capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert expected in done.stderr
        assert done.stderr.startswith("error: cache ")
