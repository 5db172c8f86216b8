"""Readers: from what a person writes to the attributes that it tells and what it does."""

from typing import TYPE_CHECKING, Any

from policies.understanding.readers.rules_reader import RulesReader

if TYPE_CHECKING:
    from policies.understanding.readers.llm_reader import LLMReader

__all__ = ["LLMReader", "RulesReader"]


def __getattr__(name: str) -> Any:
    """Import what needs a model's client, half a second of it, when it is asked for."""
    if name == "LLMReader":
        from policies.understanding.readers.llm_reader import LLMReader

        return LLMReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
