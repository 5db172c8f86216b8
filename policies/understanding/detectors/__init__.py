"""Detectors: signs of acute danger in what a person writes."""

from typing import TYPE_CHECKING, Any

from policies.understanding.detectors.first_alarm import FirstAlarm
from policies.understanding.detectors.rules_detector import RulesDetector

if TYPE_CHECKING:
    from policies.understanding.detectors.llm_detector import LLMDetector
    from policies.understanding.detectors.moderation_detector import ModerationDetector

__all__ = ["FirstAlarm", "LLMDetector", "ModerationDetector", "RulesDetector"]


def __getattr__(name: str) -> Any:
    """Import what needs a model's client, half a second of it, when it is asked for."""
    if name == "LLMDetector":
        from policies.understanding.detectors.llm_detector import LLMDetector

        return LLMDetector
    if name == "ModerationDetector":
        from policies.understanding.detectors.moderation_detector import ModerationDetector

        return ModerationDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
