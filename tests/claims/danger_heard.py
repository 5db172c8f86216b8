"""What the detector hears: `python -m tests.claims.danger_heard FILE ...` prints shares with 95 % intervals.

Rows are JSON lines. {"kind", "text"}: a first message, acute where its kind is one of `ACUTE`, else calm; a
row without a kind is an everyday message. {"attribute" or "asked", "text" or "reply"}: an answer to that
question, by its "grave" (true or false) where it has one, else by its kind, and calm. Shares alone are
printed.
"""

import json
import sys
from collections import Counter, defaultdict
from math import sqrt
from pathlib import Path

from policies.understanding.detectors.rules_detector import default_detector

ACUTE = ("direct", "hinted", "slang", "third_person")
Z = 1.959964


def wilson(found, n):
    """Return the ends of the 95 % interval of a share (Wilson 1927)."""
    share, z2 = found / n, Z * Z
    middle, half = share + z2 / (2 * n), Z * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)


def groups_of(row):
    """Return the lines of the table that a row counts in."""
    if "grave" in row:
        return ["grave answer" if row["grave"] else "calm answer to the same question"]
    if "attribute" in row or "asked" in row:
        return ["everyday reply", f"everyday reply, {row['kind']}"]
    kind = row.get("kind")
    if kind is None:
        return ["everyday message"]
    label = "acute" if kind in ACUTE else "calm"
    return [label, f"{label}, {kind}"]


def heard(rows, detector):
    """Return {line of the table: counts of "help", "question" and "nothing"}."""
    counts = defaultdict(Counter)
    for row in rows:
        text = row["text"] if "text" in row else row["reply"]
        danger = detector.check(text, row.get("asked") or row.get("attribute"))
        found = "nothing" if danger is None else "help" if danger.certain else "question"
        for group in groups_of(row):
            counts[group][found] += 1
    return counts


def main(paths):
    """Print the table of all rows of the files."""
    lines = (line for path in paths for line in Path(path).read_text(encoding="utf-8").splitlines())
    counts = heard((json.loads(line) for line in lines if line.strip()), default_detector())
    print(f"{'':34} {'rows':>5}  {'help at once':>20}  {'question':>20}  {'help or question':>20}")
    for group, count in sorted(counts.items()):
        n, cells = count.total(), []
        for found in (count["help"], count["question"], n - count["nothing"]):
            low, high = wilson(found, n)
            cells.append(f"{found / n:6.1%} ({low:5.1%} to {high:5.1%})".rjust(20))
        print(f"{group:34} {n:5}  {'  '.join(cells)}")


if __name__ == "__main__":
    main(sys.argv[1:])
