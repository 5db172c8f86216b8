"""From what a person writes to what it means: readers and detectors."""

from typing import TYPE_CHECKING, Any

from policies.understanding import detectors, readers
from policies.understanding.detectors import FirstAlarm, RulesDetector
from policies.understanding.readers import RulesReader
from policies.understanding.reading import Danger, Detector, Dialogue, Message, Reader, Reading, Value

if TYPE_CHECKING:
    from policies.understanding.detectors import LLMDetector, ModerationDetector
    from policies.understanding.readers import LLMReader

__all__ = [
    "Danger",
    "Detector",
    "Dialogue",
    "FirstAlarm",
    "LLMDetector",
    "LLMReader",
    "Message",
    "ModerationDetector",
    "Reader",
    "Reading",
    "RulesDetector",
    "RulesReader",
    "Value",
]


def __getattr__(name: str) -> Any:
    """Import what needs a model's client when it is asked for."""
    if name == "LLMReader":
        return readers.LLMReader
    if name in ("LLMDetector", "ModerationDetector"):
        return getattr(detectors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
