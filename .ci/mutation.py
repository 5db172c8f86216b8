"""Mutation testing of the search core, the path rule and the statistics, by cosmic-ray: hours, by hand alone.

    pip install cosmic-ray
    python .ci/mutation.py                      all mutants of all parts; goes on where it was stopped
    python .ci/mutation.py stats --sample 30    30 mutants of one part, drawn with seed 0

Works in a clone of the committed state, for the source is changed in place; compiled code runs as plain
Python. A mutant that no test notices is printed as a diff: a test is missing, or the change changes nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "stats": (["experiments/stats.py"], "tests/experiments/test_stats.py"),
    "path_rule": (["search/path_rule.py"], "tests/search/test_path_rule.py -k 'not seven_and_eight'"),
    "core": (
        ["search/core/kernels.py", "search/core/tree.py"],
        "tests/search/core/test_golden.py tests/search/core/test_kernels_against_naive.py",
    ),
}
"""Name -> (what is mutated, the tests that have to notice)."""
CONFIG = """\
[cosmic-ray]
module-path = {modules}
timeout = 240.0
excluded-modules = []
test-command = "{python} -m pytest -q -x -n 0 -p no:cacheprovider -p no:randomly {tests}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
# A bar stands in annotations more often than between masks.
exclude-operators = ["core/ReplaceBinaryOperator_BitOr_.*", "core/RemoveDecorator"]
"""


def main() -> None:
    """Mutate the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[], choices=[*PARTS, []], help=", ".join(PARTS))
    parser.add_argument("--sample", type=int, help="how many mutants of each part, drawn with seed 0")
    parser.add_argument("--folder", type=Path, default=Path("mutation"), help="of clone and results")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(exist_ok=True)
    clone = folder / "clone"
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)  # noqa: S603, S607
    for name in given.parts or PARTS:
        _mutate(name, folder, clone, given.sample)


def _mutate(name: str, folder: Path, clone: Path, sample: int | None) -> None:
    modules, tests = PARTS[name]
    config, session = folder / f"{name}.toml", folder / f"{name}.sqlite"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(clone)}

    def run(*command: str | Path) -> None:
        subprocess.run(command, cwd=clone, env=environment, check=True)  # noqa: S603

    if not session.exists():
        config.write_text(CONFIG.format(modules=modules, python=sys.executable, tests=tests))
        run("cosmic-ray", "baseline", config)
        run("cosmic-ray", "init", config, session)
        run("cr-filter-operators", session, config)
        if sample is not None:
            _keep(session, sample)
    run("cosmic-ray", "exec", config, session)
    _report(name, session)


def _keep(session: Path, sample: int) -> None:
    with use_db(session, WorkDB.Mode.open) as db:
        # Names of jobs are random: the places in the source are what is drawn.
        waiting = sorted(db.pending_work_items, key=lambda item: str(item.mutations))
        kept = random.Random(0).sample(waiting, min(sample, len(waiting)))
        for item in waiting:
            if item not in kept:
                db.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED))


def _report(name: str, session: Path) -> None:
    with use_db(session, WorkDB.Mode.open) as db:
        tried = [(job, result) for job, result in db.results if result.worker_outcome == WorkerOutcome.NORMAL]
    survived = [result for _, result in tried if result.test_outcome == TestOutcome.SURVIVED]
    for result in survived:
        print(result.diff)
    print(f"{name}: {len(tried) - len(survived)} of {len(tried)} mutants noticed")


if __name__ == "__main__":
    main()
