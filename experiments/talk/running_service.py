"""The service as a process of its own, and a scripted upstream for it, as long as a block runs."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from envs import OutsideError

_START_S = 600.0


@contextlib.contextmanager
def scripted_upstream() -> Iterator[str]:
    """Yield the URL of a scripted server."""
    command = [sys.executable, "-m", "envs.llm.scripted.scripted_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout is not None  # noqa: S101 - a pipe
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextlib.contextmanager
def running_service(*overrides: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Yield (base URL, process) of `raise-planner serve` with these overrides, once it is ready.

    Raises
    ------
    OutsideError
        it does not start.
    """
    port = _free_port()
    command = [sys.executable, "-m", "experiments.serve", *overrides, f"port={port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            _wait(port, process)
            yield f"http://127.0.0.1:{port}/v1", process
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        address = f"http://127.0.0.1:{port}/readyz"
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.2)
    raise OutsideError("the service did not start")
