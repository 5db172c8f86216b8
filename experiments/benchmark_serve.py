"""Load on the service: `python -m experiments.benchmark_serve`, over a scripted upstream, SIMULATED people.

Conversations run at once and send their turns at fixed times, whether earlier ones were answered or not (open
loop). The service is a process of its own whose CPU and memory are read from the system. `--kill`: one of
two workers is killed half way, as by the system; every conversation has to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openai

from envs.loading import load_scenarios
from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.talk.running_service import running_service, scripted_upstream

REPLIES = ("I am 34", "married", "a nurse", "money is tight", "skip", "I have been anxious", "just answer")


@dataclass
class TurnsSeen:
    """What came of the turns. `seconds`: of each turn, from when it was due; `lost`: errors by name.

    `memory_mb`: of the service, every few seconds.
    """

    seconds: list[float] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    memory_mb: list[float] = field(default_factory=list)


async def talk(client: openai.AsyncOpenAI, query: str, due: Iterator[float], seen: TurnsSeen) -> None:
    """Hold conversations about `query`, a turn at each time that `due` gives."""
    messages: list[Any] = []
    for i, at in enumerate(due):
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        messages.append({"role": "user", "content": REPLIES[i % len(REPLIES)] if messages else query})
        try:
            raw = await client.chat.completions.with_raw_response.create(model="m", messages=messages)
        except openai.APIError as error:
            seen.lost[type(error).__name__] += 1
            messages.pop()
            continue
        seen.seconds.append(time.monotonic() - at)
        text = raw.parse().choices[0].message.content or ""
        messages.append({"role": "assistant", "content": text})
        if raw.headers["x-raise-kind"] not in ("ask", "consent"):
            seen.answers += 1
            messages = []


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; exit 4 where the service does not start, 1 where a turn was lost."""
    chosen = parser("benchmark_serve").parse_args(arguments)
    with (
        mistakes_in_one_line(),
        scripted_upstream() as url,
        running_service(f"upstream.base_url={url}", f"workers={chosen.workers}", "gate=always") as (
            base,
            process,
        ),
    ):
        before = usage(process.pid)
        seen = asyncio.run(_load(base, chosen, process.pid))
        after = usage(process.pid)
        own = own_times(_text_at(f"{base.removesuffix('/v1')}/metrics"))
    turns = len(seen.seconds)
    p50, p99 = np.percentile(seen.seconds or [0.0], [50, 99]) * 1e3
    print(
        f"{turns:,} turns of {chosen.conversations} conversations, {seen.answers:,} answers, SIMULATED people"
    )
    print(f"CPU of the service: {(after.cpu_s - before.cpu_s) / max(turns, 1) * 1e3:.1f} ms a turn")
    print(f"turn, upstream and client included: median {p50:.0f} ms, p99 {p99:.0f} ms")
    print(f"own time of the service, to its reply or to its request upstream: {quantiles(own)}")
    quarters = [np.mean(part) for part in np.array_split(seen.memory_mb or [after.rss_mb], 4) if len(part)]
    print(f"memory: {before.rss_mb:.0f} MB before, then by quarters {[round(mb) for mb in quarters]}")
    print(f"lost: {dict(seen.lost) or 'none'}")
    if seen.lost:
        sys.exit(1)


async def _load(base: str, chosen: object, pid: int) -> TurnsSeen:
    options = vars(chosen)
    seen, queries = TurnsSeen(), [scenario.query for scenario in load_scenarios(None).scenarios]
    conversations, rate, seconds = options["conversations"], options["rate"], options["seconds"]
    pause, start = conversations / rate, time.monotonic() + 1.0
    # As the package's client is by default: two repetitions, which a killed worker's connections need.
    async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=2) as client:
        talks = [
            talk(client, queries[i % len(queries)], due(start + i / rate, pause, start + seconds), seen)
            for i in range(conversations)
        ]
        watching = asyncio.create_task(_watch_memory(pid, seen, seconds / 40))
        killing = asyncio.create_task(_kill_one(pid, seconds / 2)) if options["kill"] else None
        await asyncio.gather(*talks)
        watching.cancel()
        if killing is not None:
            await killing
    return seen


async def _watch_memory(pid: int, seen: TurnsSeen, pause_s: float) -> None:
    while True:
        await asyncio.sleep(pause_s)
        seen.memory_mb.append(usage(pid).rss_mb)


def own_times(metrics: str) -> list[tuple[float, float]]:
    """Return (seconds, share of turns that took at most as long) of each bucket in the text of /metrics."""
    found = re.findall(r'^raise_own_seconds_bucket\{le="([^"]+)"\} (\S+)$', metrics, re.M)
    counts = sorted((float(edge.replace("+Inf", "inf")), float(count)) for edge, count in found)
    return [(edge, count / max(counts[-1][1], 1.0)) for edge, count in counts]


def quantiles(buckets: Sequence[tuple[float, float]]) -> str:
    """Return median and 99th percentile as the edges of the buckets that hold them."""
    told = []
    for name, share in (("median", 0.5), ("p99", 0.99)):
        edge = next((edge for edge, found in buckets if found >= share), float("inf"))
        told.append(f"{name} <= {edge * 1e3:.0f} ms")
    return ", ".join(told)


def _text_at(address: str) -> str:
    import urllib.request

    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - our own, on loopback
        return str(answer.read().decode())


def due(first: float, pause: float, end: float) -> Iterator[float]:
    """Yield the times of a conversation's turns."""
    while first < end:
        yield first
        first += pause


async def _kill_one(pid: int, after_s: float) -> None:
    await asyncio.sleep(after_s)
    workers = [child for child in children(pid) if "spawn_main" in _command(child)]
    os.kill(workers[0], signal.SIGKILL)


@dataclass(frozen=True)
class ProcessUsage:
    """CPU seconds and resident megabytes of a process and its children."""

    cpu_s: float
    rss_mb: float


def usage(pid: int) -> ProcessUsage:
    """Return what a process and its children have used, from /proc."""
    ticks, pages = 0, 0
    for one in [pid, *children(pid)]:
        with contextlib.suppress(FileNotFoundError):  # a child that has ended
            fields = Path(f"/proc/{one}/stat").read_text("utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            pages += int(fields[21])
    return ProcessUsage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, and these."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):
            own = [int(word) for word in task.read_text("utf-8").split()]
            found += [*own, *(other for one in own for other in children(one))]
    return found


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


if __name__ == "__main__":
    main()
