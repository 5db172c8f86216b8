"""Judge of an earlier run replayed from its cache file, without a network (`judge=replay`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from envs.errors import UserError
from envs.judges.llm import LLMJudge
from envs.judges.llm.settings import Rating
from envs.llm import ReplyCache
from envs.llm.endpoint import EndpointSettings
from envs.validation import settings, takes


@settings
class ReplaySettings(Rating):
    """Those of the run that filled the cache."""

    cache: str | None = Field(default=None, description="SQLite file; null: the user's")
    model: str | None = Field(default=None, description="null: the one model that the file knows")
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
        cache = ReplyCache(path, read_only=True)
        models = cache.models()
        cache.close()
        if settings.model is None and len(models) != 1:
            raise UserError(
                f"judge.model: {path} has replies of {len(models)} models, expected judge.model "
                f"and judge.target.model to say which to replay"
            )
        keys = {**vars(settings), "model": settings.model or models[0]}
        super().__init__(**keys, base_url="http://localhost/replay", concurrent_plans=1)
