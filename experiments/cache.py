"""Look after a cache of replies: `python -m experiments.cache stats|export|merge|verify|repair|... FILE`.

Nothing here prints what a model or a person said; only `export` writes replies, to the file that is named.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO

from envs import UserError
from envs.llm.cache.repair import is_whole, repair
from envs.llm.cache.reply_cache import CacheRow, ReplyCache, ReplyKey, default_path
from experiments.console.arguments import Parser, mistakes_in_one_line, parser

_PRIVATE = 0o600


@contextmanager
def _opened(path: Path, read_only: bool = True) -> Iterator[ReplyCache]:
    with closing(ReplyCache(path, read_only=read_only)) as cache:
        yield cache


def stats(path: Path) -> str:
    """Return how many replies of which model at which endpoint the cache holds, and its size."""
    counts: dict[str, Counter[str]] = {}
    with _opened(path) as cache:
        for row in cache.rows():
            tokens, simulated = _told(row)
            kind = ", SIMULATED" if simulated else ""
            of_model = counts.setdefault(f"{row.model} at {row.endpoint}{kind}", Counter())
            of_model.update(replies=1, later=row.sample > 0, failed=row.reason is not None, tokens=tokens)
    replies = sum(count["replies"] for count in counts.values())
    lines = [f"{path}: {replies:,} replies, {path.stat().st_size / 1e6:.1f} MB"]
    lines += [
        f"  {name}: {n['replies']:,} replies ({n['later']:,} beyond the first look, {n['failed']:,} that "
        f"cannot be used), {n['tokens']:,} tokens paid"
        for name, n in sorted(counts.items())
    ]
    return "\n".join(lines)


def _told(row: CacheRow) -> tuple[int, bool]:
    """Return the tokens that a reply was billed, and whether no model gave it."""
    try:
        reply = json.loads(row.reply)
        return int(reply["input_tokens"]) + int(reply["output_tokens"]), bool(reply.get("simulated"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, False  # `verify` is the one that complains


def export(path: Path, to: Path) -> str:
    """Write the replies to `to` as JSON Lines, readable by its owner alone, and return a line to print.

    Raises
    ------
    UserError
        `to` exists already or cannot be written.
    """
    count = 0
    with _opened(path) as cache, _new_file(to) as file:
        for row in cache.rows():
            entry = {**row._asdict(), "reply": _parsed(path, row)}
            del entry["sha256"]
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            count += 1
    return f"{to}: {count:,} replies, readable by you alone: they may repeat what a profile says"


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}, expected a new file that can be written") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        try:
            yield file
        except UserError:
            path.unlink()  # half an export is none
            raise


def _parsed(path: Path, row: CacheRow) -> object:
    try:
        return json.loads(row.reply)
    except ValueError:
        raise UserError(
            f"cache {path}: the entry {row.key[:12]} is no reply; "
            f"raise-planner cache repair {path} takes it out"
        ) from None


def merge(path: Path, others: Sequence[Path]) -> str:
    """Take into `path` what `others` hold and it does not, and return a line to print.

    Where two have another reply under one key (the same question was paid for twice), that in `path` stays.
    A damaged reply is not taken over.
    """
    added = there = differ = damaged = 0
    for other in others:
        if not other.is_file():
            raise UserError(f"cache {other}: there is no such file, expected a cache of replies")
    with _opened(path, read_only=False) as cache:
        for other in others:
            with _opened(other) as more:
                for row in more.rows():
                    if not is_whole(row):
                        damaged += 1
                        continue
                    held = cache.get(ReplyKey(row.key, row.endpoint, row.attempt))
                    if held is None:
                        cache.add(row)
                    added += held is None
                    there += held == row.reply
                    differ += held is not None and held != row.reply
    told = f", {damaged:,} are damaged and were left out (cache repair FILE)" if damaged else ""
    return f"{path}: {added:,} replies added, {there:,} were there, {differ:,} differ and were left out{told}"


def repaired(path: Path) -> str:
    """Take damaged replies out of the cache, or what can be read out of a damaged file; return a line."""
    backup = path.with_name(f"{path.name}.damaged")
    done = repair(path, backup)
    told = f"{path}: {done.kept:,} replies kept, {done.damaged:,} damaged ones taken out"
    if done.is_new:
        told += f", about {done.unread:.1%} could not be read; the old file is {backup}"
    return told


def forget(path: Path) -> str:
    """Take out what failed, so that it is asked for again; return a line to print."""
    with _opened(path, read_only=False) as cache:
        return (
            f"{path}: {cache.forget_failures():,} replies of requests that brought nothing usable forgotten"
        )


def assign(path: Path, endpoint: str) -> str:
    """Say whose the replies are that an earlier release kept without it; return a line to print."""
    with _opened(path, read_only=False) as cache:
        return f"{path}: {cache.assign(endpoint):,} replies are those of {endpoint} now"


def problems(path: Path) -> list[str]:
    """Return what is wrong with the cache, nothing when all is well: its file, its mode, each reply."""
    files = [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]
    modes = {file: stat.S_IMODE(file.stat().st_mode) for file in files if file.exists()}
    found = [
        f"{file}: mode {mode:o}, expected {_PRIVATE:o}: others can read what was said"
        for file, mode in modes.items()
        if mode & 0o077
    ]
    with _opened(path) as cache:
        found += [f"{path}: SQLite says: {line}" for line in cache.integrity()]
        for row in cache.rows():
            if row.is_damaged:
                found.append(f"{path}: the reply {row.key[:12]} is damaged (its checksum differs)")
            elif not is_whole(row):
                found.append(f"{path}: the entry {row.key[:12]} is no reply")
    return found


def _parser() -> Parser:
    own = parser("cache")
    commands = own.add_subparsers(dest="command", required=True)
    message = {
        "stats": "how many replies, of which models",
        "export": "write all replies as JSON Lines",
        "merge": "take over what other caches hold",
        "verify": "check the file, its mode and every reply",
        "repair": "take out what is damaged, so that it is asked for again",
        "forget": "take out what failed, so that it is asked for again",
        "assign": "say whose the replies are that earlier releases kept without it",
    }
    for name, what in message.items():
        command = commands.add_parser(name, help=what, description=what)
        if name == "forget":
            command.add_argument("what", choices=["failures"], help="requests that brought nothing usable")
        command.add_argument(
            "file",
            type=Path,
            nargs=None if name == "merge" else "?",
            default=default_path(),
            help=f"the cache (of this user: {default_path()})",
        )
        if name == "export":
            command.add_argument("--to", type=Path, required=True, help="a new file, made with mode 600")
        if name == "merge":
            command.add_argument("others", type=Path, nargs="+", help="caches to take replies from")
        if name == "assign":
            command.add_argument("--to", required=True, help="the endpoint, such as api.openai.com/v1")
    return own


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 when `verify` found something."""
    options = _parser().parse_args(arguments)
    if options.command == "verify":
        found = problems(options.file)
        print("\n".join(found) or f"{options.file}: nothing is wrong")
        return 1 if found else 0
    work = {
        "export": lambda: export(options.file, options.to),
        "merge": lambda: merge(options.file, options.others),
        "repair": lambda: repaired(options.file),
        "forget": lambda: forget(options.file),
        "assign": lambda: assign(options.file, options.to),
        "stats": lambda: stats(options.file),
    }
    print(work[options.command]())
    return 0


def main() -> None:
    """Run the command."""
    with mistakes_in_one_line():
        sys.exit(run())


if __name__ == "__main__":
    main()
