"""README and pages of the site as what they show: files, commands, examples, and what these print."""

import contextlib
import itertools
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
READER = runpy.run_path(str(ROOT / ".ci" / "readme_blocks.py"))
blocks, one_liners = READER["blocks"], READER["one_liners"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FRESH_CLONE = set(one_liners(README, 2))
"""What `.ci/run` runs, from a fresh clone."""
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
KINDS = {"bash", "python", "text", "json", "yaml"}
"""Languages of blocks: commands, examples, what they print, and files."""


def steps(text):
    """Return (line, argv, note, what is shown of its output) of each command and example, in order."""
    found = []
    shown = blocks(text)
    for block, after in itertools.zip_longest(shown, shown[1:]):
        output = after.text if after and after.language == "text" and not after.file else ""
        if block.language == "python":
            found.append((block.line, ["python", block.file or "-c", block.text], block.note, output))
        elif block.language == "bash":
            lines = [line for line in block.text.splitlines() if line not in FRESH_CLONE]
            for i, line in enumerate(lines):
                said = output if i == len(lines) - 1 else ""
                found.append((block.line + i, ["bash", "-c", line], block.note, said))
    return found


def write_files(text, folder):
    """Write the files that a document shows."""
    for block in blocks(text):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


def environment(folder, columns=100, **more):
    """Return an environment in which `python` and `raise-planner` are those of this checkout.

    What is cached stays in `folder`.
    """
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    console = programs / "raise-planner"
    console.write_text('#!/bin/sh\nexec python -m experiments.cli "$@"\n', encoding="utf-8")
    console.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "WANDB_SILENT": "true"}
    return {**os.environ, **own, "XDG_CACHE_HOME": str(folder / ".cache"), **more}


def run(argv, folder, env):
    """Run a command or example to its end."""
    command = argv[:2] if argv[0] == "python" and argv[1] != "-c" else argv
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600
    )


@contextlib.contextmanager
def staying(argv, folder, env):
    """Run a command that stays until it is stopped; it serves its port when the body begins."""
    named = re.search(r"\bport[= ](\d+)", argv[-1])
    port = int(named[1]) if named else 8000
    log = folder / f"stays-{port}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {argv[-1]}"], cwd=folder, env=env, stdout=out, stderr=out
        )
        try:
            end = time.monotonic() + 120
            while not _listens(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, f"nothing listens at port {port}: {log.read_text()}"
                time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def skeleton(text):
    """Return lines without figures, spaces and empty lines: what of an output is the same on any day."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [re.sub(r"[+-]?\d[\d.,:-]*", "#", line) for line in lines if line.strip("─━ ")]


def missing_lines(shown, real):
    """Return the lines that are shown, and that the output lacks or has in another order.

    A line `...` stands for any.
    """
    left = iter(skeleton(real))
    return [line for line in skeleton(shown) if line != "..." and not any(line == other for other in left)]
