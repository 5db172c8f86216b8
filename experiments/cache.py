"""Look after a cache of replies: `python -m experiments.cache stats|export|merge|verify FILE`.

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
from envs.llm import Reply
from envs.llm.reply_cache import CacheRow, ReplyCache, checksum, default_path
from experiments.console.arguments import Parser, parser

_PRIVATE = 0o600


@contextmanager
def _opened(path: Path, read_only: bool = True) -> Iterator[ReplyCache]:
    with closing(ReplyCache(path, read_only=read_only)) as cache:
        yield cache


def stats(path: Path) -> str:
    """Return how many replies of which model the cache holds, and its size."""
    counts: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    with _opened(path) as cache:
        for row in cache.rows():
            counts[row.model] += 1
            samples[row.model] += row.sample > 0
            tokens[row.model] += _tokens(row)
    lines = [f"{path}: {sum(counts.values()):,} replies, {path.stat().st_size / 1e6:.1f} MB"]
    lines += [
        f"  {model}: {counts[model]:,} replies ({samples[model]:,} beyond the first look), "
        f"{tokens[model]:,} tokens paid"
        for model in sorted(counts)
    ]
    return "\n".join(lines)


def _tokens(row: CacheRow) -> int:
    try:
        reply = json.loads(row.reply)
        return int(reply["input_tokens"]) + int(reply["output_tokens"])
    except (ValueError, KeyError, TypeError):
        return 0  # `verify` is the one that complains


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
            entry = {"key": row.key, "model": row.model, "sample": row.sample, "reply": _parsed(path, row)}
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
        raise UserError(f"cache {path}: the entry {row.key[:12]} is no reply") from None


def merge(path: Path, others: Sequence[Path]) -> str:
    """Take into `path` what `others` hold and it does not, and return a line to print.

    Where two have another reply under one key (the same question was paid for twice), that in `path` stays.
    A damaged reply is not taken over: it ends the merge.
    """
    added = there = differ = 0
    for other in others:
        if not other.is_file():
            raise UserError(f"cache {other}: there is no such file, expected a cache of replies")
    with _opened(path, read_only=False) as cache:
        for other in others:
            with _opened(other) as more:
                for row in more.rows():
                    if checksum(row.reply) != row.sha256:
                        raise UserError(
                            f"cache {other}: the reply {row.key[:12]} is damaged (its checksum differs)"
                        )
                    held = cache.get(row.key)
                    if held is None:
                        cache.put(row.key, row.model, row.sample, row.reply)
                    added += held is None
                    there += held == row.reply
                    differ += held is not None and held != row.reply
    return f"{path}: {added:,} replies added, {there:,} were there, {differ:,} differ and were left out"


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
            if checksum(row.reply) != row.sha256:
                found.append(f"{path}: the reply {row.key[:12]} is damaged (its checksum differs)")
            elif not _is_reply(row):
                found.append(f"{path}: the entry {row.key[:12]} is no reply")
    return found


def _is_reply(row: CacheRow) -> bool:
    try:
        Reply.from_json(row.reply)
    except (ValueError, KeyError, TypeError):
        return False
    return True


def _parser() -> Parser:
    own = parser("cache", __doc__)
    commands = own.add_subparsers(dest="command", required=True)
    message = {
        "stats": "how many replies, of which models",
        "export": "write all replies as JSON Lines",
        "merge": "take over what other caches hold",
        "verify": "check the file, its mode and every reply",
    }
    for name, what in message.items():
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("file", type=Path, help=f"the cache (of this user: {default_path()})")
        if name == "export":
            command.add_argument("--to", type=Path, required=True, help="a new file, made with mode 600")
        if name == "merge":
            command.add_argument("others", type=Path, nargs="+", help="caches to take replies from")
    return own


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 when `verify` found something."""
    options = _parser().parse_args(arguments)
    if options.command == "verify":
        found = problems(options.file)
        print("\n".join(found) or f"{options.file}: nothing is wrong")
        return 1 if found else 0
    if options.command == "export":
        print(export(options.file, options.to))
    elif options.command == "merge":
        print(merge(options.file, options.others))
    else:
        print(stats(options.file))
    return 0


def main() -> None:
    """Run the command."""
    try:
        sys.exit(run())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
