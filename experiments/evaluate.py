"""Measure policies on people they were not planned for: `python -m experiments.evaluate`."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from envs import Judge, Scenario, UserError
from envs.loading import ScenarioSet, person_share
from envs.users import PersonUser, User
from experiments import build
from experiments.config import budget_of
from experiments.evaluation import output
from experiments.evaluation.lineup import CHOSEN, Options
from experiments.evaluation.planning import Table, plan_table, planned_once, spread, without_test_people
from experiments.evaluation.run import Side, run
from experiments.evaluation.variations import check
from experiments.folders import output_folder
from experiments.main import entry_point
from experiments.provenance import config_dict
from policies.memory import SHIPPED
from search.path_table import PathTable


def evaluate(cfg: DictConfig) -> float:
    """Evaluate all methods of `cfg`; return the mean score of the chosen policy (the objective of a sweep).

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    started = time.perf_counter()
    budget = budget_of(cfg)
    sides, source = _sides(cfg)
    judges, user, tracking = _judges(cfg), _user(cfg), build.build_tracking(cfg)
    options = _options(cfg)
    config = config_dict(cfg, budget)
    folder = output_folder(cfg.output_dir)
    tracking.start(config, folder)
    with output.progress_bar(len(judges) * len(sides)) as progress:
        tables = _tables(cfg, sides, budget, progress)
        found = run(judges, tables, sides, user, budget, options, progress)
    about = output.About(
        judge=str(getattr(judges[0], "name", type(judges[0]).__name__)),
        simulated=bool(getattr(judges[0], "simulated", False)),
        scenarios=source,
        budget=budget,
        names=sides[0].test[0].schema.names,
        n_train=min(len(side.train) for side in sides),
        folds=cfg.folds,
        value_cost=cfg.value_cost,
        seed=cfg.seed,
        draws=cfg.draws,
        level=cfg.level,
    )
    report = output.Report(found, about)
    summary = {**report.summary(), "config": config, "wall_s": round(time.perf_counter() - started, 3)}
    report.write(folder, summary)
    report.show(Console(), folder, summary)
    tracking.finish(report.headline(), report.tables(), report.drawings)
    return report.score(CHOSEN)


def _user(cfg: DictConfig) -> User:
    user = build.build_users(cfg)
    if isinstance(user, PersonUser):
        raise UserError("users: found person, expected one that answers from profiles (profile, scripted)")
    return user


def _options(cfg: DictConfig) -> Options:
    check(cfg.variations)
    return Options(
        build.build_policy(cfg),
        build.build_embedding(cfg),
        value_costs=tuple(cfg.value_costs),
        value_cost=cfg.value_cost,
        min_profiles=cfg.min_profiles,
        other_domains=cfg.other_domains,
        unit_costs=cfg.unit_costs,
        seed=cfg.seed,
        report_samples=cfg.report_samples,
        variations=tuple(cfg.variations),
        variation_seeds=cfg.variation_seeds,
    )


def _sides(cfg: DictConfig) -> tuple[list[Side], str]:
    """Return who is planned for and who is asked, once or in each fold, and where the scenarios are from.

    In folds every person is asked once, with the plans made for all the others.

    Raises
    ------
    UserError
        fewer than two folds have people.
    """
    if cfg.folds < 1:
        raise UserError(f"folds: found {cfg.folds}, expected an integer >= 1")
    if cfg.folds == 1:
        train, test = _side(cfg, "train"), _side(cfg, "test")
        return [Side(train.scenarios, spread(test.scenarios, cfg.test_size))], test.source
    whole = _side(cfg, "all")
    fold_of = {
        s.id: int(person_share(s.profile, cfg.scenarios.split_seed) * cfg.folds) for s in whole.scenarios
    }
    tested = spread(whole.scenarios, cfg.test_size)
    folds = [
        Side([s for s in whole.scenarios if fold_of[s.id] != k], [s for s in tested if fold_of[s.id] == k])
        for k in range(cfg.folds)
    ]
    sides = [side for side in folds if side.train and side.test]
    if len(sides) < 2:
        raise UserError(f"folds: found {cfg.folds} of too few people for two that have any, expected 1")
    return sides, whole.source


def _side(cfg: DictConfig, split: str, whole: bool = False) -> ScenarioSet:
    """Return one side of the split, at most `scenarios.limit` scenarios of it unless `whole`."""
    if cfg.scenarios.split != "all":
        raise UserError(
            f"scenarios.split: found {cfg.scenarios.split}, expected all: an evaluation plans on train and "
            f"tests on test"
        )
    side = copy.deepcopy(cfg)
    side.scenarios.split = split
    side.scenarios.limit = None if whole else cfg.scenarios.limit
    return build.build_scenarios(side)


def _judges(cfg: DictConfig) -> list[Judge]:
    """Return the judge and, with `model_seeds`, further draws of it."""
    if cfg.model_seeds < 1:
        raise UserError(f"model_seeds: found {cfg.model_seeds}, expected an integer >= 1")
    if cfg.model_seeds > 1 and "model_seed" not in cfg.judge:
        raise UserError(f"model_seeds: found {cfg.model_seeds} for a judge without draws, expected 1")
    if cfg.model_seeds > 1 and cfg.paths is not None:
        raise UserError(
            "model_seeds: several draws of the judge need plans of their own, expected paths=null"
        )
    judges = [build.build_judge(cfg)]
    for k in range(1, cfg.model_seeds):
        other = copy.deepcopy(cfg)
        other.judge.model_seed += k
        judges.append(build.build_judge(other))
    return judges


def _tables(
    cfg: DictConfig, sides: Sequence[Side], budget: int, progress: output.Bar
) -> Callable[[Judge, Sequence[Scenario]], Table]:
    """Return what gives a judge's path table: a stored one without the test people, or one planned now."""
    stored = _stored(cfg, budget)
    if stored is not None:
        people = _side(cfg, "test", whole=True).scenarios  # those that are not tested now as well
        table = without_test_people(*stored, people)
        return lambda judge, train: table
    # The same number in every fold, so that tables of one size are held against each other.
    fewest = min(len(side.train) for side in sides)
    size = fewest if cfg.table_size is None else min(cfg.table_size, fewest)
    parallel, searcher = build.build_parallel(cfg), build.build_searcher(cfg)

    def planned(judge: Judge, scenarios: Sequence[Scenario]) -> Table:
        progress.plans(len(scenarios))
        return plan_table(
            scenarios,
            judge,
            searcher,
            budget,
            cfg.seed,
            parallel,
            on_plan=lambda: progress("planning", 1),
            report_samples=cfg.report_samples,
            max_judge_calls=cfg.search.max_judge_calls,
            wave=cfg.search.wave,
        )

    folds = [spread(side.train, size) for side in sides]
    if len(folds) > 1 and not hasattr(searcher, "fit"):  # no plan depends on another
        return planned_once(planned, folds)
    return lambda judge, train: planned(judge, spread(train, size))


def _stored(cfg: DictConfig, budget: int) -> tuple[PathTable, str] | None:
    """Return (table, where it is from): that of `paths`, else the package's own where it fits.

    It fits when it was planned under this very judge, this budget and these scenarios.
    """
    if cfg.paths is not None and cfg.folds > 1:
        raise UserError(f"folds: found {cfg.folds} with a stored table, expected 1 or paths=null")
    if cfg.paths is not None:
        return PathTable.load(cfg.paths), str(cfg.paths)
    if cfg.model_seeds > 1 or cfg.folds > 1 or cfg.table_size is not None or cfg.scenarios.path is not None:
        return None
    table = PathTable.load(SHIPPED)
    made = table.provenance["config"]
    same = made["judge"] == OmegaConf.to_container(cfg.judge, resolve=True) and made["budget"] == budget
    return (table, "the table that ships with the package") if same else None


main = entry_point("evaluate")(evaluate)

if __name__ == "__main__":
    main()
