"""What judge models call the dimensions and the levels, in the languages and scripts they fall into."""

from __future__ import annotations

import re

DIMENSIONS = ("risk_sensitivity", "emotional_empathy", "personalization")

_LABELS = r"(?=[\"'*` ]*[:=|])"  # of one word, so common that it is a name only as a label
LABELS = (  # in the order of DIMENSIONS: English (the last also as in the paper), German, French, Spanish,
    # Italian, Portuguese, Chinese; `_` is any way to join words
    (
        f"risk_sensitivity|risk{_LABELS}",
        "risiko_sensi(?:bilität|tivität)",
        "sensibilité_(?:au|aux)_risques?",
        "sensibilidad_al?_(?:los_)?riesgos?",
        "sensibilità_al_rischio",
        "sensibilidade_ao_risco",
        "风险敏感(?:性|度)?|風險敏感(?:性|度)?",
    ),
    (
        f"emotional_empathy|empathy{_LABELS}",
        "emotionale[s]?_(?:empathie|einfühlungsvermögen)",
        "empathie_émotionnelle",
        "empatía_emocional",
        "empatia_emoti(?:va|onale)|empatia_emozionale",
        "empatia_emocional",
        "(?:情感|情绪|情緒)(?:共情|共感|同理心?|共鸣)(?:力|度)?",
    ),
    (
        f"personali[sz]ation|user_specific_alignment|alignment{_LABELS}",
        "personalisierung|nutzerspezifische_(?:ausrichtung|anpassung|passung)",
        "personnalisation"
        "|(?:alignement|adéquation|adaptation)_(?:spécifique_)?(?:à|avec)_l['\u2019]utilisateur",
        "personalización|(?:adecuación|alineación|adaptación)_(?:específica_)?(?:al|con_el|del)_usuario",
        "personalizzazione"
        "|(?:allineamento|adeguatezza|adattamento)_(?:specifico_)?(?:all|con_l)['\u2019]utente",
        "personalização"
        "|(?:alinhamento|adequação|adaptação)_(?:específic[oa]_)?(?:ao|com_o)_(?:usuário|utilizador)",
        "个性化(?:程度)?|個性化(?:程度)?|個人化|用[户戶]特定(?:的)?(?:一致性|对齐|對齊|匹配度?|契合度?)|用[户戶](?:针对性|針對性|匹配度?|契合度?)",
    ),
)

NAME = re.compile(
    r"(?<![a-z0-9])(?:"
    + "|".join("(" + "|".join(names).replace("_", r"(?:\\?[ _-])?") + ")" for names in LABELS)
    + r")(?:scores?|ratings?)?(?![a-zß-ÿ0-9])",
    re.I,
)
"""A dimension's name; the group that matched is its place in `DIMENSIONS`, from 1."""

NUMBERS = (  # no `un` and `una`: they are articles
    ("zero", "null", "cero", "zéro"),
    ("one", "eins", "uno", "一"),
    ("two", "zwei", "deux", "dos", "due", "dois", "二", "两"),
    ("three", "drei", "trois", "tres", "tre", "três", "三"),
    ("four", "vier", "quatre", "cuatro", "quattro", "quatro", "四"),
    ("five", "fünf", "cinq", "cinco", "cinque", "五"),
)
NUMBER = {word: level for level, words in enumerate(NUMBERS) for word in words}
_LEVEL_WORDS = "|".join(word for word in NUMBER if NUMBER[word])
_ROMAN = ("I", "II", "III", "IV", "V")
LEVEL_WORD = (
    r"(?:(?-i:III?|IV|[IV])(?=[ \t]*[.,;|]?[ \t]*\r?(?:\n|$))"  # Roman, alone
    rf"|(?:{_LEVEL_WORDS})(?![\w-]| of (?!5|five))|[一二两三四五](?=分))"
)

OF = r"(?:out of|of|von|sur|de|su)"
OR = r"(?:or|to|oder|bis|ou|à|o|a)"
STARS = (
    r"(?<![\u2605\u2606\u2b50])(?:\u2b50{1,5}(?![\u2605\u2606\u2b50\u00bd])"
    r"|(?=[\u2605\u2606\u2b50]{5}(?![\u2605\u2606\u2b50]))[\u2605\u2b50]{1,5}\u2606{0,4})"
)
"""A level as five stars of which some are filled, or as emoji, of which there are filled ones alone."""

SOMETHING_ELSE = (
    r"(?:weight(?:s|ings?)?|ranks?|rankings?|thresholds?|max(?:im(?:um|a))?|min(?:im(?:um|a))?|confidences?"
    r"|certaint(?:y|ies)|targets?|goals?|counts?|differences?|changes?|deltas?|improvements?|deductions?"
    r"|penalt(?:y|ies)|examples?|placeholders?|ideal(?:ly)?|perfect|best(?: case)?|hypothetical(?:ly)?"
    r"|potential(?:ly)?|previous(?:ly)?|earlier|prior|before|baseline|old|tentative|provisional|preliminary"
    r"|draft|initial(?:ly)?|(?:lower|upper) (?:bounds?|limits?)|at (?:least|most)"
    r"|percent(?:age)?s?|z-scores?|(?:number|order) of [a-z]+|issues?|errors?|problems?|priorit(?:y|ies)"
    r"|points deducted|expected by|expectations?"
    r"|after|defaults?|samples?|dummy)"
)
"""What else than the levels of this answer numbers beside the names of the dimensions are."""

_COUNTED = (
    r"(?:(?:missed|missing|unnamed|ignored|overlooked|open|further|more|clear|serious|major|minor) )?"
    r"(?:dangers?|risks?|issues?|signs?|warnings?|problems?|facts?|details?|mistakes?|errors?|flaws?|gaps?"
    r"|omissions?|references?|mentions?|sentences?|phrases?|words|strengths?|weaknesses|times|things)\b"
)
_STEPS = r"(?:points?|levels?|steps?|notch(?:es)?|stars?|marks?)"
_NO_LEVEL = (  # what a number is then: a place in an order, a count, a difference, a bound, a condition
    r"(?!(?!p(?:oin)?ts?\b|stars?\b|of\b)[a-z\u00df-\u00ff])"
    rf"(?! (?:{_STEPS} )?(?:lower|higher|more|less|better|worse|fewer) than\b"
    rf"| {_STEPS} (?:lower|higher|below|above|more|less|better|worse|short|off|up|down|behind"
    r"|away|lost|deducted|taken)\b"
    rf"| {_COUNTED}|,? at (?:best|most|least)\b| ?\({SOMETHING_ELSE}\)"
    r"|,? or (?:so|more|less|higher|lower|above|below|better|worse)\b"
    r"|,? (?:if|unless|provided|assuming|had it|were it)\b(?! only\b| just\b| barely\b| anything\b))"
)
_OTHER = rf"(?:[\u2013\u2014\u2212~/&\u00b1\u2192至到或-]|[-=]>|\+/?-|{OF}|{OR})"  # what makes it no level
_LEVEL = re.compile(
    rf"([1-5](?:\.0+|,0(?!,))?(?![\d.]*\d)|{LEVEL_WORD}|{STARS})"  # 4, 4.0; not 45, 4.5, 4.05
    rf"分?+(?:\s*\(?(?:/|{OF}|满分)\s*(?:5|five)(?:\.0+)?(?![\d.]*\d))?+"
    r"(?!\+|\?|,[ ]?\d|-?ish\b|[-\u2013](?![\w-])|[ \t]?[\u00bc-\u00be])"  # more than that, or less
    rf"(?![ \t*_]*{_OTHER}?[ \t*_]+\d(?![.)] {NAME.pattern})|{_OTHER}\d|[ ]{OR}[ ](?:{_LEVEL_WORDS})\b"
    r"|[ -](?:and|und|et|y|e)[ -](?:\w+[ -])?(?:hal[bf]e?|demi|medi[ao])\b)"
    rf"{_NO_LEVEL}"
    rf"(?!\s*[(\[](?:[1-5] ?)?(?:(?:/|{OF}|in) ?(?!5\b)\d+|[6-9]|\d\d+)\s*[)\]]"  # another scale
    r"| in (?!5\b)\d)"
    r"(?!\s*(?:/(?!/)|%|= ?[^\W\d]|\[[ x]?\]|of ten\b"
    r"|\(?(?:out of|on a scale|or \d|,? maybe|vs\b|versus|perhaps|possibly|满分)))",
    re.I,
)
_AGAIN = re.compile(  # a level said again where the first one stands: in brackets, or on second thoughts
    rf"\s*\(\s*([1-5]|{LEVEL_WORD})\s*(?:/\s*5\s*)?\)"
    r"|[^\n\d]*?\b(?:rating|score|mark|level) of (?:an? )?([1-5])(?![\d.]*\d)"
    r"|[^\n\d]*?\b(?:no|now|wait|then|but|rather|actually|correct(?:ion|ed)|revised|reflection|instead|better"
    r"|(?:changed|adjusted|raised|lowered|updated|up|down) to|make (?:it|that))\b"
    r"[ ,:;a-z\u2013\u2014-]{0,20}?([1-5])(?=[ ]?(?:[.;,)\n\"']|/ ?5|out of|$))",
    re.I,
)


def level_at(text: str, place: int) -> int | None:
    """Return the level that begins at `place`, None where anything else does, or two levels do."""
    found = _LEVEL.match(text, place)
    if found is None:
        return None
    following = NAME.search(text, place)
    again = _AGAIN.match(text, found.end(), following.start() if following else len(text))
    level = _number(found[1])
    return level if again is None or _number(next(filter(None, again.groups()))) == level else None


def _number(said: str) -> int:
    """Return the level of a digit, a word, or stars."""
    if said[0] in "\u2605\u2b50":
        return len(said) - said.count("\u2606")
    if said in _ROMAN:
        return _ROMAN.index(said) + 1
    word = said.lower()
    return next((level for level, words in enumerate(NUMBERS) if word in words), 0) or int(said[0])
