"""Damage every file that the project reads: `python -m tests.faults.fuzzing --seconds 60`.

Each damaged file has to be read, or be one line that names it. Prints each other end with what repeats it
(seed and number of the damage), and what took over a second of CPU time.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path

from tests.faults.damage import damaged
from tests.faults.loaders import Loader, complaint, loaders

SLOW_S = 1.0


def case(seed: int, name: str, number: int, content: bytes) -> bytes:
    """Return the content of one damaged file; the same for the same arguments."""
    return damaged(random.Random(f"{seed}/{name}/{number}"), content)


def trial(name: str, loader: Loader, content: bytes) -> str | None:
    """Return what is wrong with how `content` ends, None = nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / loader.file
        path.write_bytes(content)
        began = time.process_time()
        try:
            told = complaint(loader, path)
        except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
            where = traceback.extract_tb(error.__traceback__)[-1]
            ours = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
            return (
                f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno} ({where.name})"
            )
        took = time.process_time() - began
        if took > SLOW_S:
            return f"took {took:.1f} s"
        if told is not None and ("\n" in told or (name != "conversation" and loader.file not in told)):
            return f"told without its file, or in several lines: {told[:100]!r}"
        return None


def main() -> None:
    """Damage until the time is over; exit 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzzing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the name of a kind of file")
    given = parser.parse_args()
    found: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], int] = {}
    tried: Counter[str] = Counter()
    took: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        kinds = {n: loader for n, loader in loaders(Path(folder)).items() if given.only in n}
        until, number = time.monotonic() + given.seconds, 0
        while time.monotonic() < until:
            for name, loader in kinds.items():
                began = time.process_time()
                wrong = trial(name, loader, case(given.seed, name, number, loader.content))
                tried[name] += 1
                took[name] += time.process_time() - began
                if wrong is not None:
                    found[name, wrong] += 1
                    first.setdefault((name, wrong), number)
            number += 1
    for (name, wrong), n in found.most_common():
        print(f"{n:6} {name}: {wrong}; first: --seed {given.seed}, damage {first[name, wrong]}")
    print(", ".join(f"{name} {1000 * took[name] / tried[name]:.0f}" for name in tried), "ms each")
    print(f"{sum(tried.values()):,} damaged files, {sum(found.values()):,} not told in one line")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
