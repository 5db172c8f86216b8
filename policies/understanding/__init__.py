"""From what a person writes to what it means: readers and detectors."""

from typing import TYPE_CHECKING, Any

from policies.understanding import detectors, readers
from policies.understanding.reading import Danger, Detector, Dialogue, Message, Reader, Reading, Value

if TYPE_CHECKING:
    from policies.understanding.detectors import FirstAlarm, LLMDetector, ModerationDetector, RulesDetector
    from policies.understanding.readers import LLMReader, RulesReader

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
    """Import a reader or a detector when it is asked for."""
    for part in (readers, detectors):
        if name in part.__all__:
            return getattr(part, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
