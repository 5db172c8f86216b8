"""Judge of an earlier run replayed from its cache file, without a network (`judge=replay`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from pydantic import Field

from envs.checking.validation import settings, takes
from envs.errors import UserError
from envs.judges.llm import LLMJudge
from envs.judges.llm.settings import Rating
from envs.llm import ReplyCache
from envs.llm.cache.reply_cache import only_endpoint
from envs.llm.endpoint import EndpointSettings


@settings
class ReplaySettings(Rating):
    """Those of the run that filled the cache."""

    cache: str | None = Field(default=None, description="SQLite file; null: the user's")
    model: str | None = Field(default=None, description="null: the one model that the file knows")
    cache_as: str | None = Field(default=None, description="whose replies; null: the only ones of the model")
    extra_body: Mapping[str, Any] | None = Field(default=None, repr=False, description="as in the run")
    target: Mapping[str, Any] | None = Field(default=None, description="as in the run")


class ReplayJudge(LLMJudge):
    """The same judge from a cache file alone: what is not in it is an error, and nothing is sent.

    Parameters are the fields of `ReplaySettings`, by keyword.
    """

    replay = True

    @takes(ReplaySettings)
    def __init__(self, settings: ReplaySettings) -> None:
        path = EndpointSettings("any", cache=settings.cache).cache_path
        with closing(ReplyCache(path, read_only=True)) as cache:
            sources = cache.sources()
        models = sorted({model for model, _ in sources})
        if settings.model is None and len(models) != 1:
            raise UserError(
                f"judge.model: {path} has replies of {len(models)} models, expected judge.model "
                f"and judge.target.model to say which to replay"
            )
        model = settings.model or models[0]
        target = dict(settings.target or {})
        own = target.get("model") or model
        if target.get("base_url") is None and target.get("cache_as") is None:
            target["cache_as"] = settings.cache_as or only_endpoint(sources, own, path, "judge.target")
        keys = {**vars(settings), "model": model, "target": target}
        keys["cache_as"] = settings.cache_as or only_endpoint(sources, model, path, "judge")
        super().__init__(**keys, base_url="http://localhost/replay", concurrent_plans=1)
