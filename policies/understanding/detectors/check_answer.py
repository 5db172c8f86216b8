"""Read the answer to "are you safe right now?": the question that a suspicion of danger leads to."""

from __future__ import annotations

import re
from typing import Literal

from policies.understanding.text_classifier import straight

_SURE = r"safe|ok(?:ay)?|fine|alright|all right|in no danger|not in (?:any )?danger"
_FINE = rf"(?:{_SURE}|good|well)"
_GRAVE = re.compile(
    rf"(?:\bnot|n't|\bnever|\bhardly)\s+(?:\w+\s+){{0,2}}?{_FINE}\b(?<!danger)"
    r"|\bunsafe\b|\bhelp me\b|\b(?<!not )(?<!no )(?<!any )in danger\b"
    r"|\b(?:hurt|kill|harm)(?:ing)? (?:my|him|her)"
    r"|^\W*(?:no|nope|nah|nein|non|nie|nee|n[aã]o)\W*(?:not really|i(?:'m| am) not)?\W*$|^\W*not really\W*$"
)
_UNSURE = re.compile(
    r"\b(?:don't know|dunno|idk|not sure|maybe|perhaps|i guess|hard to say|kind of|sort of)\b"
)
_SAFE = re.compile(
    rf"^\W*(?:yes|yeah|yep|yup|sure|of course|ja|oui|s[ií]|sim|tak|evet)\b"
    rf"|\b(?:i'm|im|i am|we're|we are|feel|feeling|am|perfectly|totally|completely) (?:\w+ ){{0,2}}?{_FINE}\b"
    rf"|^\W*(?:{_SURE})(?:\W+(?:thanks|thank you)\b.*)?\W*$"
    r"|\b(?:jok(?:e|ing)|kidding|figure of speech|nothing like that|don't worry|of course not|no,? never)\b"
    r"|\b(?:would(?:n't| not| never)|won't|never would|didn't mean)\b"
)
_NO_HARM = re.compile(r"(?:\bnot|n't|\bnever|\bno)\s+(?:\w+\s+){0,3}?(?:hurt|kill|harm)\w*")


def check_answer(text: str) -> Literal["safe", "grave", "unclear"]:
    """Return what `text` says to a question that "yes" answers as safe."""
    folded = _NO_HARM.sub("fine", straight(text[:2000]).casefold())
    if _GRAVE.search(folded):
        return "grave"
    if _UNSURE.search(folded) or re.search(r"\bbut\b", folded):
        return "unclear"
    return "safe" if _SAFE.search(folded) else "unclear"
