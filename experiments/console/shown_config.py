"""Print a configuration for `--cfg`: what would run, with its budget and what `search=auto` stands for."""

from __future__ import annotations

import argparse
from typing import Any

from hydra._internal.hydra import Hydra
from omegaconf import DictConfig, OmegaConf

from envs import UserError


def print_config(hydra: Hydra, job: DictConfig, options: argparse.Namespace) -> None:
    """Print the part of `job` that `--cfg`, `--package` and `--resolve` name.

    Raises
    ------
    UserError
        there is no such package.
    """
    from experiments.runs.build import as_it_runs  # builds the judge: slow to import

    shown: Any = hydra.get_sanitized_cfg(as_it_runs(job), options.cfg)
    if options.package not in (None, "_global_"):
        shown = OmegaConf.select(shown, options.package)
        if shown is None:
            raise UserError(f"--package={options.package}: no such key of the configuration")
        print(f"# @package {options.package}")
    if not OmegaConf.is_config(shown):
        print(shown)
        return
    if options.resolve:
        OmegaConf.resolve(shown)
    print(OmegaConf.to_yaml(shown), end="")
