"""Make the environment known to Gymnasium: at once where that is loaded, else as soon as somebody loads it.

Gymnasium takes longer to load than all that most users of this package need of it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def register() -> None:
    """Register `envs/AttributeAcquisition-v0`, with its vector twin."""
    import gymnasium

    gymnasium.register(
        id="envs/AttributeAcquisition-v0",
        entry_point="envs.acquisition_env:AttributeAcquisitionEnv",
        vector_entry_point="envs.vector.acquisition_vector_env:AcquisitionVectorEnv",
    )


class _WhenGymnasiumLoads:
    """Finds Gymnasium where the other finders do, and registers when its code has run."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def then_register(module: ModuleType) -> None:
                run(module)
                register()
                sys.meta_path.remove(cls)

            spec.loader.exec_module = then_register  # type: ignore[method-assign]
        return spec


def register_with_gymnasium() -> None:
    """Register now or later; called once, when `envs` is imported."""
    if "gymnasium" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _WhenGymnasiumLoads)
