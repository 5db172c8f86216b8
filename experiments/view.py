"""Browse the folder of a run in a browser: `python -m experiments.view FOLDER`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from envs import UserError
from envs.checking.extras import check_installed
from experiments.console.arguments import mistakes_in_one_line, parser

HOST = "127.0.0.1"


def view(folder: Path, port: int, with_values: bool) -> None:
    """Serve the pages of `folder` on this machine alone, until stopped.

    Raises
    ------
    UserError
        no run in the folder, a port that cannot be had, or an extra that is not installed.
    """
    check_installed("view", "serve", "starlette", "uvicorn")
    if not 0 <= port <= 65535:
        raise UserError(f"--port: found {port}, expected 0 to 65535")
    import socket

    import uvicorn

    from experiments.viewer.run_browser import RunBrowser
    from experiments.viewer.run_contents import read_run
    from experiments.viewer.viewer_app import create_viewer

    browser = RunBrowser(read_run(folder), with_values)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port: {port} cannot be had ({error.strerror}), expected a free one") from None
        key = secrets.token_urlsafe(16)
        for problem in browser.run.problems:
            print(f"warning: {problem}")
        print(f"http://{HOST}:{listening.getsockname()[1]}/?key={key} (Ctrl-C ends it)", flush=True)
        settings = uvicorn.Config(
            create_viewer(browser, key), access_log=False, log_level="warning", server_header=False
        )
        uvicorn.Server(settings).run(sockets=[listening])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser("view").parse_args(arguments)
    with mistakes_in_one_line():
        view(options.folder, options.port, options.values)


if __name__ == "__main__":
    main()
