"""Who a clause is about, and whether what it says is denied, supposed, asked or over.

This is English; what attributes there are is not known here. All is linear in the text.
"""

from __future__ import annotations

import re

PART = re.compile(r"(?:,|\bbut\b|\bthough\b|\band\b|\bso\b|:|\u2014|\u2013| - |\()\s*")
_OTHERS = (
    r"mother|mum|mom|mam|dad|father|parents?|brothers?|sisters?|siblings?|sons?|daughters?|kids?|child(?:ren)?|baby|"
    r"friends?|mate|boss|manager|colleagues?|coworkers?|neighbou?rs?|landlord|roommates?|flatmates?|housemates?|"
    r"uncle|aunt(?:ie)?|cousins?|nephew|niece|grand(?:ma|pa|mother|father|parents|son|daughter)|nan|gran|"
    r"teacher|doctor|therapist|client|patients?|students?|pupils?|ex|best friend|in[- ]laws?|family"
)
_PARTNERS = r"husband|wife|partner|girlfriend|boyfriend|spouse|fianc[e\u00e9]e?|gf|bf|hubby|missus"
SELF = re.compile(r"\b(?:i|i'm|im|i've|i'd|i'll|me|myself|mine|my own|ah|ah'm|we|we're|we've|us|our)\b")
THIRD = re.compile(
    rf"\b(?:he|she|they|he's|she's|they're|his|her|hers|their|someone|somebody|people|everyone|you|your|"
    r"(?<!i'm )(?<!i am )(?<!im )(?<!as )(?:the|that|this|some) (?:\w+ )?"
    r"(?:girl|boy|guy|man|woman|lad|lass|lady|bloke|kid|person|chap|fella|hero|heroine|character|narrator)|"
    r"(?:mum|mom|dad|nan|gran|grandad|grandma|grandpa)(?:'s| is| was| has)|"
    rf"(?:my|our|his|her|their|a|the|an|some|one of my) (?:\w+ )?(?:{_OTHERS}|{_PARTNERS})(?:'s)?)\b"
)
DENIED = re.compile(
    r"\b(?:not|no|never|none|without|neither|nor|nobody(?:'s)?|hardly|isn'?t|aren'?t|wasn'?t|weren'?t|don'?t|doesn'?t|didn'?t|"
    r"haven'?t|hasn'?t|hadn'?t|can'?t|cannot|won'?t|wouldn'?t|ain'?t|stopped|far from)(?: \w+){0,3} ?$"
)
SUPPOSED = re.compile(
    r"\b(?:if|whether|unless|suppose|imagine|would|could|might|wish|wished|pretend\w*|as though|as if|"
    r"in case|(?:afraid|scared|worried|fear|terrified|thinking|dream\w*|talk\w*|worry|tempted|planning|plan|"
    r"hoping|hope|want\w*|trying|going|supposed|considering|about|how|need\w*|ready|decid\w*|should i|do i|"
    r"can i|may i|like|what it'?s like)"
    r"(?: (?:of|to|about|that|i'?ll|being|be|get|getting|become|becoming|a|an|my))*)(?: \w+){0,2} ?$"
)
_OVER = re.compile(
    r"\b(?:used to|when i was|back when|years ago|as a (?:kid|child|teen\w*)|i had been|"
    r"i was(?! diagnosed))\b[^,.;]*$"
)
_LONG_AGO = re.compile(
    r"[^,.;]{0,30}\b(?:years|decades) (?:ago|back)\b|[^,.;]{0,20}\bas a (?:kid|child|teen)"
)
ASKING = re.compile(
    r"\W*(?:so |and |but |ok |well )?(?:what|how|why|when|where|which|who|is|are|can|could|should|do|"
    r"does|did|will|would|am|was|were|has|any|tips|ways|advice)\b"
)
_OWN = re.compile(r"(?:i\b|i'|im\b|am\b|my\b|we\b|our\b|me\b|the (?:wife|husband|missus))")
_RELATIVE = re.compile(
    rf"(?:my|our) (?:[\w-]+ )?(?:ex-)?(?:{_OTHERS})(?:'?s? (?:{_PARTNERS})\b|'s |"
    r" (?:is|are|was|were|has|had|have|gets|got|feels|keeps|says|thinks|reckons)\b)"
)
_HAD = re.compile(
    r"(?:(?:my|our) (?:[\w'-]+ ){0,2}[\w'-]+|the (?:wife|husband|missus|mrs))"
    r"(?<! is)(?<! are)(?<! was)(?<! has)(?<! died)(?<! dead)(?<! passed)(?<! left)(?<! out)(?<! me)(?<! up)"
)
"""Something that the writer has, whatever else is denied or supposed: "how do i tell my husband"."""
_NOT_HAD = re.compile(
    r"\b(?:(?:not|isn't|wasn't|never|become|becoming|be|being|imagine|suppose|"
    r"pretend\w*|future|like)(?: of)?|"
    r"if (?:i|he|she|they) (?:was|were|had))(?: (?:to|with))? ?$"
)
_SAID = re.compile(
    r"\b(?:says|said|told me|thinks|suspects|claims|believes|assumes|insists)(?: that)?"
    r"[ \"',:]*(?:(?:i'?m|i am) (?:an? )?)?$"
)


_FICTION = re.compile(
    r"\b(?:(?:in|of|from) (?:the|a|my|this|that|our) (?:\w+ )?(?:story|novel|book|play|film|movie|show|"
    r"series|script|scene)|in (?:chapter|act|scene))\b"
)
_PRONOUN = re.compile(r"\b(?:he|she)(?:'s)?\b")
_FIRST = 40
"""Characters before words that stand for "I am": "Nurse in Leeds, widowed"."""


def about_writer(sentence: str, start: int, end: int, past: bool, asked: bool) -> bool:
    """Tell whether `sentence[start:end]` is said of the writer, and neither denied nor supposed nor over.

    `past`: what is over counts too. `asked`: it may be a reply without "I".
    """
    before = sentence[max(0, start - 120) : start]
    clause = PART.split(before)[-1]
    said = sentence[start:end]
    if _RELATIVE.match(said):
        return False
    if _HAD.fullmatch(said):
        return not _NOT_HAD.search(clause) and not (_SAID.search(before) and before.rstrip(" ")[-1] in "\"'")
    if said.startswith("am i ") or DENIED.search(clause) or SUPPOSED.search(clause) or _SAID.search(before):
        return False
    if not _OWN.match(said):
        third = max((m.end() for m in THIRD.finditer(clause)), default=-1)
        own = max((m.end() for m in SELF.finditer(clause)), default=-1)
        if third > own or _FICTION.search(sentence):
            return False
        if not asked and (ASKING.match(sentence) or not _speaks_of_self(sentence, start, end)):
            return False
    return past or not (_OVER.search(clause) or _LONG_AGO.match(sentence[end:]))


def _speaks_of_self(sentence: str, start: int, end: int) -> bool:
    """Tell whether `sentence` speaks of its writer; where it names nobody else, its first words do."""
    if SELF.search(sentence):
        return True
    if any(match[0] not in ("you", "your") for match in THIRD.finditer(sentence, 0, start)):
        return False
    if _PRONOUN.search(sentence, end) and not re.search(r"\bm[ay]\b", sentence):
        return False
    return start <= _FIRST or re.search(r"\bm[ay]\b", sentence) is not None
