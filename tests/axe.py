"""axe-core, which tests of pages ask what somebody would stumble on."""

import shutil
import subprocess
import tarfile

import pytest

SERIOUS = (
    "axe.run().then((r) => r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))"
    ".map((v) => `${v.impact} ${v.id}: ${v.nodes[0].html}`))"
)


def axe_core(cache):
    """Return the text of axe-core, fetched once and kept in pytest's cache; skips where it cannot be had."""
    folder = cache.mkdir("axe-core")
    file = folder / "package" / "axe.min.js"
    if not file.exists():
        npm = ["npm", "pack", "axe-core@4"]
        if shutil.which("npm") is None or subprocess.run(npm, cwd=folder, capture_output=True).returncode:
            pytest.skip("axe-core cannot be fetched from npm")
        (archive,) = folder.glob("axe-core-*.tgz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    return file.read_text(encoding="utf-8")
