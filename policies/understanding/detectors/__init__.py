"""Detectors: signs of acute danger in what a person writes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policies.understanding.detectors.first_alarm import FirstAlarm
    from policies.understanding.detectors.llm_detector import LLMDetector
    from policies.understanding.detectors.moderation_detector import ModerationDetector
    from policies.understanding.detectors.rules_detector import RulesDetector

__all__ = ["FirstAlarm", "LLMDetector", "ModerationDetector", "RulesDetector"]


def __getattr__(name: str) -> Any:
    """Import a detector when it is asked for: a model's client, or the rules' patterns, take a while."""
    if name == "RulesDetector":
        from policies.understanding.detectors.rules_detector import RulesDetector

        return RulesDetector
    if name == "FirstAlarm":
        from policies.understanding.detectors.first_alarm import FirstAlarm

        return FirstAlarm
    if name == "LLMDetector":
        from policies.understanding.detectors.llm_detector import LLMDetector

        return LLMDetector
    if name == "ModerationDetector":
        from policies.understanding.detectors.moderation_detector import ModerationDetector

        return ModerationDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
