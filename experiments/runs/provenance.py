"""Where a table comes from: configuration, package versions, commit."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from envs.judges.protocol import describe
from envs.llm.endpoint import WITHOUT_EFFECT

_PACKAGES = ("raise-planner", "numpy", "numba", "ray", "pyarrow", "gymnasium", "hydra-core", "openai")
_NOT_IN_FINGERPRINT = ("output_dir", "resume", "dry_run", "parallel", "tracking", "vars")
"""Keys that may differ between a run and its resumption: they cannot change a row."""
_MAY_ASK_MODELS = {"chat", "policy", "users", "reader", "detector", "embedding"}
"""Further parts whose endpoint and limits may differ as well."""


def config_dict(cfg: DictConfig, budget: int | None = None) -> dict[str, Any]:
    """Return the resolved configuration with the budget, where the command has one, filled in."""
    filled = cfg if budget is None else OmegaConf.merge(cfg, {"budget": budget})
    container = OmegaConf.to_container(filled, resolve=True)
    assert isinstance(container, dict)  # noqa: S101 - a config's root is a mapping
    return {str(key): value for key, value in container.items()}


def digest(files: Iterable[Path]) -> str:
    """Return the SHA-256 of those of `files` that exist, "" where none does."""
    return "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file())


def fingerprint(
    config: dict[str, Any], scenarios_sha256: str, judge: object = None, prior: object = None
) -> str:
    """Return a hash of all that determines the rows of a run.

    What `judge` and `prior` name as `resume_ignored` (an endpoint, limits) is left out: it may differ when a
    run is resumed.
    """
    kept = {key: value for key, value in config.items() if key not in _NOT_IN_FINGERPRINT}
    for key, part in (("judge", judge), ("prior", prior)):
        kept[key] = [_without(kept.get(key), describe(part, key).resume_ignored), part_provenance(part, key)]
    for key in _MAY_ASK_MODELS & kept.keys():
        kept[key] = _without_deep(kept[key], WITHOUT_EFFECT)
    kept["scenarios"] = {
        k: v for k, v in kept["scenarios"].items() if k not in ("path", "attributes", "mapping")
    }
    text = json.dumps([kept, scenarios_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def part_provenance(part: object, role: str = "judge") -> Any:
    """Return what a judge or prior says of itself beyond the configuration (its prompts, say), or None."""
    tell = describe(part, role).provenance
    return None if tell is None else tell()


def _without(keys: Any, names: Collection[str]) -> Any:
    if isinstance(keys, list):
        return [_without(value, names) for value in keys]
    if not isinstance(keys, dict):
        return keys
    return {key: _without(value, names) for key, value in keys.items() if key not in names}


def _without_deep(keys: Any, names: Collection[str]) -> Any:
    if isinstance(keys, dict):
        return {key: _without_deep(value, names) for key, value in keys.items() if key not in names}
    return [_without_deep(value, names) for value in keys] if isinstance(keys, list) else keys


def provenance(
    config: dict[str, Any], source: str, sha256: str, judge: object = None, prior: object = None
) -> dict[str, Any]:
    """Return the run-level metadata of a path table."""
    return {
        "config": config,
        "judge": part_provenance(judge),
        "prior": part_provenance(prior, "prior"),
        "scenarios": {"source": source, "sha256": sha256},
        **versions(),
    }


def versions() -> dict[str, Any]:
    """Return the versions of packages and Python, and the commit of a checkout."""
    commit, dirty = _git()
    return {
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "git_commit": commit,
        "git_dirty": dirty,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> tuple[str | None, bool | None]:
    """Return (commit, dirty) of the checkout that the code runs from; None where it is no checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
        return commit, bool(_output(["git", "-C", str(root), "status", "--porcelain"]))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    return done.stdout.strip()
