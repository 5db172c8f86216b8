"""axe-core, which tests of pages ask what somebody would stumble on."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

SERIOUS = (
    "axe.run().then((r) => r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))"
    ".map((v) => `${v.impact} ${v.id}: ${v.nodes[0].html}`))"
)


def axe_core(cache):
    """Return the text of axe-core, fetched once and kept in pytest's cache; skips where it cannot be had."""
    folder = cache.mkdir("axe-core")
    file = folder / "axe.min.js"
    if not file.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # another worker may fetch it meanwhile
            npm = ["npm", "pack", "axe-core@4"]
            if (
                shutil.which("npm") is None
                or subprocess.run(npm, cwd=scratch, capture_output=True).returncode
            ):
                pytest.skip("axe-core cannot be fetched from npm")
            (archive,) = Path(scratch).glob("axe-core-*.tgz")
            with tarfile.open(archive) as packed:
                script = packed.extractfile(f"package/{file.name}").read()
            (Path(scratch) / file.name).write_bytes(script)
            (Path(scratch) / file.name).replace(file)
    return file.read_text(encoding="utf-8")
