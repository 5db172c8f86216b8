"""Put a judge, a prior or a search where Ray's workers get it from, or say in one line what keeps it here."""

from __future__ import annotations

from typing import Any

from envs import UserError


class NotSendable(UserError):
    """A judge, prior or search that only works in this process."""


def put(part: Any, role: str) -> Any:
    """Return Ray's reference to a copy of `part`; Ray is running.

    Raises
    ------
    NotSendable
        it cannot be copied; names the attribute that keeps it from that, never what is in it.
    """
    import ray

    try:
        return ray.put(part)
    except (TypeError, ray.cloudpickle.PicklingError):
        raise NotSendable(
            f"{role} {type(part).__name__} cannot be sent to Ray workers{_because(part)}, "
            f"expected plain data; leave out in __getstate__ what belongs to one process and make it anew "
            f"in __setstate__, or take parallel=serial"
        ) from None


def _because(part: Any) -> str:
    import ray

    try:
        held = vars(part)
    except TypeError:
        return ""
    for name, value in held.items():
        try:
            ray.put(value)
        except (TypeError, ray.cloudpickle.PicklingError):
            kind = type(value)
            return f": its attribute {name} holds a {kind.__module__}.{kind.__qualname__}"
    return ""
