"""The parts of an evaluation that are built from its configuration alone."""

from __future__ import annotations

from omegaconf import DictConfig

from envs import Judge, UserError
from envs.users import PersonUser, User
from experiments.evaluation.methods.compared_methods import MethodOptions
from experiments.evaluation.methods.models import understanding_nodes, with_cached_chats, with_cached_readings
from experiments.evaluation.understanding import Understanding
from experiments.evaluation.variations import check
from experiments.runs import build
from experiments.runs.config import check_counts


def user_of(cfg: DictConfig) -> User:
    """Return who answers; a person at the terminal is refused."""
    user = build.build_users(cfg)
    if isinstance(user, PersonUser):
        raise UserError("users: found person, expected one that answers from profiles (profile, mixed, ...)")
    return user


def understanding_of(cfg: DictConfig) -> Understanding:
    """Return who takes what users say."""
    cfg = with_cached_readings(cfg)
    n_at_once = max(int(node.get("max_in_flight") or 1) for node in understanding_nodes(cfg))
    return Understanding(build.build_reader(cfg), build.build_detector(cfg), n_at_once)


def options_of(cfg: DictConfig) -> MethodOptions:
    """Return what the methods need."""
    check(cfg.variations)
    cached = with_cached_chats(cfg)
    return MethodOptions(
        build.build_policy(cached),
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
        chat=build.build_chat(cfg),
    )


def judges_of(cfg: DictConfig) -> list[Judge]:
    """Return the judge and, with `model_seeds`, further draws of it."""
    check_counts(cfg, "model_seeds")
    if cfg.model_seeds > 1 and "model_seed" not in cfg.judge:
        raise UserError(f"model_seeds: found {cfg.model_seeds} for a judge without draws, expected 1")
    if cfg.model_seeds > 1 and cfg.paths is not None:
        raise UserError(
            "model_seeds: several draws of the judge need plans of their own, expected paths=null"
        )
    return [build.build_judge(cfg), *(judge for _, judge in build.further_draws(cfg, cfg.model_seeds))]
