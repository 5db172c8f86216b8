"""The agent behind OpenAI's API, asking before a model answers: `python -m experiments.serve`."""

from __future__ import annotations

import ipaddress
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from envs import DOMAINS, UserError
from envs.checking.extras import check_installed
from experiments.console.entry_point import entry_point
from experiments.runs import build
from experiments.runs.config import check_counts
from policies.serving.questions.gates import DomainGate
from policies.serving.serve_settings import UpstreamSettings
from policies.serving.upstreams.local_upstream import LocalUpstream

if TYPE_CHECKING:
    from fastapi import FastAPI

_SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which they get a folder for as long as they serve; Prometheus' own."""
_CONFIG = "RAISE_PLANNER_SERVE_CONFIG"
"""The environment variable by which workers get the configuration, which never holds a secret."""


def serve(cfg: DictConfig) -> None:
    """Serve until stopped.

    Raises
    ------
    UserError
        a mistake in the configuration or a file, or an extra that is not installed.
    """
    check_installed("serve", "serve", "fastapi", "uvicorn")
    import uvicorn

    local = _local_model(cfg)  # it lives as long as this name does
    if local is not None:
        place = f"{UpstreamSettings.__module__}.{UpstreamSettings.__qualname__}"
        cfg.upstream = {"_target_": place, **vars(local.settings)}
    _check(cfg)
    options = {
        "host": cfg.host,
        "port": cfg.port,
        "access_log": False,  # lines of addresses and paths; /metrics counts
        "log_level": "warning",
        "server_header": False,
        "forwarded_allow_ips": list(cfg.trusted_proxies),
        "timeout_graceful_shutdown": cfg.shutdown_s,
        "timeout_worker_healthcheck": 60,  # a worker that only starts slowly is not to be killed for it
    }
    if line := gate_line(cfg):
        print(line, flush=True)
    model = "" if cfg.upstream.model is None else f"{cfg.upstream.model}, the only model, at "
    print(f"http://{cfg.host}:{cfg.port}/v1 asks before {model}{cfg.upstream.base_url} answers", flush=True)
    if cfg.workers == 1:
        uvicorn.run(make_app(cfg), **options)
        return
    os.environ[_CONFIG] = json.dumps(OmegaConf.to_container(cfg, resolve=True))
    with tempfile.TemporaryDirectory() as shared:
        os.environ[_SHARED] = shared  # where workers add up their counters, and count requests
        uvicorn.run("experiments.serve:worker_app", factory=True, workers=cfg.workers, **options)


def gate_line(cfg: DictConfig) -> str:
    """Return which gate to choose where the classifier of the package knows nothing of the plans' domains."""
    schema = build.build_schema(cfg)
    place = f"{DomainGate.__module__}.{DomainGate.__qualname__}"
    if schema is None or set(schema.domains) <= set(DOMAINS) or cfg.gate.get("_target_") != place:
        return ""
    return (
        "gate=domain was trained on PENGUIN's domains, and these plans are for others: with gate=always "
        "every message may get questions, with gate=llm gate.model=M a model says which"
    )


def _local_model(cfg: DictConfig) -> LocalUpstream | None:
    """Return the model of `upstream=local`, started once for all workers; None for an endpoint."""
    found = build.build_settings(cfg, "upstream")
    return found if isinstance(found, LocalUpstream) else None


def make_app(cfg: DictConfig) -> FastAPI:
    """Return the application of a composed configuration, for one of its workers."""
    from policies.serving.app import create_app
    from policies.serving.serve_settings import Workers

    folder = Path(os.environ[_SHARED]) if cfg.workers > 1 else None

    return create_app(
        build.build_agent(cfg),
        build.build_gate(cfg),
        build.build_settings(cfg, "upstream"),
        ask=build.build_settings(cfg, "ask"),
        settings=build.build_settings(cfg, "service"),
        session=None if cfg.session._target_ is None else build.build_settings(cfg, "session"),
        workers=Workers(cfg.workers, folder),
    )


def worker_app() -> FastAPI:
    """Return the application of one of several workers."""
    return make_app(OmegaConf.create(json.loads(os.environ[_CONFIG])))


def _check(cfg: DictConfig) -> None:
    check_counts(cfg, "workers")
    if not 0 <= cfg.port <= 65535:
        raise UserError(f"port: found {cfg.port}, expected 0 to 65535")
    is_open = cfg.service.keys_variable is None and cfg.upstream.key_variable is not None
    if is_open and not _is_loopback(cfg.host):
        raise UserError(
            f"host: {cfg.host} can be reached by others, who would spend the upstream's key: expected "
            f"service.keys_variable=NAME, or no upstream.key_variable"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


main = entry_point("serve")(serve)

if __name__ == "__main__":
    main()
