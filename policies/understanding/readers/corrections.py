"""Which attribute a message takes back, and what it says instead: "sorry, 43, not 34"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from envs.schema import Schema
from envs.schema.attribute import Attribute
from policies.understanding.reading import Value
from policies.understanding.text_classifier import folded

_CLEAR = re.compile(
    r"\b(?:(?:i|oops) (?:meant|misspoke|mistyped|lied)|meant to (?:say|write|type|put)|i should have said"
    r"|(?:i|it) (?:had )?(?:said|told you|wrote|typed|answered|heard)\b|i (?:made a )?mis(?:took|take)"
    r"|(?:take|taking) (?:\w+ ){1,2}back|correction|corrigend\w+|erratum|scratch that|strike that|typo"
    r"|(?:earlier|before|previous|last) (?:answer|reply|message|statement|note)|autocorrect\w*|wrong word"
    r"|my (?:mistake|bad|error)|change (?:my|that|the) answer|(?:got|said|wrote|put|that's) (?:\w+ )?wrong"
    r"|(?:let me|i must|to) (?:correct|fix|amend|rephrase)|wasn't (?:being )?(?:honest|true|straight)"
    r"|not\b[^.;]*,? (?:but|i meant|actually)|(?:sorry|actually|oops|wait|no)\b[^.;]*\bnot\b)"
)
"""How people take something back."""
_FAINT = re.compile(
    r"^(?:oh |um |ah |and |so )*(?:wait|hold on|hang on|no\b|actually|sorry|oops|ignore|make (?:that|it))\b"
    r"|\b(?:actually|earlier|before|should be|should have been|any ?more|by now|forgot to say)\b"
)
"""Words of corrections that say other things as well."""
_BACK = re.compile(
    r"\b(?:not|instead of|rather than|isn't|wasn't)\b[^,.;:!?()-]*"
    r"|\bi (?:had )?(?:said|told you|wrote|typed|put|answered|described myself as)\b"
    r"(?:(?! and | but | it's | i meant| meant)[^,.;:!?()])*"
)
"""What takes the old words back, up to the end of its clause."""
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]{3,}")
_SMALL = frozenset(
    _WORD.findall("the and for not but are was were have has had that this you said with from just been very")
)

Facts = Callable[[str, str | None], Mapping[str, Value]]
"""From a text and the attribute it is about, or None, to what it says."""


def marked(text: str) -> int:
    """Tell how plainly `text` says that it takes something back: 2 clearly, 1 perhaps, 0 not at all."""
    plain = folded(text)
    return 2 if _CLEAR.search(plain) else int(_FAINT.search(plain) is not None)


def correction(
    text: str,
    schema: Schema,
    context: Mapping[str, Value],
    facts: Facts,
    tells: Callable[[str, Attribute, Mapping[str, Value]], float],
    least: float,
) -> tuple[str, Value] | None:
    """Return the attribute of `context` that `text` changes, and its new value; None where it is none.

    The attribute is the one whose old value or name is mentioned, of which something is said, and which is
    told of most likely, in this order of weight (3, 2, 2, up to 1); the latest of equals. `least`: the weight
    below which it is none.
    """
    new = " ".join(_BACK.sub(" ", folded(text)).split()).strip(" ,.;:-") or folded(text)
    said = facts(new, None)
    best, weight = None, least
    for name, old in context.items():
        attribute, as_reply = schema.attributes[schema.index(name)], facts(new, name)
        evidence = 3.0 * _mentions(text, old) + 2.0 * _names(text, attribute) + 2.0 * (name in said)
        evidence += tells(new, attribute, as_reply)
        if evidence >= weight:
            best, weight = (name, as_reply.get(name) or Value(new)), evidence
    return best


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(folded(text)) if word not in _SMALL}


def _mentions(text: str, old: Value) -> bool:
    known = _words(f"{old.words} {old.level or ''}")
    if old.number is not None:
        known.add(f"{old.number:g}")
    return not known.isdisjoint(_words(text))


def _names(text: str, attribute: Attribute) -> bool:
    return not {word[:5] for word in _words(attribute.name)}.isdisjoint(w[:5] for w in _words(text))
