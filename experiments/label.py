"""Label answers by hand on a page: `python -m experiments.label answers=FILE 'raters=[anna,ben]'`."""

from __future__ import annotations

import secrets
import socket
from typing import NamedTuple

from omegaconf import DictConfig

from envs import Scenario, UserError
from envs.checking.extras import check_installed
from experiments.console.entry_point import entry_point
from experiments.judging.answer_files import read_answers
from experiments.judging.labelling.label_store import LABELS, LabelStore, LabelTask, draw_task
from experiments.runs import build
from experiments.runs.folders import output_folder

HOST = "127.0.0.1"
"""Profiles and labels stay on this machine; a rater elsewhere takes a tunnel."""


class _LabelParts(NamedTuple):
    task: LabelTask
    scenarios: dict[str, Scenario]
    n_bad: int


def prepare(cfg: DictConfig) -> _LabelParts:
    """Build and check all that labelling needs, and write nothing.

    Raises
    ------
    UserError
        a mistake in the configuration or a file, or an extra that is not installed.
    """
    check_installed("label", "serve", "fastapi", "uvicorn")
    names = list(cfg.raters)
    if not names or len({*names}) < len(names) or not all(name.strip() for name in names):
        raise UserError(f"raters: found {names}, expected a name for each, such as raters=[anna,ben]")
    if not 0 <= cfg.port <= 65535:
        raise UserError(f"port: found {cfg.port}, expected 0 to 65535")
    scenarios = {s.id: s for s in build.build_scenarios(cfg).scenarios}
    found = read_answers(cfg.answers, "answers", list(scenarios.values()))
    return _LabelParts(draw_task(found.answers, scenarios, cfg.people, cfg.seed), scenarios, len(found.bad))


def label(cfg: DictConfig) -> None:
    """Serve the page until stopped.

    Raises
    ------
    UserError
        a mistake in the configuration or a file, labels of another task in the folder, or a port in use.
    """
    import uvicorn

    from experiments.judging.labelling.label_app import create_label_app
    from policies.serving.request_guard import digest_of
    from policies.serving.serve_settings import ServiceSettings

    parts = prepare(cfg)
    folder = output_folder(cfg.output_dir)
    store = LabelStore(folder, parts.task, cfg.raters, cfg.seed)
    try:
        listening = socket.create_server((HOST, cfg.port))
    except OSError as error:
        raise UserError(f"port={cfg.port}: {error.strerror}, expected one that is free, or 0") from None
    address = f"http://{HOST}:{listening.getsockname()[1]}/"
    keys = {secrets.token_urlsafe(16): str(rater) for rater in cfg.raters}
    bad = f" ({parts.n_bad:,} records cannot be used)" if parts.n_bad else ""
    print(f"{store.size:,} answers to label{bad}; {folder / LABELS} has what was said", flush=True)
    for key, rater in keys.items():  # a fragment is sent to nobody
        print(f"{rater}, {store.done(rater):,} done: {address}#{key}", flush=True)
    raters = {digest_of(key): rater for key, rater in keys.items()}
    app = create_label_app(store, parts.scenarios, raters, ServiceSettings(hosts=[HOST]))
    # No line of a request is written anywhere.
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
    uvicorn.Server(config).run(sockets=[listening])


main = entry_point("label", prepare)(label)

if __name__ == "__main__":
    main()
