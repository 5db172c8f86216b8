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
    r"(?:the )?(?:best|first|most|highest|top)\b",
    re.I,
)
_GIVES = r"(?:say|give|gave|rate|assign|award|get|be|score|call|have (?:given|said|rated|been)|deserve|merit)"
_BEGINNING = re.compile(  # of the sentence, or of the entry of an object, in which a level stands
    r"[.!?;]['\")*_]*\s|[\"\d\]}],\s*(?=[\"'{])|\n\s*"
)
_GOES_ON = re.compile(rf"(?:[:,{{\[(][*_`\"')]*|\b{_GIVES})\Z", re.I)
_ABOUT = r"(?:only )?(?:it|this|that|they|the|there|not for|he|she|its)\b"
_HEADING = re.compile(r"(?:\A|\n)[ \t]*(?:#+ |\*\*)[^\n]*\Z")
_LONGEST = 300
"""Characters of a sentence that introduces a verdict."""
_WORD = re.compile(r"(?<!\\)\b[^\W\d_]+(?:'[a-z]+)?")
_ASIDE = re.compile(  # a comment, what 1 and 5 mean
    r"/\*[^*\n]{0,80}\*/|\b1 ?\([a-z ]+\)[^\n\d]{0,20}\b5 ?\([a-z ]+\)", re.I
)
_WORDS = """
    a above all an and answer answer's are arguments as assessment assign assistant's at based below by
    call care conversation criteria dialogue dimension dimensions each evaluation final follow following
    follows for format from function get gets give given grade grades here here's i i'd in including
    input into is it it's json judge judgement judgment level levels like lines mark marks me metric
    metrics my name names now numbers object of ok okay on one order output overall parameters per
    points provided put rate rated rating ratings read reply request requested respective respectively
    response result results rubric s scale score scored scores say see so submit sure summary text that
    the their then therefore these this three thus to tool value values verdict verdicts was we were
    what with would written you your
    antwort bewertung bewertungen der die hier ist meine sind de est et la les mes mon notes réponse
    sont voici évaluation évaluations ecco esta estas evaluación mi mis puntuaciones respuesta risposta
    son valutazione valutazioni avaliação avaliações minha minhas resposta
    分数 我的评分 我的评分如下 评分 评分如下 评估 评估如下 评估结果 评价
"""
_INTRODUCING = frozenset(_WORDS.split())
"""Words that say no more than that a verdict follows.

Any other one may mean that none does: of an ideal answer, an earlier one, if, not, at most. Which do cannot
be listed, and to ask the model once more costs one request.
"""
_HEAD = re.compile(  # of a table, up to the name in its first row
    r"(?:\A|\n)(?P<head>[^\n]*\|[^\n]*)\n[ \t|:]*-[ \t|:-]*\n(?P<row>[^\n]*)\Z"
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
    r"|\A\W*sorry\b|\bnot sure\b"
    r"|\b(?:dummy|placeholder|default|mock|stub|made-up|invented) "
    r"(?:values?|numbers?|scores?|ratings?|responses?)\b"
    r"|\bplaceholders?, not\b|\bno (?:answer|reply|response) (?:was|to (?:rate|judge|read))\b"
    r"|\b(?:answer|reply|response) (?:was|is) (?:empty|missing|not (?:given|provided|there))\b"
    r"|\A[^\n]{0,3}\n?\s*\?"
    r"|\bactually,? no\b|\bshould (?:rather )?be\W*\Z"
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
    """Return `text`, of the same length, without sentences of an object's strings that may suppose levels."""
    found = text
    for prose in _PROSE.finditer(text):
        for sentence in _SENTENCE.finditer(text, *prose.span(1)):
            name = NAME.search(text, *sentence.span())
            if name and not _introduces(text[sentence.start() : name.start()]):
                found = found[: sentence.start()] + " " * len(sentence[0]) + found[sentence.end() :]
    return found


def _introduces(lead: str) -> bool:
    words = _WORD.findall(_ASIDE.sub(" ", lead[: _LONGEST + 1]))
    return len(lead) <= _LONGEST and all(word.lower() in _INTRODUCING for word in words)


def _head_of(text: str, name: int, place: int) -> str:
    """Return the head of the column at `place`, in a table's first row with a name at `name`, else ""."""
    table = _HEAD.search(text, max(0, name - 4 * _LONGEST), name)
    cells = [] if table is None else table["head"].split("|")
    column = 0 if table is None else text.count("|", table.start("row"), place)
    return cells[column] if column < len(cells) else ""


def is_of_something_else(text: str, places: Sequence[int]) -> bool:
    """Return whether the levels at `places` of `text` are of another scale, supposed, reported, or weights.

    Before the first one, in its sentence or heading, only words may stand that introduce a verdict; behind
    the last one nothing that takes it back. What stands between them are reasons, but for a condition that
    begins a sentence.
    """
    if any(sign.search(text) for sign in (_OTHER_SCALE, _FLAGGED, _CODE)):
        return True
    if _TAKEN_BACK.search(text[max(places) + 1 :]):
        return True
    before = 0
    for place in sorted(places):
        start = before
        for beginning in _BEGINNING.finditer(text, before, place):
            ended = text[max(start, beginning.start() - _LONGEST) : beginning.start()].rstrip()
            goes_on = _GOES_ON.search(ended) or (not before and _HEADING.search(ended))
            if not (beginning[0].isspace() and goes_on):
                start = beginning.end()
        name = NAME.search(text, start, place)
        lead = text[start : place if name is None else name.start()]
        if _HERE.match(lead) if before else not _introduces(lead):
            return True
        if name and not before and not _introduces(_head_of(text, name.start(), place)):
            return True
        before = place + 1
    return False
