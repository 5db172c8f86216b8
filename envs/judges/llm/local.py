"""`judge=local`: a language model of the user's own machine, served by llama.cpp for the length of a run.

The bundled model is there to try the whole chain over real HTTP, with structured output and log
probabilities. Small models are no judges (see `envs.llm.local_server`): what they say means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.judges.llm import LLMJudge
from envs.llm.local_server import LocalServer


class LocalJudge(LLMJudge):
    """`LLMJudge` over a llama.cpp server that starts with the judge and ends with it.

    One request at a time into one slot without a prefix cache, so that the same prompt gives the same reply
    whatever came before. A copy in a worker's process asks the server of the process that started it.

    Parameters
    ----------
    model_path, context, threads, chat_template
        See `envs.llm.local_server.LocalServer`.
    cache_prompt : bool
        Keep what a prompt has in common with the one before: about three times as fast, but the last digits
        of a score then depend on what was asked before.
    mode, scoring, output, temperature, top_p, max_output_tokens, send_seed, min_mass, target, cache
        See `envs.judges.llm.LLMJudge`; of `target` the sampling settings alone, its model is the same.
    timeout_s, max_requests, max_tokens, save_transcripts
        Likewise.

    Raises
    ------
    UserError
        xllamacpp or the model is missing, or a setting is out of range.
    """

    resume_ignored = (*LLMJudge.resume_ignored, "threads", "model_path")

    def __init__(
        self,
        model_path: str | None = None,
        context: int = 4096,
        threads: int = 1,
        chat_template: str | None = None,
        cache_prompt: bool = False,
        timeout_s: float = 600.0,
        mode: str = "response",
        scoring: str = "sampled",
        output: str = "json_schema",
        temperature: float | None = None,
        top_p: float | None = None,
        max_output_tokens: int | None = 300,
        send_seed: bool = True,
        min_mass: float = 0.5,
        target: Mapping[str, Any] | None = None,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        cache: str | None = None,
        save_transcripts: bool = False,
    ) -> None:
        self._server: LocalServer | None = LocalServer(model_path, context, threads, chat_template)
        super().__init__(
            model=self._server.name,
            base_url=self._server.url,
            extra_body={"cache_prompt": cache_prompt},
            timeout_s=timeout_s,
            max_retries=1,
            mode=mode,
            scoring=scoring,
            output=output,
            temperature=temperature,
            top_p=top_p,
            max_output_tokens=max_output_tokens,
            send_seed=send_seed,
            min_mass=min_mass,
            target=target,
            max_in_flight=1,
            max_requests=max_requests,
            max_tokens=max_tokens,
            cache=cache,
            save_transcripts=save_transcripts,
        )
        self.name = f"local:{self._server.name}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_server": None}  # the process stays with the one that started it

    def provenance(self) -> dict[str, Any]:
        """Return what determines scores beyond the configuration: prompts, and the model by its content."""
        return {**super().provenance(), "model": self.name}

    def stop(self) -> None:
        """End the server now; it ends with the judge anyway."""
        if self._server is not None:
            self._server.stop()
