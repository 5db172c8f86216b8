"""Readers: from what a person writes to the attributes that it tells and what it does."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policies.understanding.readers.llm_reader import LLMReader
    from policies.understanding.readers.rules_reader import RulesReader

__all__ = ["LLMReader", "RulesReader"]


def __getattr__(name: str) -> Any:
    """Import a reader when it is asked for: a model's client, or the rules' patterns, take a while."""
    if name == "RulesReader":
        from policies.understanding.readers.rules_reader import RulesReader

        return RulesReader
    if name == "LLMReader":
        from policies.understanding.readers.llm_reader import LLMReader

        return LLMReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
