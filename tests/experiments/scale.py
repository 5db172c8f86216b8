"""What a training run over many scenarios takes: `python -m tests.experiments.scale 14000 --workers 2`.

Writes so many scenarios (the bundled people, ten queries each under other ids, over and over), plans them,
and looks at the run's processes five times a second. CPU seconds are user and system together; wall time says
little on a shared machine, so the load stands beside it. The start is what was used when the first plan is in
the journal: imports, compiling, reading the whole file. The judge is simulated.

Beyond the start two workers are faster than one by what the CPU seconds allow, if each process has a core: a
scenario takes one worker w, the driver d, and k workers together max(w / k, d).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from envs.loading import load_bundled
from tests.experiments.run_cases import environment

TICK = os.sysconf("SC_CLK_TCK")


def write(path, n):
    people = load_bundled()
    with path.open("w") as file:
        for i in range(n):
            person = people[i // 10 % len(people)]
            row = {"id": f"{i:08d}", "domain": person.domain, "query": person.query}
            file.write(json.dumps({**row, "profile": dict(person.profile)}) + "\n")


def children():
    """Parent, CPU seconds and name of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            found[int(entry.name)] = (int(words[1]), (int(words[11]) + int(words[12])) / TICK, name)
    return found


def kind_of(pid, driver, name):
    if pid == driver:
        return "driver"
    return "workers" if name.startswith("ray::") else "ray"


def peak_mib(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


def measured(folder, command):
    """Exit code, wall seconds, CPU seconds by kind of process, of them at the first plan; peaks of memory."""
    journal = folder / "out" / "plans.jsonl"
    began = time.monotonic()
    started = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    used, start, peak = {}, None, 0.0
    worker_peak = 0.0
    while started.poll() is None:
        now = children()
        ours = {started.pid}
        for pid in sorted(now):  # a child's number is above its parent's, but for a wrap
            if now[pid][0] in ours:
                ours.add(pid)
        for pid in ours & now.keys():
            kind = kind_of(pid, started.pid, now[pid][2])
            if pid in used and used[pid][0] == "workers":
                kind = "workers"  # one that is ending has no name any more
            used[pid] = (kind, now[pid][1])
            if kind == "workers":
                worker_peak = max(worker_peak, peak_mib(pid))
        peak = max(peak, peak_mib(started.pid))
        if start is None and journal.exists() and journal.stat().st_size > 500:
            start = {pid: cpu for pid, (_, cpu) in used.items()}
        time.sleep(0.2)
    total, begun = {}, {}
    for pid, (kind, cpu) in used.items():
        total[kind] = total.get(kind, 0.0) + cpu
        begun[kind] = begun.get(kind, 0.0) + (start or {}).get(pid, 0.0)
    return started.returncode, time.monotonic() - began, total, begun, peak, worker_peak


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", type=int)
    parser.add_argument("--workers", type=int, default=0, help="Ray workers; 0 = in one process")
    parser.add_argument("keys", nargs="*", help="of train, such as budget=2")
    asked = parser.parse_intermixed_args()
    way = ["parallel=serial"]
    if asked.workers:
        way = ["parallel=ray", f"parallel.num_workers={asked.workers}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "s.jsonl", asked.scenarios)
        keys = ["scenarios.path=s.jsonl", "output_dir=out", *way, *asked.keys]
        code, wall, total, begun, peak, worker_peak = measured(
            folder, [sys.executable, "-m", "experiments.train_mcts", *keys]
        )
        size = sum(path.stat().st_size for path in (folder / "out").glob("plans*")) / 2**20
    print(f"{asked.scenarios:,} scenarios, {' '.join([*way, *asked.keys])}: exit {code}")
    each = {}
    for kind, cpu in total.items():
        each[kind] = (cpu - begun[kind]) / asked.scenarios
        print(
            f"  {kind}: {cpu:.1f} CPU s, {begun[kind]:.1f} of them at the start; "
            f"after it {1000 * each[kind]:.3f} ms a scenario"
        )
    print(f"  peak: driver {peak:.0f} MiB, a worker {worker_peak:.0f} MiB; journal {size:.0f} MiB")
    print(f"  wall: {wall:.0f} s, at a load of {os.getloadavg()[1]:.0f} on {os.cpu_count()} cores")
    if work := each.get("workers", 0.0):
        gain = max(work, each["driver"]) / max(work / 2, each["driver"])
        print(f"  beyond the start two workers to one, by CPU seconds: {gain:.2f}")


if __name__ == "__main__":
    main()
