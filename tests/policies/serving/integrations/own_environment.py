"""A virtual environment of its own for each framework: their versions of packages are not ours."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
MINUTES_TO_INSTALL = 60


def environment(config, *requirements, with_ours=False):
    """Return the Python of an environment with `requirements`, made once and kept in pytest's cache.

    `with_ours`: what is installed beside this package can be imported too, behind its own. The test is
    skipped, and says why, where they cannot be installed.
    """
    name = "".join(c if c.isalnum() or c in ".-" else "-" for c in requirements[0])
    folder = config.cache.mkdir("environments") / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-compile", *requirements]  # most of tens of thousands of files are never imported
        found = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES_TO_INSTALL)
        if found.returncode:
            last = found.stderr.strip().splitlines()[-1:]
            pytest.skip(f"{requirements[0]} cannot be installed: {' '.join(last)}")
        done.touch()
    if with_ours:
        (packages,) = (folder / "lib").glob("python*/site-packages")
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "ours.pth").write_text("\n".join([str(ROOT), *ours]) + "\n", encoding="utf-8")
    return python


def run(python, script, *arguments, given="", timeout=300):
    """Run a script beside this file; return what it printed, which is JSON."""
    command = [python, Path(__file__).parent / script, *map(str, arguments)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=timeout, env=variables
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
