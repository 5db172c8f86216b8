"""Language models of an evaluation: caches, names, requests, and how a stopped one goes on."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, open_dict

from envs import Judge, Scenario, UserError
from envs.judges.llm import LLMJudge
from envs.judges.protocol import describe
from envs.llm import LimitReached
from experiments.evaluation.methods.cached_chat import CachedChat

_PLAIN, _CACHED = "policies.chat.EndpointChat", "experiments.evaluation.methods.cached_chat.CachedChat"


class Interrupted(UserError):
    """Ctrl-C; what was under way has come to its end, and is in the cache."""

    exit_code = 130


@contextmanager
def paid_for_is_kept() -> Iterator[None]:
    """Say of an evaluation that was stopped how it goes on: it has no journal, the cache is what it keeps."""
    goes_on = "the replies so far are in the cache, the same command goes on from there"
    try:
        yield
    except LimitReached as error:
        raise LimitReached(f"{str(error).partition(';')[0]}; {goes_on} under a higher limit") from None
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {goes_on}") from None


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


def requests_of(judges: Sequence[Judge], chats: Sequence[CachedChat]) -> int:
    """Return the HTTP requests that this run has sent for judges and models that choose or rate."""
    spent = [*(describe(judge).spent() for judge in judges), *(chat.spent for chat in chats)]
    return sum(one.requests for one in spent if one is not None)
