"""Runs in batches beside a direct one: `python -m tests.experiments.batches 500 --kills 3`.

Plans so many scenarios three times over the scripted server, each time with a cache of its own: directly, in
batches, and in batches with so many `kill -9`, some random time after a batch was made. Compares the rows,
counts each request that was answered, and tells what it cost by the packaged prices.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from envs.llm.scripted.scripted_batches import BatchScript
from envs.llm.scripted.scripted_replies import default_completion, identity, number
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from tests.experiments.paid.test_paid_runs import paid
from tests.experiments.run_cases import record, rows, start, summary, write_scenarios


class Answered:
    """A rule of the server that counts how often each request was answered."""

    def __init__(self):
        self.times = Counter()

    def __call__(self, body):
        self.times[number(identity(body))] += 1
        return default_completion(body)


def finished(folder, keys):
    process = start(folder, *keys)
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}: {err or out}")


def killed(folder, keys, running, seed):
    """Start a session and kill it some time after its next batch was made; tell whether it was killed."""
    made = len(running.batches.sizes)
    process = start(folder, *keys)
    while process.poll() is None and len(running.batches.sizes) <= made:
        time.sleep(0.05)
    time.sleep(random.Random(seed).uniform(0.0, 4.0))
    was_running = process.poll() is None
    if was_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return was_running


def told(name, folder, answered, running):
    total, twice = sum(answered.times.values()), sum(n > 1 for n in answered.times.values())
    lines = sum(running.batches.delivered.values())
    found = summary(folder / name)
    print(
        f"{name}: {found['n_planned']} planned; server: {total:,} answers, {lines:,} of them lines of "
        f"{len(running.batches.sizes)} batches, {twice} requests answered twice; ${found['cost']:.2f}",
        flush=True,
    )
    return rows(folder / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=500)
    parser.add_argument("--kills", type=int, default=3)
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scenarios(folder / "s.jsonl", [record(i) for i in range(given.n)])
        for way, batches in (("direct", False), ("batches", True), ("killed", True)):
            answered = Answered()
            script = Script(answered, batches=BatchScript(work_s=2.0) if batches else None)
            with ScriptedServer(script) as running:
                keys = paid(running.url, f"output_dir={way}", f"judge.cache={way}.sqlite")
                if batches:
                    keys = [key for key in keys if not key.startswith("judge.concurrent_plans")]
                    keys = [*keys, "judge.batch=true"]
                kills = 0
                if way == "killed":
                    for seed in range(given.kills):
                        kills += killed(folder, [*keys, f"resume={bool(seed)}".lower()], running, seed)
                    keys = [*keys, "resume=true"]
                finished(folder, keys)
                print(f"{way}: killed {kills} times" if kills else way, flush=True)
                found[way] = told(way, folder, answered, running)
    for way in ("batches", "killed"):
        same = sum(a == b for a, b in zip(found[way], found["direct"], strict=True))
        print(f"rows of {way} equal to those sent directly: {same} of {given.n}")


if __name__ == "__main__":
    main()
