"""Levels that are no rating of this answer: supposed, reported, of another scale, weights."""

from __future__ import annotations

import re
from collections.abc import Sequence

from envs.judges.verdicts.verdict_words import NAME, SOMETHING_ELSE

_OTHER_SCALE = re.compile(
    r"\b(?:scale|scored?|scores|rated?|ratings?|points?)\b[^.\n]{0,20}?"
    r"(?:\b[01] ?(?:-|\u2013|to) ?(?!5\b)\d+\b|\bof (?:10|100)\b)"
    r"|\b1\W{0,3}(?:(?:is|means|being|for|as) )?(?:the )?(?:very )?"
    r"(?:best|excellent|perfect|highest|strongest)\b[^.\n]{0,30}\b5\b"
    r"|\b5\W{0,3}(?:(?:is|means|being|for|as) )?(?:the )?(?:very )?(?:worst|lowest|weakest)\b"
    r"|\blower (?:is|numbers are|scores are|means) better\b"
    r"|\b(?:rank(?:ed|ing|s)?|order(?:ed|ing)?)\b[^.\n]{0,60}\b1\W{0,3}(?:(?:is|means|being|for|as) )?"
    r"(?:the )?(?:best|first|most|highest|top)\b"
    r"|\|[ *]*(?:max(?:imum)?|best possible|weight|rank)[ *]*\|?[ \t]*\n",
    re.I,
)
_GIVES = r"(?:say|give|gave|rate|assign|award|get|be|score|call|have (?:given|said|rated|been)|deserve|merit)"
_BEGINNING = re.compile(  # of the sentence, or of the entry of an object, in which a level stands
    r"[.!?;]['\")*_]*\s|[\"\d\]}],\s*(?=[\"'{])|\n\s*"
)
_GOES_ON = re.compile(rf"(?:[:,][*_`\"')]*|\b{_GIVES})\Z", re.I)
_ABOUT = r"(?:only )?(?:it|this|that|they|the|there|not for|he|she|its)\b"
_RATED = r"(?:answer|assistant|user|reply|response|text|prompt|author|message|profile)"
_CONDITION = (
    rf"\b(?:if|unless|once|as soon as) (?:an? |[a-z]+ed\b|{_ABOUT})|\b(?:had|were) {_ABOUT}"
    rf"|\b(?:would|could|might|should) have\b"
    r"|\b(?:it|answer|reply|response|version|one) (?:would|could|should|might|needs|must|ought)\b"
    r"|\bwith (?!all\b)[^.:]{1,40}\b(?:applied|fixed|added|mended|corrected|included)\b"
    r"|\b(?:strict|lenient|generous|harsh|charitable) (?:reading|view|grading|standard)s?\b"
    r"|\b(?:imagine|suppose|supposing|pretend|hypothetically|ideally)\b"
    r"|\b(?:i|we)(?:'d| would) (?:also )?(?:expect|guess|predict|estimate|anticipate)\b"
)
_NEGATED = (
    rf"n't {_GIVES}\b|\b(?:not|cannot|never) (?:be )?{_GIVES}\b|\b(?:nobody|no one)\b"
    r"|\b(?:far (?:from|below)|anything (?:above|below|but)|instead of|rather than|tempted to [a-z]+"
    r"|neither|a score like|scores like)\b[^.]{0,30}$"
    r"|\b(?:(?:ask|tell|know|wonder|say)[^.]{0,15} whether|should i|shall i|is it|do you)\b"
    r"|\bhave(?: not|n't) (?:read|seen|received)\b"
)
_OF_OTHERS = (
    r"(?<!not a )(?<!not the )\b(?:ideal|perfect|best possible|better|stronger|improved|model|reference"
    r"|typical|mediocre) (?:[a-z]+ )?(?:answer|reply|response|version|one|case)\b"
    r"|\b(?:another|other|second|previous|earlier|prior|last) (?:[a-z]+(?:['\u2019]s)? )?"
    r"(?:judge|human|rater|reviewer|model|answer|reply|response|version|time|week|turn|round)s?\b"
    r"|\b(?:most|many|some|few|other|all) (?:readers|people|judges|raters|users|reviewers|models)\b"
    r"|\b(?:colleagues?|co-?raters?|gpt[\w.-]*|claude|gemini|yesterday"
    r"|(?:average|mean|median) (?:of|rating|score)|according to (?:the )?(?:user|author|assistant|others))\b"
    r"|\bfirst (?:impression|thought|guess|reading)\b"
    r"|\bof (?:the )?(?:user|person|writer)(?:['\u2019]s)? (?:message|query|question|prompt|situation)\b"
    rf"|\b(?:{_RATED}|injection)\b[^.]{{0,20}}\b(?:says?|said|claims?|claimed|reads?|states?|contain(?:s|ed)?"
    r"|includes?|adds|ends with|begins with|writes|wrote|demands|wants|wanted)\b"
    r"(?:[^.]{0,15}$|[^.:]{0,30}[:\"'][^.]{0,60}$)"
    rf"|\b{_RATED}\b[^.]{{0,20}}\b(?:asks|asked|tells|told|instructs|wants) (?:me|the judge|you|us)\b"
    r"|(?:\bfor (?:example|instance)|\be\.g\.|\bsuch as|\bnote to (?:the )?[a-z]+)\b[^.]{0,15}$"
    r"|\b(?:few-shot|example|sample|dummy|default|placeholder)s?\b[^.]{0,40}$"
)
_SUPPOSED = re.compile(  # of a sentence, its white space single spaces, up to where the levels are named
    f"{_CONDITION}|{_NEGATED}|{_OF_OTHERS}", re.I
)
_WANTED = r"(?:user(?:'s)?[ _])?(?:needs?|importance|priorit(?:y|ies)|relevance|requirements?|expectations?)"
_LABEL = re.compile(  # "weights": {, Thresholds:, **Ideal:**
    rf"(?:^|[\n{{,])[\s\"'*_`#>{{-]*(?:the |my |your |ratings?_|scores?_)?"
    rf"(?:{SOMETHING_ELSE}|if|after|{_WANTED})"
    r"(?:[ _](?:scores?|ratings?|verdicts?|values?|levels?|answer|reply|response))?"
    r"(?:[ _](?:\(|fixed|the|in|if|for|of|by|per|found|deducted)\b[^\n.:]{0,40})?"
    r"[\"'*_`]*[ \t]*(?:[:=(]|\n)[\s\"'*_`\[{(|-]*$",
    re.I,
)
_HERE = re.compile(r"\W*(?:if|had|were|unless|ideally|potentially|hypothetically)\b", re.I)
_NOT = r"(?:n't| not| never)\b"
_TAKEN_BACK = re.compile(
    rf"\A[\d/.\s*\"'`\])}}]{{0,20}},?\s{{0,20}}(?:but (?:it|that|this)\b[^.\n]{{0,20}}{_NOT}\W*(?:$|\n)"
    rf"|(?:would|could|might) (?:have|be)\b|(?:if|had|were) {_ABOUT})"
    r"|\b(?:these|those|this|that|which|(?:scores?|ratings?|numbers?|levels?|verdict|object|above)) "
    r"(?:(?:would|could|might) (?:be|have|apply|hold)\b"
    r"|(?:are|is|were|was) (?:(?:only|just|merely|purely|all|too|an?) )*"
    rf"(?:{SOMETHING_ELSE}\b|not (?:my|the final|final|a rating|ratings|real)|what an? (?:ideal|perfect)"
    r"|claim|quote|quotation|injection|wrong|mistaken|incorrect|invalid|void|withdrawn|defaults?"
    r"|(?:high|low|generous|harsh)\b(?! level)))"
    r"|\b(?:disregard|ignore|discard|retract|withdraw) (?:(?:the|these|those|this|that|my|all) )*"
    r"(?:above|object|ratings?|scores?|numbers?|verdict|json|first|reply)\b"
    r"|\b(?:scratch|strike) (?:that|this|the|it)\b|\b(?:made|making) (?:these|this|them|it) up\b"
    r"|\b(?:for|of) (?:an?|the|some) (?:wrong|different|other) (?:conversation|answer|dialogue|case)\b"
    r"|\A\W*sorry\b|\bnot sure (?:about|of) (?:any|these)\b"
    r"|\b(?:dummy|placeholder|default|made-up|invented) (?:values?|numbers?|scores?|ratings?)\b"
    r"|\bplaceholders?, not\b|\bno (?:answer|reply|response) (?:was|to (?:rate|judge|read))\b"
    r"|\b(?:answer|reply|response) (?:was|is) (?:empty|missing|not (?:given|provided|there))\b"
    r"|\A[^\n]{0,3}\n?\s*\?"
    r"|\bor something else\b|\bI (?:abstain|need to re-?read)\b"
    r"|\bI (?:still )?(?:have|need) to (?:look|read)\b"
    r"|\bout of (?:6|7|8|9|10|100)\b|\"(?:max|scale|scale_max|max_score|out_of)\":\s*\"?(?!5\b|1\b)\d"
    r"|\b(?:correction|erratum|edit|on (?:rereading|reflection|second thoughts?))\b[^.\n]{0,60}"
    r"\b(?:[1-5]|lower|higher|wrong)\b"
    r"|\bmust be (?:lowered|raised|changed|corrected|revised)\b|\bi do(?:n't| not) (?:share|agree)\b"
    r"|\b(?:cannot|can't|could not|couldn't|unable to) (?:rate|judge|assess|score) (?:it|the answer|this)\b"
    r"|\bplease (?:send|share|provide|paste|give|supply)\b[^.\n]{0,40}"
    r"\b(?:conversation|dialogue|answer|response|reply|text|query|profile|details)\b"
    r"|\b(?:would|could|might|should) (?:bring|lower|raise|push|drop|pull|reduce|increase)\b"
    r"|\bneutral defaults?\b|\b(?:answer|reply|response)(?: text)? to be rated\b"
    r"|\bmy (?:final|actual|real|own) (?:ratings?|scores?)\b[^.\n]{0,40}\b(?:differ|change|follow|are:?\Z)",
    re.I,
)
_CODE = re.compile(r"^\s*(?:def|function|class) \w[^\n]*[:{]\s*$|[\])\w] ?[+*-]= ?\d", re.M)
_FLAGGED = re.compile(r'"(?:placeholder|error|default|dummy|example)":|"answer_received":\s*false', re.I)
_PROSE = re.compile(r":\s*\"((?:[^\"\\\n]|\\.){20,})\"")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")


def without_suppositions(text: str) -> str:
    """Return `text`, of the same length, without the sentences of an object's strings that suppose levels."""
    found = text
    for prose in _PROSE.finditer(text):
        for sentence in _SENTENCE.finditer(text, *prose.span(1)):
            name = NAME.search(text, *sentence.span())
            if name and _SUPPOSED.search(text[sentence.start() : name.start()]):
                found = found[: sentence.start()] + " " * len(sentence[0]) + found[sentence.end() :]
    return found


def is_of_something_else(text: str, places: Sequence[int]) -> bool:
    """Return whether the levels at `places` of `text` are of another scale, supposed, reported, or weights.

    What is said before the first one, in its sentence, and behind the last one decides; what stands between
    them are reasons, but for a condition that begins a sentence.
    """
    if any(sign.search(text) for sign in (_OTHER_SCALE, _FLAGGED, _CODE)):
        return True
    if _TAKEN_BACK.search(text[max(places) + 1 :]):
        return True
    before = 0
    for place in sorted(places):
        start = before
        for beginning in _BEGINNING.finditer(text, before, place):
            if not (beginning[0].isspace() and _GOES_ON.search(text[start : beginning.start()].rstrip())):
                start = beginning.end()
        name = NAME.search(text, start, place)
        lead = text[start : place if name is None else name.start()]
        if before:
            supposed = _HERE.match(lead) is not None
        else:
            is_label = _LABEL.search(text, max(0, start + len(lead) - 100), start + len(lead)) is not None
            supposed = is_label or _SUPPOSED.search(" ".join(lead.split())) is not None
        if supposed:
            return True
        before = place + 1
    return False
