"""Runs commands in forked processes of one that has imported all: each is a process of its own, at once.

One JSON object a line on standard input ({"module", "arguments", "cwd", "out", "err"}), the exit code back.
"""

import contextlib
import gc
import importlib
import json
import math
import os
import sys
import tempfile
import traceback

from envs import load_schema
from experiments import train_mcts
from experiments.runs import progress

progress.INTERVAL_S = math.inf  # whoever reads standard error reads the errors, however slow the machine


def _run(order):
    os.chdir(order["cwd"])
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.path[0] = order["cwd"]  # as `python -m` does
    module = importlib.import_module(order["module"])
    sys.argv = [module.__file__, *order["arguments"]]
    try:
        module.main()
        code = 0
    except SystemExit as stop:
        code = 0 if stop.code is None else stop.code
    except BaseException:  # noqa: BLE001 - what the interpreter does with one: print it, exit 1
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
    # Once here, so that what is imported, loaded and compiled on the way is there in every child.
    sys.argv = ["train_mcts", "parallel=serial", "scenarios.limit=1", f"hydra.run.dir={folder}/run"]
    train_mcts.main()
    load_schema(f"{folder}/run/schema.yaml")  # of a run that is read: its patterns are compiled
gc.freeze()  # no child's collector goes through all that was imported

for line in sys.stdin:
    order = json.loads(line)
    with contextlib.suppress(ImportError):  # the child says so
        importlib.import_module(order["module"])  # for all later children too
    child = os.fork()
    if not child:
        _run(order)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
