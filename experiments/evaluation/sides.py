"""Who is planned for and who is asked, by the configuration: one split, or folds."""

from __future__ import annotations

import copy
import math

from omegaconf import DictConfig

from envs import UserError
from envs.loading import ScenarioSet, person_share
from experiments.evaluation.run import Side
from experiments.evaluation.setting import spread
from experiments.runs import build
from experiments.runs.config import check_counts


def sides_of(cfg: DictConfig) -> tuple[list[Side], str, str]:
    """Return who is planned for and who is asked, once or in each fold; the scenarios' file and its SHA-256.

    In folds every person is asked once, with the plans made for all the others.

    Raises
    ------
    UserError
        a number that is none, or fewer than two folds have people.
    """
    check_counts(cfg, "folds", "test_size", "table_size")
    if cfg.folds == 1:
        train, test = side_of(cfg, "train"), side_of(cfg, "test")
        return [Side(train.scenarios, spread(test.scenarios, cfg.test_size))], test.source, test.sha256
    whole = side_of(cfg, "all")
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
    return sides, whole.source, whole.sha256


def with_enough_to_test(cfg: DictConfig) -> DictConfig:
    """Return `cfg` with a test part of `test_size` scenarios, or as it is where the part has them.

    Of a small file the usual part is of one person or two. Whole people are moved from planning to testing,
    the next by `person_share`, up to half of the file's scenarios.
    """
    if cfg.folds != 1 or cfg.test_size is None:
        return cfg
    whole = side_of(cfg, "all", whole=True).scenarios
    shares = sorted(person_share(s.profile, cfg.scenarios.split_seed) for s in whole)
    wanted = min(cfg.test_size, len(shares) // 2)
    if wanted < 1 or shares[wanted - 1] < cfg.scenarios.test_fraction:
        return cfg
    found = copy.deepcopy(cfg)
    found.scenarios.test_fraction = math.nextafter(shares[wanted - 1], 1.0)
    return found


def side_of(cfg: DictConfig, split: str, whole: bool = False) -> ScenarioSet:
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
