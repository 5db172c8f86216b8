"""The agent as an MCP server: `raise-planner mcp` on standard input and output, or `transport=http`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from envs import UserError
from experiments.ask import endpoints
from experiments.console.entry_point import entry_point
from experiments.runs import build

if TYPE_CHECKING:
    from policies.serving.mcp_tools.question_urls import QuestionUrls

TRANSPORTS = ("stdio", "http")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIN_KEY = 32
"""Bytes of a key that seals what travels with requests."""


def serve_mcp(cfg: DictConfig) -> None:
    """Serve until the client is gone, or for ever.

    Raises
    ------
    UserError
        a mistake in the configuration, or the extra is missing.
    """
    if cfg.transport not in TRANSPORTS:
        raise UserError(f"transport: found {cfg.transport!r}, expected one of {', '.join(TRANSPORTS)}")
    if not 0 <= cfg.port <= 65535:
        raise UserError(f"port: found {cfg.port}, expected 0 to 65535")
    if cfg.transport == "http" and cfg.host not in LOOPBACK and not cfg.hosts:
        raise UserError("hosts: found none, expected the names that clients call it by: hosts=[NAME:PORT]")
    keys = _keys(cfg.keys_variable)
    try:
        from mcp.server.transport_security import TransportSecuritySettings

        from policies.serving.mcp_tools.mcp_server import create_mcp_server
    except ModuleNotFoundError as error:
        raise UserError(f"mcp needs the package {error.name}: pip install 'raise-planner[mcp]'") from None
    server = create_mcp_server(build.build_agent(cfg), keys, _urls(cfg))
    _notice(cfg)
    if cfg.transport == "stdio":
        server.run("stdio")
        return
    # Without names of its own only those of this machine pass.
    security = TransportSecuritySettings(allowed_hosts=list(cfg.hosts)) if cfg.hosts else None
    server.run("streamable-http", host=cfg.host, port=cfg.port, transport_security=security)


def _urls(cfg: DictConfig) -> QuestionUrls | None:
    """Return how sensitive questions reach clients that may not ask them by form, None for the chat."""
    if (cfg.page is None) != (cfg.session._target_ is None):
        raise UserError("page and session: expected both (page=URL session=sqlite), or neither")
    if cfg.page is None:
        return None
    if not cfg.page.startswith(("http://", "https://")):
        raise UserError(f"page: found {cfg.page!r}, expected the URL of a running raise-planner serve")
    from policies.serving.mcp_tools.question_urls import QuestionUrls
    from policies.serving.sessions.open_questions import OpenQuestions
    from policies.serving.sessions.session_store import SessionStore

    return QuestionUrls(OpenQuestions(SessionStore(build.build_settings(cfg, "session"))), cfg.page)


def _keys(variable: str | None) -> list[str]:
    """Return the keys in an environment variable, the one that seals first."""
    if variable is None:
        return []
    keys = [key.strip() for key in os.environ.get(variable, "").split(",") if key.strip()]
    if not keys or any(len(key.encode()) < MIN_KEY for key in keys):
        raise UserError(f"keys_variable: expected keys of {MIN_KEY} bytes or more in {variable}, by commas")
    return keys


def _notice(cfg: DictConfig) -> None:
    """Say on standard error what a person should know; standard output belongs to the protocol."""
    models = endpoints(OmegaConf.to_container(cfg, resolve=True))
    if models:
        print(f"What people write is sent to {', '.join(models)}.", file=sys.stderr)
    if cfg.transport == "http":
        print(f"http://{cfg.host}:{cfg.port}/mcp asks nobody who they are.", file=sys.stderr)


main = entry_point("serve_mcp")(serve_mcp)

if __name__ == "__main__":
    main()
