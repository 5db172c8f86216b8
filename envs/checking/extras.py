"""Packages that an extra brings."""

from __future__ import annotations

import importlib.util

from envs.errors import UserError


def check_installed(place: str, extra: str, *packages: str) -> None:
    """Raise a `UserError` where one of `packages`, which `place` needs of `extra`, is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"{place}: {package} is not installed, expected pip install 'raise-planner[{extra}]'"
            )
