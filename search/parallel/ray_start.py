"""Start Ray or join a cluster: its environment, its limits, and who hears SIGTERM."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from envs import OutsideError, UserError
from envs.llm.driver_link import HOST_VARIABLE
from search.parallel.cores import available_cores
from search.parallel.worker_path import worker_options

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about absent accelerators
    "RAY_worker_niceness": "0",  # workers run as this process does; Ray's own 15 starves them beside others
}
"""Read by Ray at import and by its workers at start; what is set already stays."""
_SHORT = "/tmp"  # noqa: S108 - where Ray itself goes without TMPDIR
_LONGEST_FOLDER = 107 - len("/ray/session_2026-11-28_12-00-00_000000_1234567/sockets/plasma_store")
"""Characters: a socket's whole name may have 107."""


class _Starting(threading.local):
    """Whether this thread starts Ray."""

    here = False


_STARTING = _Starting()


def start_ray(num_workers: int | None, address: str | None) -> None:
    """Start Ray on this machine, or join the cluster at `address`; nothing where it runs already.

    Raises
    ------
    UserError
        no cluster answers at `address`.
    OutsideError
        Ray gave up its start, as it does after 30 seconds on a machine that stands still.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "ray" not in sys.modules:  # it reads this when it is imported
        # Ray ends a process whose raylet is dead and that has lost its parent (`nohup`, systemd), as it does
        # with its workers, by exit 1 and no word; it looks at this process in place of the parent now.
        os.environ["RAY_RAYLET_PID"] = str(os.getpid())
    if address is None:
        _take_token()
    import ray

    if ray.is_initialized():
        return
    if address is not None:
        try:
            _knock(address)
            with _StartOfRay(), _own_sigterm():
                ray.init(
                    address=address, log_to_driver=False, logging_level=logging.ERROR, **worker_options()
                )
        except OSError:
            raise UserError(
                f"parallel.address={address}: no Ray cluster answers there, "
                f"or none that takes our RAY_AUTH_TOKEN; "
                f"start one with `ray start --head`, or take parallel.address=null"
            ) from None
        # Workers on other machines ask this process for replies: it has to listen where they reach it.
        os.environ.setdefault(HOST_VARIABLE, ray.util.get_node_ip_address())
        return
    _start_here(num_workers or available_cores())


def _start_here(num_cpus: int) -> None:
    import ray

    with _StartOfRay(), _own_sigterm(), _own_groups():
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=128 * 1024**2,  # plans are small; the default is a third of the memory
            _node_ip_address="127.0.0.1",
            _temp_dir=_place_of_sockets(),
            **worker_options(),
        )


class _StartOfRay:
    """Tells in one line that Ray gave up its start: what it raises then is of a bare class."""

    def __enter__(self) -> None:
        """Nothing: what counts is how it ends."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise OutsideError in place of what Ray raised; other errors go on."""
        if kind in (Exception, RuntimeError, TimeoutError):
            raise OutsideError(
                f"Ray did not start: {' '.join(str(error).split())}; "
                f"try again when the machine is less busy, or take parallel=serial"
            ) from error


def _take_token() -> None:
    """Let this machine's other users not in: whoever talks to our Ray has to know a token made here.

    `RAY_AUTH_MODE` and a token of the environment stay as they are.
    """
    if "ray" not in sys.modules:  # it has read the mode when it was imported
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        # Ray's own would be kept in a file in the home folder, which there may be none of.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _place_of_sockets() -> str:
    """Return the folder for Ray's sessions: its own choice where that can be, else below /tmp.

    Raises
    ------
    UserError
        neither can be written and is short enough for the names of sockets.
    """
    chosen = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or _SHORT
    for folder in (chosen, _SHORT):
        if len(os.fsencode(folder)) <= _LONGEST_FOLDER and os.access(folder, os.W_OK | os.X_OK):
            return os.path.join(folder, "ray")
    raise UserError(
        f"TMPDIR={chosen}: Ray needs a folder for its sockets that can be written, of at most "
        f"{_LONGEST_FOLDER} characters; name one by RAY_TMPDIR, or take parallel=serial"
    )


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM that this process has: Ray puts in its own, which end it with a trace."""
    handler = signal.getsignal(signal.SIGTERM)
    ours = callable(handler) and threading.current_thread() is threading.main_thread()
    try:
        yield
    except SystemExit:
        if ours:  # a SIGTERM while Ray was starting, which its handler got
            raise KeyboardInterrupt from None
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _own_groups() -> Iterator[None]:
    """Start processes in groups of their own: what is sent to ours (by a batch system) is for this one.

    Ray's would end at a SIGTERM before what is finished is fetched from them, and then, as its library does
    where they are gone, perhaps this one too, by exit 1 and no word.
    """
    _STARTING.here = True
    try:
        yield
    finally:
        _STARTING.here = False


def _leave_group() -> None:
    if _STARTING.here:
        os.setpgid(0, 0)


os.register_at_fork(after_in_child=_leave_group)  # Ray starts its processes by a fork that heeds this


def _knock(address: str) -> None:
    """Raise OSError where nothing listens at "host:port"; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()
