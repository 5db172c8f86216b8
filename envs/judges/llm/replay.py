"""The judge of an earlier run from its cache file: whole experiments again without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.errors import UserError
from envs.judges.llm import LLMJudge
from envs.llm import ReplyCache


class ReplayJudge(LLMJudge):
    """The same judge from a cache file alone: what is not in it is an error, and nothing is sent.

    Parameters are those of the run that filled the cache; `model=None` is the one model that the file knows.
    """

    replay = True

    def __init__(
        self,
        cache: str | None = None,
        model: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        mode: str = "response",
        scoring: str = "sampled",
        output: str = "auto",
        temperature: float | None = None,
        top_p: float | None = None,
        max_output_tokens: int | None = 300,
        send_seed: bool = True,
        min_mass: float = 0.5,
        target: Mapping[str, Any] | None = None,
        save_transcripts: bool = False,
    ) -> None:
        super().__init__(
            model=model,
            base_url="http://localhost/replay",
            extra_body=extra_body,
            mode=mode,
            scoring=scoring,
            output=output,
            temperature=temperature,
            top_p=top_p,
            max_output_tokens=max_output_tokens,
            send_seed=send_seed,
            min_mass=min_mass,
            target=target,
            cache=cache,
            save_transcripts=save_transcripts,
            concurrent_plans=1,
        )

    def _model(self, model: str | None) -> str:
        cache = ReplyCache(self.cache_path, read_only=True)
        models = cache.models()
        cache.close()
        if model is None and len(models) != 1:
            raise UserError(
                f"judge.model: {self.cache_path} has replies of {len(models)} models, expected judge.model "
                f"and judge.target.model to say which to replay"
            )
        return model or models[0]
