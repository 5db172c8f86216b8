"""`python -m experiments.cache`: what it prints, what it never prints, and what it finds."""

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys

import numpy as np
import pytest

from envs import UserError
from envs.llm import ModelReply, ReplyCache
from envs.llm.cache.reply_cache import ReplyKey
from experiments import cache

SAID = "zebra"  # what replies say here, so that a leak is seen


def filled(path, keys, text=SAID, model="m", endpoint="e", reason=None, attempt=0):
    with_replies = ReplyCache(path)
    for i, key in enumerate(keys):
        reply = ModelReply(f"{text} {key}", input_tokens=10, output_tokens=5).to_json()
        with_replies.put(ReplyKey(key, endpoint, attempt), model, i % 2, reply, reason)
    with_replies.close()
    return path


def keys_of(path):
    found = ReplyCache(path, read_only=True)
    rows = [(row.key, json.loads(row.reply)["text"]) for row in found.rows()]
    found.close()
    return rows


def test_stats(tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["a", "b", "c"])
    filled(path, ["d"], model="n", reason="empty")
    assert cache.run(["stats", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}: 4 replies, ")
    assert lines[1:] == [
        "  m at e: 3 replies (1 beyond the first look, 0 that cannot be used), 45 tokens paid",
        "  n at e: 1 replies (0 beyond the first look, 1 that cannot be used), 15 tokens paid",
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


def test_merge_leaves_out_what_is_damaged(tmp_path, capsys):
    mine, other = filled(tmp_path / "mine.sqlite", []), filled(tmp_path / "other.sqlite", ["a", "b"])
    spoil(other, "UPDATE replies SET reply = replace(reply, 'zebra', 'horse') WHERE key = 'a'")
    assert cache.run(["merge", str(mine), str(other)]) == 0
    assert "1 replies added" in (told := capsys.readouterr().out)
    assert "1 are damaged" in told
    assert keys_of(mine) == [("b", "zebra b")]


def test_repair_takes_out_damaged_replies_alone(tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["a", "b", "c"])
    spoil(path, "UPDATE replies SET reply = replace(reply, 'zebra', 'horse') WHERE key = 'b'")
    assert cache.run(["repair", str(path)]) == 0
    assert "2 replies kept, 1 damaged ones taken out" in capsys.readouterr().out
    assert keys_of(path) == [("a", "zebra a"), ("c", "zebra c")]
    assert cache.run(["verify", str(path)]) == 0
    assert [file.name for file in tmp_path.glob("*.damaged")] == []


def test_forget_takes_out_requests_that_brought_nothing_usable(tmp_path, capsys):
    path = filled(tmp_path / "c.sqlite", ["good"])
    filled(path, ["bad", "late", "elsewhere"], reason="refused")
    filled(path, ["bad"], reason="parse", attempt=1)
    filled(path, ["late"], attempt=1)
    filled(path, ["elsewhere"], endpoint="f")
    assert cache.run(["forget", "failures", str(path)]) == 0
    assert "3 replies" in capsys.readouterr().out
    assert [key for key, _ in keys_of(path)] == ["elsewhere", "good", "late", "late"]


FORMAT_1 = """
    CREATE TABLE replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, sample INTEGER NOT NULL,
        reply TEXT NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA user_version=1;
"""


def of_an_earlier_release(path, keys):
    with sqlite3.connect(path) as db:
        db.executescript(FORMAT_1)
        for key in keys:
            reply = ModelReply(f"{SAID} {key}", input_tokens=10, output_tokens=5).to_json()
            db.execute(
                "INSERT INTO replies VALUES (?, 'm', 0, ?, ?)",
                (key, reply, hashlib.sha256(reply.encode()).hexdigest()),
            )
    db.close()
    return path


def test_a_file_of_an_earlier_release_opens_and_its_replies_can_be_given_to_their_endpoint(tmp_path, capsys):
    path = of_an_earlier_release(tmp_path / "c.sqlite", ["a", "b"])
    before = path.read_bytes()
    assert keys_of(path) == [("a", "zebra a"), ("b", "zebra b")]  # read only: it stays as it is
    assert path.read_bytes() == before
    assert cache.run(["verify", str(path)]) in (0, 1)  # SQLite made it, with the umask's mode
    filled(path, ["b"])
    assert len(keys_of(path)) == 3
    assert cache.run(["assign", str(path), "--to", "e"]) == 0
    assert "1 replies are those of e now" in capsys.readouterr().out
    opened = ReplyCache(path, read_only=True)
    assert [(row.key, row.endpoint) for row in opened.rows()] == [("a", "e"), ("b", "e"), ("b", "unknown")]


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


@pytest.mark.parametrize("seed", [1, 5])
def test_a_torn_file_is_found_and_what_can_be_read_of_it_kept(tmp_path, seed):
    torn = np.random.default_rng(seed).bytes(8192)
    keys = [hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(500)]
    path = filled(tmp_path / "c.sqlite", keys)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + torn + whole[middle + 8192 :])
    found = told_or_raised(path)
    assert found
    assert all("\n" not in line for line in found)
    assert not any(SAID in line for line in found)
    assert cache.run(["repair", str(path)]) == 0
    kept = keys_of(path)
    assert 400 < len(kept) < 500  # two pages are gone, with some twenty replies
    assert set(kept) < {(key, f"zebra {key}") for key in keys}
    assert cache.problems(path) == []
    assert (tmp_path / "c.sqlite.damaged").is_file()


def test_what_is_no_cache_is_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("hello, this is no database at all, only some text in a file")
    command = [sys.executable, "-m", "experiments.cache", "stats"]
    for name, expected in [("absent", "there is no such file"), ("notes.txt", "not a database")]:
        done = subprocess.run([*command, str(tmp_path / name)], capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert expected in done.stderr
        assert done.stderr.startswith("error: cache ")
