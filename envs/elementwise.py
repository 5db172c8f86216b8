"""Apply a function of `math` to each element of an array."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt


def each(function: Callable[[float], float], values: npt.ArrayLike) -> np.ndarray:
    """Return float64, `function` of each of `values`, in their shape.

    NumPy's own exp, log, cos and the like are vector code of one kind for each kind of processor, and the
    last bit of a score is not the same everywhere; those of `math` are the C library's.
    """
    given = np.asarray(values, dtype=np.float64)
    return np.fromiter(map(function, given.ravel().tolist()), np.float64, given.size).reshape(given.shape)
