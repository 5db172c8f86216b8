"""From a command line to jobs: every one is composed and checked before any folder is made, then run.

Hydra's own order is the other way round: it makes a folder and writes into it, then calls the task, which may
refuse. Here a single run is composed once, checked, and makes its folder itself (`folders.start_run`); a
sweep is composed and checked as a whole, then given to Hydra's sweeper and launcher.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Quote, QuotedString
from hydra.core.utils import run_job
from hydra.errors import ConfigCompositionException, OverrideParseException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from envs import UserError
from experiments.console.keys import check_config, unknown_key, unknown_to_schema
from experiments.console.plain_errors import one_of, unreadable
from experiments.console.shown_config import print_config
from experiments.runs.folders import refuse_no_folder

Task = Callable[[DictConfig], Any]

_RUN_FOLDER = "${hydra:runtime.output_dir}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of Hydra's command line; options and overrides in any order.

    Raises
    ------
    UserError
        an option that does not exist.
    """

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}, expected key=value and the options of --help")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(arguments)


def only_shows(options: argparse.Namespace) -> bool:
    """Tell whether Hydra is to show something: its help, completion, information."""
    shows = (options.help, options.hydra_help, options.info, options.shell_completion)
    return any(shows) or options.experimental_rerun is not None


def run(task: Task, prepare: Task, config_name: str, options: argparse.Namespace) -> None:
    """Compose and check all jobs of the command line, then call `task` with the configuration of each.

    `prepare` is called for every job of a sweep before the first; a single task does so itself. With `--cfg`
    the configuration is printed instead.

    Raises
    ------
    UserError, HydraException, OmegaConfBaseException
        a mistake in the command line or in a file of configuration; nothing was written.
    """
    version.setbase("1.3")
    try:
        hydra = _hydra(config_name, options)
        command = CommandLine(hydra, options.config_name or config_name, options.overrides, options.multirun)
        if options.cfg:
            print_config(hydra, command.jobs[0], options)
        elif command.multirun:
            for job in command.jobs:
                HydraConfig.instance().set_config(job)
                prepare(job)
            command.sweep(task)
        else:
            command.run(task, command.jobs[0])
    finally:
        GlobalHydra.instance().clear()


def _hydra(config_name: str, options: argparse.Namespace) -> Hydra:
    path = create_config_search_path(options.config_path or "pkg://conf")
    if options.config_dir is not None:
        folder = Path(options.config_dir).absolute()
        if not folder.is_dir():
            raise UserError(f"--config-dir={options.config_dir}: no such folder, expected one of YAML files")
        path.prepend("command-line", folder.as_uri(), SearchPathQuery(provider="schema"))
    return Hydra.create_main_hydra2(task_name=config_name, config_search_path=path)


class CommandLine:
    """The overrides of one command, and the jobs that they stand for.

    `jobs`: a checked configuration each: one, or of a sweep every combination of the group choices, and every
    other value (of a range the ends) with the first of the rest.
    """

    def __init__(self, hydra: Hydra, config_name: str, overrides: Sequence[str], multirun: bool) -> None:
        self.hydra = hydra
        # The loader's own method copies all that Hydra knows at each call.
        loader: Any = hydra.config_loader
        self._members = functools.cache(loader.repository.get_group_options)
        self.config_name = config_name
        self.overrides = self._parsed(overrides)
        mode = [o.value() for o in self.overrides if o.key_or_group == "hydra.mode"]
        self.multirun = multirun or "MULTIRUN" in mode
        try:
            self.jobs = self._jobs()
        except ConfigCompositionException:
            # Hydra wants `+` for a new key and none for an old one; here either is right, if the key exists.
            try:
                self.overrides = self._parsed(self._either_way())
                self.jobs = self._jobs()
            except ConfigCompositionException as error:
                unknown = unknown_to_schema(error)
                if unknown is None:
                    raise
                raise unknown from None

    def run(self, task: Task, cfg: DictConfig) -> None:
        """Call `task` with `cfg`; its folder is made when it calls `start_run`."""
        folder = cfg.hydra.runtime.output_dir

        def with_folder(job: DictConfig) -> Any:
            now: Any = HydraConfig.get()
            with read_write(now):
                now.runtime.output_dir = folder
            return task(job)

        with read_write(cfg.hydra), open_dict(cfg.hydra):
            # Hydra writes nothing: no copy of the configuration, no log, and its folder is the present one.
            cfg.hydra.mode = RunMode.RUN
            cfg.hydra.output_subdir = None
            cfg.hydra.job.chdir = False
            if _logs_to_file(cfg):
                del cfg.hydra.job_logging.handlers.file
                cfg.hydra.job_logging.root.handlers.remove("file")
        callbacks = Callbacks(cfg)
        callbacks.on_run_start(config=cfg, config_name=self.config_name)
        context = HydraContext(config_loader=self.hydra.config_loader, callbacks=callbacks)
        done = run_job(with_folder, cfg, "hydra.runtime.cwd", None, context)
        callbacks.on_run_end(config=cfg, config_name=self.config_name, job_return=done)
        _ = done.return_value  # raises what the task raised

    def sweep(self, task: Task) -> None:
        """Give the sweep to Hydra, a subfolder a job; a dry one is run here, job by job."""
        if self.jobs[0].get("dry_run"):
            for lines in itertools.product(*map(_values, self._all(self.jobs[0]))):
                self.run(task, self._composed(lines))
            return
        given = [_line(o) for o in self.overrides if o.key_or_group not in ("output_dir", "hydra.mode")]
        given += ["hydra.mode=MULTIRUN", "hydra.output_subdir=null", "hydra.job.chdir=false"]
        folder = self._sweep_folder()
        if folder is not None:
            given.append(f"hydra.sweep.dir={QuotedString(folder, Quote.single).with_quotes()}")
            if not any(o.key_or_group == "output_dir" for o in self.overrides):
                given.append(f"++output_dir={_RUN_FOLDER}")
        if _logs_to_file(self.jobs[0]):
            given += ["~hydra.job_logging.handlers.file", "hydra.job_logging.root.handlers=[console]"]
        self.hydra.multirun(self.config_name, task, given)

    def _sweep_folder(self) -> str | None:
        """Return what `output_dir` is given as, None where it is not: Hydra's folder of sweeps then."""
        raw = OmegaConf.to_container(self.jobs[0], resolve=False)
        given = raw.get("output_dir", _RUN_FOLDER) if isinstance(raw, dict) else _RUN_FOLDER
        if given == _RUN_FOLDER:
            return None
        folders = {str(job.output_dir) for job in self.jobs}
        if len(folders) > 1 or "hydra.job" in str(given):
            raise UserError(
                "output_dir: differs from job to job, expected one folder for the sweep, in which each job "
                "gets its own (hydra.sweep.subdir names it)"
            )
        return folders.pop()

    def _jobs(self) -> list[DictConfig]:
        base = self._composed([_values(o)[0] if self.multirun else _line(o) for o in self.overrides])
        if not self.multirun:
            return [_checked(base)]
        every = self._all(base)
        lines = [_values(override) for override in every]
        groups = [self._is_group(override) for override in every]
        combined = [v if group else v[:1] for v, group in zip(lines, groups, strict=True)]
        found = [list(job) for job in itertools.product(*combined)]
        for i, values in enumerate(lines):
            if not groups[i]:
                last = values[-1:] if every[i].is_range_sweep() else values[1:]
                found += [[*found[0][:i], value, *found[0][i + 1 :]] for value in last]
        return [_checked(self._composed(job)) for job in found]

    def _all(self, base: DictConfig) -> list[Override]:
        """Return the overrides, and those that the sweeper adds from its own configuration."""
        given = {override.key_or_group for override in self.overrides}
        params = OmegaConf.select(base, "hydra.sweeper.params") or {}
        added = self._parsed([f"{key}={value}" for key, value in params.items()])
        return [override for override in added if override.key_or_group not in given] + self.overrides

    def _either_way(self) -> list[str]:
        """Return overrides that set an old key or a new one; what deletes nothing is left out.

        Raises
        ------
        UserError
            the deleted key does not exist.
        """
        ours = [o for o in self.overrides if not self._is_group(o)]
        lines = {id(o): _line(o) if o.is_delete() else f"++{_line(o).lstrip('+')}" for o in ours}
        kept = [o for o in self.overrides if not (id(o) in lines and o.is_delete())]
        given = self._parsed([lines.get(id(o), _line(o)) for o in kept])
        cfg = self._composed([_values(o)[0] for o in given])
        for override in ours:
            if override.is_delete():
                place, _, name = override.key_or_group.rpartition(".")
                node = OmegaConf.select(cfg, place) if place else cfg
                names = set(map(str, node)) if isinstance(node, DictConfig) else set()
                if name not in names:
                    raise unknown_key(override.key_or_group, names, cfg)
                if OmegaConf.select(node, name) is None:
                    del lines[id(override)]
        return [lines.get(id(o), _line(o)) for o in self.overrides if o not in ours or id(o) in lines]

    def _parsed(self, overrides: Sequence[str]) -> list[Override]:
        try:
            found = OverridesParser.create(self.hydra.config_loader).parse_overrides(list(overrides))
        except OverrideParseException as error:
            raise UserError(unreadable(error)) from None
        for override in found:
            if not override.key_or_group:
                raise UserError(f"{_line(override)}: found no name before =, expected KEY=VALUE")
        for override in filter(self._is_group, found):
            value: Any = override.value()
            names = value if isinstance(value, list) else [value]
            free = override.is_delete() or override.is_sweep_override()
            if not (free or all(isinstance(name, str) for name in names)):
                members = one_of(self._members(override.key_or_group))
                raise UserError(f"{_line(override)}: found no name, {members}")
        return found

    def _is_group(self, override: Override) -> bool:
        return bool(self._members(override.key_or_group)) and not isinstance(override.value(), dict)

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        """Return one job's configuration, with the folder that it would be run in."""
        try:
            cfg = self.hydra.compose_config(self.config_name, list(overrides), RunMode.RUN)
        except (yaml.YAMLError, ValueError, AssertionError) as error:  # Hydra has no error for it
            raise UserError(f"configuration: {' '.join(str(error).split()) or 'wrong overrides'}") from None
        HydraConfig.instance().set_config(cfg)
        with read_write(cfg.hydra), open_dict(cfg.hydra):
            if self.multirun:
                cfg.hydra.job.num, cfg.hydra.job.id = 0, "0"
            cfg.hydra.runtime.output_dir = os.path.abspath(cfg.hydra.run.dir)
            HydraConfig.instance().set_config(cfg)
            if not self.multirun and "output_dir" in cfg:
                with read_write(cfg.hydra):
                    cfg.hydra.runtime.output_dir = os.path.abspath(cfg.output_dir)
        HydraConfig.instance().set_config(cfg)
        return cfg


def _checked(job: DictConfig) -> DictConfig:
    check_config(job)
    refuse_no_folder(job)
    return job


def _line(override: Override) -> str:
    return str(override.input_line)


def _values(override: Override) -> list[str]:
    """Return an override for each value of a sweep, of an interval for its ends; any other as it is."""
    if not override.is_sweep_override():
        return [_line(override)]
    sweep = override.value()
    key = override.get_key_element()
    if isinstance(sweep, IntervalSweep):
        return [f"{key}={sweep.start}", f"{key}={sweep.end}"]
    found = [f"{key}={value}" for value in override.sweep_string_iterator()]
    if not found:
        raise UserError(f"{_line(override)}: found no value, expected some")
    return found


def _logs_to_file(cfg: DictConfig) -> bool:
    return "file" in (OmegaConf.select(cfg, "hydra.job_logging.root.handlers") or [])
