"""Read the optional attributes that a plug-in declares, and check their types."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from envs.errors import UserError


class Declared:
    """The optional attributes of a plug-in; one that is absent or None declares nothing.

    This is the one place that looks attributes up by name. `role` says what the plug-in is to us, for errors.
    """

    def __init__(self, part: object, role: str) -> None:
        self._part = part
        self._role = role

    def name(self) -> str:
        """Return the attribute `name`, or else the name of the class."""
        found = self.any("name")
        if found is None or found == "":
            return type(self._part).__name__
        return found if isinstance(found, str) else self._refuse("name", found, "a string")

    def flag(self, name: str) -> bool:
        """Return a truth value, False where nothing is declared."""
        found = self.any(name)
        if found is None or isinstance(found, (bool, np.bool_)):
            return bool(found)
        return self._refuse(name, found, "true or false")

    def whole(self, name: str, default: Any, least: int = 0) -> Any:
        """Return an integer >= `least`, or `default`."""
        found = self.any(name)
        if found is None:
            return default
        if isinstance(found, (int, np.integer)) and not isinstance(found, bool) and found >= least:
            return int(found)
        return self._refuse(name, found, f"an integer >= {least}")

    def names(self, name: str) -> tuple[str, ...]:
        """Return a collection of names, () where nothing is declared."""
        found = self.any(name)
        if found is None:
            return ()
        if isinstance(found, str) or not isinstance(found, Collection):
            return self._refuse(name, found, "a collection of names")
        return tuple(item if isinstance(item, str) else self._refuse(name, item, "names") for item in found)

    def method(self, name: str, signature: str) -> Callable[..., Any] | None:
        """Return a method, None where there is none; `signature` shows its arguments in an error."""
        found = self.any(name)
        if found is None or callable(found):
            return found
        return self._refuse(name, found, f"a method {name}{signature}")

    def twin(self, name: str, signature: str, *of: str) -> Callable[..., Any] | None:
        """Return a method that is another form of `of`; None where a subclass has its own of these alone."""
        for own in (self._part, *type(self._part).__mro__):
            names = getattr(own, "__dict__", {})
            if name in names:
                break
            if any(other in names for other in of):
                return None
        return self.method(name, signature)

    def of_type(self, name: str, kind: type) -> Any:
        """Return an object of class `kind`, None where there is none."""
        found = self.any(name)
        if found is None or isinstance(found, kind):
            return found
        return self._refuse(name, found, f"an object of class {kind.__name__}")

    def any(self, name: str) -> Any:
        """Return whatever is declared, None where nothing is."""
        return getattr(self._part, name, None)

    def _refuse(self, name: str, found: object, wanted: str) -> Any:
        told = repr(found) if isinstance(found, (bool, int, float, str)) else f"a {type(found).__name__}"
        raise UserError(
            f"{self._role} {type(self._part).__name__}: {name} is {told}, expected {wanted}, or nothing"
        )
