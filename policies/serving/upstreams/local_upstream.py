"""A small model on this machine as the upstream: for trying the service without anybody's key."""

from __future__ import annotations

from envs.llm.local.local_server import LocalServer
from policies.serving.serve_settings import UpstreamSettings


class LocalUpstream:
    """A llama.cpp server on loopback, as long as this object lives.

    `model_path`, `context`, `threads`, `chat_template`: see `envs.llm.local.local_server.LocalServer`.

    Raises
    ------
    UserError
        xllamacpp or the model is missing.
    """

    def __init__(
        self,
        model_path: str | None = None,
        context: int = 4096,
        threads: int = 1,
        chat_template: str | None = None,
    ) -> None:
        self.server = LocalServer(model_path, context, threads, chat_template, "upstream")
        self.settings = UpstreamSettings(base_url=self.server.url, model=self.server.name)
