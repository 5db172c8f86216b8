"""What reading a large scenario file takes: `python -m tests.envs.big_file --megabytes 1000 --form list`.

Writes the bundled people over and over under other ids, and reads the file as a stream in a process of its
own: peak memory, and CPU seconds, user and system together. What importing takes is told apart.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from envs.loading import load_bundled

_AT_ONCE = 1000
_READ = """
import sys, time
from envs.loading import ScenarioStream
from envs.scenario import Scenario

def peak():
    return next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

before, start = peak(), time.process_time()
reading = ScenarioStream(sys.argv[1])
good = sum(isinstance(record, Scenario) for record in reading)
took = time.process_time() - start
found = f"{reading.layout}, {good:,} scenarios, {took:.0f} CPU s"
print(f"{found}, peak {peak()} MiB, {before} MiB before reading")
"""


def rows(start):
    """Return the next records, flat."""
    people = load_bundled()
    return [
        {"id": f"{i:08d}", "domain": p.domain, "query": p.query, **p.profile}
        for i in range(start, start + _AT_ONCE)
        for p in (people[i // 10 % len(people)],)
    ]


def write(path, form, size):
    """Write records until the file has `size` bytes."""
    n = 0
    if form == "parquet":
        schema = pa.Table.from_pylist(rows(0)).schema
        with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
            while path.stat().st_size < size:
                file.write_table(pa.Table.from_pylist(rows(n)))
                n += _AT_ONCE
        return
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows(0)[0]))
        file.write({"list": "[\n", "object": '{\n"records": [\n'}.get(form, ""))
        if form == "csv":
            table.writeheader()
        while file.tell() < size:
            for row in rows(n):
                if form == "csv":
                    table.writerow(row)
                else:
                    file.write((",\n" if n and form != "lines" else "") + json.dumps(row))
                    file.write("\n" if form == "lines" else "")
                n += 1
        file.write({"list": "\n]\n", "object": "\n]\n}\n"}.get(form, ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--form", choices=("list", "object", "lines", "csv", "parquet"), default="lines")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenarios"
        write(path, asked.form, asked.megabytes * 1_000_000)
        print(f"{asked.form}, {path.stat().st_size / 1e6:,.0f} MB: ", end="", flush=True)
        subprocess.run([sys.executable, "-c", _READ, str(path)], check=True)


if __name__ == "__main__":
    main()
