"""Language models of an evaluation: caches, names, requests."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from envs import Judge, Scenario
from envs.judges.llm import LLMJudge
from envs.judges.protocol import describe
from envs.llm.cache.reply_cache import default_path
from envs.users import User
from envs.users.played_user import PlayedUser
from experiments.evaluation.methods.cached_chat import CachedChat

_PLAIN, _CACHED = "policies.chat.EndpointChat", "experiments.evaluation.methods.cached_chat.CachedChat"


def with_cached_chats(cfg: DictConfig) -> DictConfig:
    """Return `cfg` whose chosen policy asks its models through the cache: answers are on file anyway."""
    found = copy.deepcopy(cfg)
    for part in ("acquisition", "abstention"):
        node = found.policy.get(part)
        chat = None if node is None else node.get("chat")
        if chat is not None and chat.get("_target_") == _PLAIN:
            with open_dict(chat):
                chat._target_ = _CACHED
                chat.cache = cfg.chat.get("cache")
    return found


def with_cached_readings(cfg: DictConfig) -> DictConfig:
    """Return `cfg` whose reader and detector keep the replies of models: what they take is on file anyway."""
    found = copy.deepcopy(cfg)
    for node in understanding_nodes(found):
        if str(node.get("_target_")).startswith("policies.") and "cache" in node and node.cache is None:
            node.cache = str(default_path())
    return found


def understanding_nodes(cfg: DictConfig) -> list[DictConfig]:
    """Return the reader and the detector of `cfg`, and those that they are made of."""
    groups = [cfg.reader, cfg.detector]
    parts = [node[key] for node in groups for key in node if not OmegaConf.is_missing(node, key)]
    return [*groups, *(part for part in parts if isinstance(part, DictConfig))]


def preflight(judge: Judge, folder: Path, tested: Sequence[Scenario]) -> None:
    """Let a judge that wants to find out at once what cannot work."""
    make = describe(judge).preflight
    if make is not None:
        make(folder, tested[0])


def target_of(judge: Judge) -> str | None:
    """Return the name of the model whose answers `judge` rates, None where no model answers."""
    if not isinstance(judge, LLMJudge) or judge.rating.mode != "response":
        return None
    return judge.target.model


class Asked(NamedTuple):
    """Distinct prompts of one kind that a model was given, and how many brought no usable reply."""

    model: str
    about: str
    asked: int
    invalid: int


def asked_of(chats: Sequence[CachedChat]) -> tuple[Asked, ...]:
    """Return what each of `chats` was asked about so far."""
    return tuple(Asked(c.name, t.name, t.n_asked, t.n_invalid) for c in chats for t in c.topics.values())


def requests_of(judges: Sequence[Judge], chats: Sequence[CachedChat], user: User) -> int:
    """Return the HTTP requests that this run has sent for judges, models that choose or rate, and users.

    Those of the models that read and look for danger are not among them.
    """
    spent = [*(describe(judge).spent() for judge in judges), *(chat.spent for chat in chats)]
    spent += [user.spent] if isinstance(user, PlayedUser) else []
    return sum(one.requests for one in spent if one is not None)
