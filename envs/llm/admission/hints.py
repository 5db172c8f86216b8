"""Read what an endpoint says of its pace: in headers, and in the body of an error.

Seen: `retry-after-ms`, `retry-after` (seconds or a date),
`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`
(OpenAI, Azure, Groq; a reset is "1s", "6m0s", "120ms" or seconds), `X-RateLimit-Reset` (OpenRouter: the
clock's time, in seconds or milliseconds), `anthropic-ratelimit-*` (dates), `retryDelay` in Gemini's details,
and "try again in 20s" in a sentence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from envs.llm.admission.lane import PaceSignal

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+", re.I)
_STEP = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.I)
_WAIT = r"(?:try again|retry|wait)\s+(?:in|after|for)?\s*"
_SAID = re.compile(_WAIT + r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?)\b", re.I)
_TOGETHER = re.compile(_WAIT + r"(" + _DURATION.pattern + r")\b", re.I)
_CLOCK_TIME = 1e9
"""Seconds that are more than this are a time of the clock, not a duration."""


def wait_of(headers: Mapping[str, str], body: Any = None) -> float | None:
    """Return the seconds that a refusal asks to wait, None where it says none."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, ""))
        if seconds is not None:
            return seconds * unit if seconds > 0 else None
    dated = _until_date(headers.get("retry-after", ""), headers)
    if dated is not None:
        return dated
    said = next((found for text in _delays(body) if (found := _duration(text)) is not None), None)
    if said is not None:
        return said
    resets = [_reset(headers, kind) for kind, left in _counts(headers, "remaining") if left <= 0]
    known = [reset for reset in resets if reset is not None]
    return max(known, default=None)


def signal_of(headers: Mapping[str, str]) -> PaceSignal:
    """Return the signal of an answer: how many more requests the endpoint takes, where it says so."""
    found = dict(_counts(headers, "remaining"))
    if not found:
        return PaceSignal()
    left = min((int(n) for kind, n in found.items() if not kind.endswith("tokens")), default=None)
    if any(n <= 0 for n in found.values()):
        left = 0
    most = dict(_counts(headers, "limit"))
    refills = [
        reset / max(1.0, most.get(kind, 1.0) - n)
        for kind, n in found.items()
        if n <= 0 and (reset := _reset(headers, kind)) is not None
    ]
    return PaceSignal(left=left, refill_s=max(refills, default=0.0))


def _counts(headers: Mapping[str, str], what: str) -> Iterator[tuple[str, float]]:
    """Yield (kind, number): of requests and tokens, or of a quota without a name ("")."""
    for kind in ("-requests", "-tokens", ""):
        for name in (f"x-ratelimit-{what}{kind}", f"anthropic-ratelimit{kind}-{what}"):
            number = _number(headers.get(name, ""))
            if number is not None:
                yield kind, number
                break


def _reset(headers: Mapping[str, str], kind: str) -> float | None:
    for name in (f"x-ratelimit-reset{kind}", f"anthropic-ratelimit{kind}-reset"):
        text = headers.get(name, "")
        found = _duration(text) if _number(text) is None else _number(text)
        if found is None and text:
            found = _until_date(text, headers)
        if found is not None:
            found = found / 1000.0 if found > 1000.0 * _CLOCK_TIME else found
            return max(0.0, found - _now(headers)) if found > _CLOCK_TIME else found
    return None


def _now(headers: Mapping[str, str]) -> float:
    """Return the server's clock, ours where it does not tell."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError):
        return datetime.now(UTC).timestamp()


def _until_date(text: str, headers: Mapping[str, str]) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            then = read(text)
        except (ValueError, TypeError):
            continue
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, then.timestamp() - _now(headers))
    return None


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _duration(text: str) -> float | None:
    """Return the seconds of "6m0s" or "120ms", None where `text` is no such thing."""
    if not _DURATION.fullmatch(text.strip()):
        return None
    return sum(float(n) * _UNITS[unit.lower()] for n, unit in _STEP.findall(text))


def _delays(body: Any) -> Iterator[str]:
    """Yield what the body of an error says of the time to wait, as durations."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key in ("retryDelay", "retry_delay") and isinstance(value, str):
                yield value
            elif key in ("retry_after", "retry_after_seconds") and isinstance(value, (int, float)):
                yield f"{value}s"
            else:
                yield from _delays(value)
    elif isinstance(body, list):
        for value in body:
            yield from _delays(value)
    elif isinstance(body, str):
        together = _TOGETHER.search(body)
        if together:
            yield together[1]
        elif found := _SAID.search(body):
            unit = found[2].lower()
            yield f"{found[1]}{'ms' if unit.startswith(('ms', 'milli')) else unit[0]}"
