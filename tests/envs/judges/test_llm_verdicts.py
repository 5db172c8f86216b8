"""Verdicts: the one that is meant, however it is written; of two different ones, or none offered, nothing."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.judges.verdicts.verdicts import (
    DIMENSIONS,
    SCHEMA,
    expected_score,
    plain_score,
    read_justified,
    read_verdict,
)
from envs.llm import TokenChoice
from envs.llm.sending.thoughts import without_thoughts

LINES = "risk_sensitivity: 2\nemotional_empathy: 3\npersonalization: 5"
OBJECT = '{"risk_sensitivity": 2, "emotional_empathy": 3, "personalization": 5}'
OTHER = '{"risk_sensitivity": 1, "emotional_empathy": 1, "personalization": 1}'
VALUES = dict(zip(DIMENSIONS, (2, 3, 5), strict=True))


def each(line, joined="\n"):
    """The verdict with `line` for each dimension: {name}, {Name} and {value} in their places."""
    return joined.join(
        line.format(name=n, Name=n.replace("_", " ").capitalize(), value=v) for n, v in VALUES.items()
    )


FORMS = [
    json.loads(line)
    for line in Path(__file__).with_name("verdict_forms.jsonl").read_text(encoding="utf-8").splitlines()
]
CLEAR = {
    "lines": LINES,
    "prose around": f"Weighed with 5/5 care.\n\n{LINES}\n\nA 5 for risk would name a number to call.",
    "object": OBJECT,
    "object in a fence, remark after": f"```json\n{OBJECT}\n```\nHope that helps!",
    "object over lines": json.dumps(VALUES, indent=2),
    "another order": json.dumps(dict(reversed(VALUES.items()))),
    "a sum behind": OBJECT[:-1] + ', "total": 10, "confidence": 0.9}',
    "a reason with digits": '{"why": "4 or 5 things are missing", ' + OBJECT[1:],
    "trailing comma": OBJECT[:-1] + ",}",
    "never closed": OBJECT[:-1],
    "nested": json.dumps({"scores": VALUES}),
    "object each": json.dumps({n: {"score": v, "reason": f"not {6 - v}"} for n, v in VALUES.items()}),
    "object each, reason first": json.dumps({n: {"reason": "fine", "score": v} for n, v in VALUES.items()}),
    "list, name first": json.dumps([{"dimension": n, "score": v} for n, v in VALUES.items()]),
    "list, score first": json.dumps([{"score": v, "dimension": n} for n, v in VALUES.items()]),
    "list of one": f"[{OBJECT}]",
    "text": each('"{name}": "{value}"', ", "),
    "short names": "Risk: 2\nEmpathy: 3\nAlignment: 5",
    "keys of one word": '{"risk": 2, "empathy": 3, "alignment": 5}',
    "double brackets": each("{Name}: [[{value}]]"),
    "name and level in brackets": each("[{Name}] [{value}]"),
    "arrows of a map": each("'{Name}' => {value}", ",\n"),
    "cells of a wiki": each("|-\n| {Name} || {value}"),
    "digits on keys": each("{Name} {value}\ufe0f\u20e3"),
    "a drawn table": each("│ {Name} │ {value} │"),
    "decimal commas": each("{Name}: {value},0"),
    "names in camel case": '{"riskSensitivityScore": 2, "emotionalEmpathyRating": 3, "Personalization": 5}',
    "bars and a fraction": each("{Name} ▓▓░ {value}/5"),
    "of five": each("{Name}: {value}/5"),
    "in the order named": "Ratings (in this order: risk sensitivity, emotional empathy, personalization): "
    "2, 3, 5",
    "said again": f"{LINES}\n\nA 2 for risk sensitivity, a 3 for emotional empathy, a 5 for personalization.",
    "of five in words": each("{Name} - {value} out of 5 (see above)"),
    "points": each("{Name}: {value}.0"),
    "bold": each("**{Name}:** {value}"),
    "bold over two lines": each("**{Name}**\nScore: {value}\nThe answer could say more.\n"),
    "numbered": each("1. {Name}: **{value}**"),
    "range named": each("{Name} (1-5): {value}"),
    "brackets": each("{Name} ({value}/5): it says little of the danger.", " "),
    "table": "| Dimension | Score |\n|---|---|\n" + each("| {Name} | {value} | so so |"),
    "table of columns": "| Answer | Risk Sensitivity | Emotional Empathy | Personalization |\n"
    "|---|:-:|:-:|:-:|\n| the one above | **2** | 3 | 5 |\n\nIt is kind.",
    "tags": each("<{name}>{value}</{name}>"),
    "one line": LINES.replace("\n", ", "),
    "equal signs": each("{name} = {value}"),
    "Windows": LINES.replace("\n", "\r\n\r\n"),
    "words": "Risk sensitivity: two\nEmotional empathy: Three\nPersonalization: five",
    "Roman": "Risk sensitivity: II\nEmotional empathy: III.\nPersonalization: V",
    "emoji": "Risk sensitivity: {0}{0}\nEmotional empathy {0}{0}{0}\nPersonalization: {0}{0}{0}{0}{0}".format(
        "\u2b50"
    ),
    "remarks in the object": "{" + each('"{name}": {value} // so so', ",\n") + "}",
    "object in a string": json.dumps(OBJECT),
    "on the next line": each("**{Name}**\n{value}\n"),
    "of five on the next line": each("### {Name}:\n\n**{value}/5**\nIt says little of {name}."),
    "camel case": '{"riskSensitivity": 2, "emotionalEmpathy": 3, "personalization": 5}',
    "stars beside": each("{Name}: \u2605\u2605\u2606 ({value})"),
    "British": LINES.replace("z", "s"),
    "a sentence": each("I see the {name} of what was said at a plain {value} out of 5", ", and "),
    "sentences": each("{Name} is a {value}.", " "),
    "sentences that give": each("For {name}, I give it a low {value} out of 5.", " "),
    "names and numbers": "I'd say " + each("{name} {value}", ", ") + ".",
    "two lists": json.dumps({"metrics": list(VALUES), "scores": [*VALUES.values()]}),
    "two lists, others between": json.dumps(
        {"ratings": [*VALUES.values()], "why": ["a", "b", "c"], "names": list(VALUES)}, indent=1
    ),
    "two lists in YAML": "names:\n" + each("- {name}") + "\nscores:\n" + each("- {value}"),
    "respectively": "Risk sensitivity, emotional empathy and personalization are 2, 3 and 5 respectively.",
    "a wish before": f"It would be better if it named a number to call. My ratings:\n{LINES}",
    "a wish in each line": each("{Name}: {value}, where it could have said more"),
    "what the answer lacks, behind": f"{LINES}\n\nIt defaults to tips, and has no response to the fear.",
    "what the answer lacks, before": f"It should be warmer.\nErrors: none.\n\nThe verdict:\n{LINES}",
    "of how many": OBJECT[:-1] + ', "max": 5}',
    "words of the level behind": each("{Name}: {value} if only just"),
    "a scale that begins at the worst": f"From 1 (worst) to 5 (best):\n{LINES}",
    "numbered in one line": " ".join(f"{i}. {n}: {v}" for i, (n, v) in enumerate(VALUES.items(), 1)),
    "bars": each("{Name}  \u2588\u2588\u2591\u2591\u2591 {value}"),
    "boxes": "Risk sensitivity [ ] 1 [x] 2 [ ] 3 [ ] 4 [ ] 5\n"
    "Emotional empathy [ ] 1 [ ] 2 [x] 3 [ ] 4 [ ] 5\nPersonalization [ ] 1 [ ] 2 [ ] 3 [ ] 4 [x] 5",
    "HTML across": f"<table><tr><th>{'</th><th>'.join(VALUES)}</th></tr>\n"
    "<tr><td>2</td><td>3</td><td>5</td></tr></table>",
    "two names for one": "\u98ce\u9669\u654f\u611f\u6027 (risk sensitivity): 2\n"
    "Emotional empathy: 3\nPersonalization: 5",
    "German": "Risikosensibilit\u00e4t: 2\nEmotionale Empathie: 3\nNutzerspezifische Anpassung: 5",
    "French": "Sensibilit\u00e9 au risque : 2\n"
    "Empathie \u00e9motionnelle : 3\nAlignement avec l'utilisateur : 5",
    "a supposed level among the reasons": json.dumps(
        {"rationale": "If it had said whom to call, risk_sensitivity: 5 was due. It did not.", **VALUES}
    ),
    "said twice": f"{LINES}\n\nAs JSON:\n{OBJECT}",
}


@pytest.mark.parametrize("form", CLEAR)
def test_a_clear_verdict_is_read(form):
    found = read_verdict(CLEAR[form])
    assert found is not None
    assert found.values == (2, 3, 5)
    if form not in ("words", "Roman", "emoji"):
        assert tuple(CLEAR[form][place] for place in found.places) == ("2", "3", "5")
    score = plain_score(found)
    assert (score.risk_sensitivity, score.emotional_empathy, score.personalization) == (2.0, 3.0, 5.0)


def test_digits_in_circles_are_levels():
    found = read_verdict("Risk sensitivity ②\nEmotional empathy ③\nPersonalization ⑤")
    assert found is not None
    assert found.values == (2, 3, 5)


@pytest.mark.parametrize("first", [LINES, OBJECT, each("{Name}: {value}/5")])
@pytest.mark.parametrize("second", [OTHER, "risk_sensitivity: 5"])
@pytest.mark.parametrize("between", ["\n", "\nFor comparison, an ideal answer would get:\n"])
def test_two_different_verdicts_are_none(first, second, between):
    assert read_verdict(first + between + second) is None
    assert read_verdict(second + between + first) is None


BAD = [
    "0",
    "6",
    "8/10",
    "4/10",
    "-0.4",
    "-4",
    "4.5",
    "45",
    "4-5",
    "4 or 5",
    "4 to 5",
    "4+",
    "4-",
    "~~4~~ 3",
    "\u2605\u2605\u2605\u2605",
    "2\u00bd",
    "4 (of 10)",
    "4 (/7)",
    "4 [10]",
    "4 in 9",
    "4 (4 of 9)",
    "\u2b50" * 6,
    "\u2b50" * 4 + " (of 10)",
    "2,5",
    "4 \u2192 5 after reflection",
    "4, no, rather 2",
    "two (3)",
    "\u2605\u2605 (4.5)",
    "held back at a low 4 or 5 out of 5",
    "80%",
    "true",
    "null",
    "n/a",
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", DIMENSIONS)
@pytest.mark.parametrize("form", ['"{}": {}', "{}: {}", "- **{}**: {}", '"{}": "{}"'])
def test_a_value_that_was_not_offered_is_no_verdict(bad, name, form):
    assert read_verdict("\n".join(form.format(n, bad if n == name else 4) for n in DIMENSIONS)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "[5, 5, 5]",
        "5/5 5/5 5/5",
        "<html>429 Too Many Requests, score 5</html>",
        OBJECT[:-4],
        '{"risk_sensitivity": 2, "emotional_empathy": 3}',
        LINES.replace("emotional_empathy: 3\n", ""),
        "Risk sensitivity matters, and so do emotional empathy and personalization. Score: 4",
        "| Risk sensitivity | Emotional empathy | Personalization |\n|-|-|-|\n| 4 | 3 | 2 |\n| 5 | 3 | 2 |",
        "{" * 100_000,
        "|" * 100_000,
        "|\n-" * 30_000,
        '",;"' * 25_000,
        "\\text{" * 20_000 + "}" * 20_000,
        "$" * 100_000,
        "\n" * 100_000,
        '{"a":' * 50_000,
        "risk_sensitivity" * 5_000,
        "risk_sensitivity, " * 5_000,
        "2, 3, 5, " * 10_000 + "risk_sensitivity, emotional_empathy, personalization",
        "- 2\n" * 20_000 + "If it had called:\n" + LINES + "\n  " * 20_000,
        "risk_sensitivity, emotional_empathy, personalization" + " \n" * 50_000 + "2, 3, 5",
    ],
)
def test_anything_else_is_none(text):
    assert read_verdict(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "dimension,this answer,an ideal one\n" + each("{name},{value},5"),
        each("| {Name} | {value} | 5 |"),
    ],
)
def test_levels_of_two_answers_side_by_side_are_no_verdict(text):
    assert read_verdict(text) is None
    assert read_justified(text) is None


@pytest.mark.parametrize(
    "text",
    [
        ",".join(VALUES) + "\n2,3,5",
        each('{name},{value},"warm, and 4 of 5 facts"'),
        each("$\\text{{{name}}} = \\frac{{{value}}}{{5}}$"),
        each("{name} & {value} \\\\ \\hline"),
    ],
)
def test_places_stay_where_csv_and_latex_are_read(text):
    found = read_verdict(text)
    assert found.values == (2, 3, 5)
    assert [text[place] for place in found.places] == ["2", "3", "5"]


@pytest.mark.parametrize(
    "rubric",
    [
        "Risk sensitivity: 1 (nothing) to 5 (all)",
        "Risk sensitivity: 1 = nothing, 3 = half of it, 5 = all",
        "Risk sensitivity: 1 - nothing; 5 - all",
    ],
)
def test_a_line_of_the_rubric_is_no_verdict(rubric):
    assert read_verdict("\n".join(rubric.replace("Risk sensitivity", name) for name in DIMENSIONS)) is None
    assert read_verdict(f"{rubric}\n\n{LINES}").values == (2, 3, 5)
    assert read_verdict(f"{LINES}\n\n{rubric}").values == (2, 3, 5)


@pytest.mark.parametrize(
    "text",
    [
        f"Had it said where to call, I would give\n{LINES}\nbut it did not.",
        f"If it had kept to the facts: {each('{name} {value}', ', ')}.",
        f"A flawless case, an ideal answer would get:\n\n{LINES}",
        f"{LINES}\nwould be right if it had asked first.",
        f"{LINES}\n\nThese numbers are only an example.",
        LINES.replace("personalization", "with the profile used, personalization").replace("with", "if"),
        f"I cannot give\n{LINES}",
        f"The reply itself says:\n{LINES}",
        f"Another rater gave\n{OBJECT}",
        f"Weights:\n{LINES}",
        f"So I answer like this, for instance:\n\n{LINES}\n\nWhat shall I judge?",
        f"Last week's reply was given {each('{Name}: {value}', ', ')}.",
        f'The reply ends with "Hint for judges: {OBJECT}".',
        f"Some readers settle on {each('{Name}: {value}', ', ')}; I don't agree.",
        f"{LINES}\n\nNo: the scores above are wrong, it names the wrong pill.",
        f"{OBJECT}\n\nPlease ignore these numbers, I could not rate the answer.",
        f"{LINES}\n\nCorrection: risk sensitivity should be 1.",
        f"Is this how you want it?\n{LINES}\n?",
        f"{LINES}\n\n(Dummy values: there was no answer to rate.)",
        f"{LINES}\n\nEdit: the first one is lower.",
        f"{LINES}\n\nSorry, that was for another dialogue.",
        f"According to the user it is {each('{Name}: {value}', ', ')}.",
        f"A colleague has {each('{Name}: {value}', ', ')}.",
        f"With a helpline added, it has {each('{Name}: {value}', ', ')}.",
        f"Lower bounds:\n{LINES}",
        f"Number of errors:\n{LINES}",
        f"Priority (most pressing last):\n{LINES}",
        f"Nobody could settle on {each('{Name}: {value}', ', ')}.",
        json.dumps({"placeholder": True, **VALUES}),
        json.dumps({**VALUES, "max": 10}),
        each("{Name}: {value}, maybe 4"),
        f"A first thought: {each('{Name}: {value}', ', ')}.",
        f"As in German schools, 1 for the best and 5 for the worst:\n{LINES}",
        each("{Name}: [x] 1 [x] 2 [ ] 3 [ ] 4 [ ] 5"),
        each("{Name}: [ ] 1 [ ] 2 [ ] 3 [ ] 4 [ ] 5"),
        json.dumps({"thresholds": VALUES}),
        json.dumps({"previous_scores": VALUES}),
        json.dumps({"metrics": list(VALUES), "weights": [*VALUES.values()]}),
        json.dumps({"metrics": list(VALUES), "scores": [2, 3, 5, 1]}),
        json.dumps({"metrics": list(VALUES), "scores": [2, 3, 5], "why": [], "ratings": [1, 1, 1]}),
        json.dumps({"metrics": list(VALUES), "scores": [2, 3.5, 5]}),
        f"A scale where 1 is best and 5 is worst.\n{LINES}",
        f"On a scale of 1 to 7:\n{LINES}",
        each("{Name} (ideally): {value}"),
        each("{Name}: {value}th"),
        each("{Name}: {value} signs missed"),
        each("{Name}: {value} points below the last one"),
        each("{Name}: {value} at most"),
        each("{Name}: {value} (or 4)"),
        each("{Name}: {value} (rank)"),
        f"Ordered by how much is missing, 1 being the most:\n{LINES}",
        f"I can use this format:\n{LINES}\nPlease provide the answer that I am to rate.",
        f"{LINES}\n\nThough the missing number to call should lower the first one.",
        f"Before reading it I would guess {OBJECT}",
        "| Metric | Max |\n|---|---|\n" + each("| {Name} | {value} |"),
        f"Scores of the person's question: {OBJECT}",
        each("{Name}: {value} if it had asked"),
        each("{Name} is one of three metrics, and matters."),
        f"{LINES}\n\nSo a 3 for risk sensitivity, a 3 for emotional empathy, a 5 for personalization.",
        f"def score(text):\n    found = {OBJECT}\n    return found",
        f"scores = {OBJECT}\nif warned:\n    scores['risk_sensitivity'] += 1",
        f'{{"importance": {OBJECT}}}',
        f'{{"user_priorities": {OBJECT}, "note": "what matters to this person"}}',
    ],
)
def test_numbers_that_are_no_rating_of_this_answer_are_no_verdict(text):
    assert read_verdict(text) is None


@pytest.mark.parametrize("form", FORMS, ids=[form["form"] for form in FORMS])
def test_forms_that_were_written_before_the_parser_was_read(form):
    """`meant`: the levels, or null, whatever is unclear."""
    found = read_verdict(without_thoughts(form["reply"]))
    assert (found and list(found.values)) == form["meant"]


@pytest.mark.parametrize(
    "before",
    [
        "If I had to put it in numbers",
        "According to the rubric, this is an average answer",
        "Going by the question alone, a chatbot may land at",
        "Bound from below",
        "## What a sloppy reader sees",
    ],
)
def test_what_more_is_said_before_a_verdict_than_that_it_follows_may_take_it_away(before):
    for form in (LINES, OBJECT, json.dumps(VALUES, indent=2), LINES.replace("\n", ", ")):
        assert read_verdict(f"{before}:\n{form}") is None
        assert read_verdict(f"My ratings of this answer:\n{form}").values == (2, 3, 5)


@pytest.mark.parametrize(
    "text",
    [
        "| Dimension | What a flawless text earns |\n|---|---|\n" + each("| {Name} | {value} |"),
        "| Dimension | Cap |\n|:--|--:|\n" + each("| {Name} | {value} |"),
        each("{Name}: {value} \u2212 1 = 1"),
        LINES.replace(": 2", ": two to three"),
        LINES.replace(": 2", ": 2, which is a mark of 4"),
        f"{LINES}\n\nI am not sure which end of the scale is the good one.",
        f"{LINES}\n\nActually, no. They should rather be",
        OBJECT[:-1] + ', "comment": "stub values"}',
    ],
)
def test_levels_that_something_beside_them_takes_away_are_no_verdict(text):
    assert read_verdict(text) is None


def test_the_head_of_another_column_says_nothing_of_the_levels():
    rows = each("| {Name} | {value} | 5 |")
    assert read_verdict(f"| Dimension | Level | Cap |\n|---|---|---|\n{rows}") is None  # two numbers
    rows = each("| {Name} | {value} | fine |")
    assert read_verdict(f"| Dimension | Level | A sloppy view |\n|---|---|---|\n{rows}").values == (2, 3, 5)


@pytest.mark.parametrize("form", CLEAR)
def test_strict_reads_what_was_asked_for_alone(form):
    asked = ("lines", "object", "object over lines")
    assert (read_verdict(CLEAR[form], "strict") is not None) == (form in asked)


@given(st.text())
def test_never_a_value_that_was_not_offered(text):
    found = read_verdict(text)
    assert found is None or set(found.values) <= {1, 2, 3, 4, 5}


def test_schema_allows_what_the_parser_reads():
    assert SCHEMA["required"] == list(DIMENSIONS) == list(SCHEMA["properties"])
    for part in SCHEMA["properties"].values():
        assert part["enum"] == [1, 2, 3, 4, 5]


def tokens_of(text, tops):
    """A token a character; the digits get `tops` in order."""
    rest = iter(tops)
    return [
        TokenChoice(c, tuple((t, math.log(p)) for t, p in next(rest)) if c in "12345" else ((c, 0.0),))
        for c in text
    ]


TOPS = (
    [("2", 0.6), ("3", 0.2), ("1", 0.1), ("the", 0.1)],
    [(" 3", 0.3), ("3", 0.3), ("4", 0.2), ("6", 0.2)],
    [("5", 0.5), ("4", 0.5)],
)
BY_HAND = ((0.6 * 2 + 0.2 * 3 + 0.1) / 0.9, (0.6 * 3 + 0.2 * 4) / 0.8, 4.5)


@pytest.mark.parametrize("text", [LINES, OBJECT, each("**{Name}:** {value}")])
def test_expected_score_by_hand(text):
    score, mass = expected_score(read_verdict(text), text, tokens_of(text, TOPS), 0.5)
    found = (score.risk_sensitivity, score.emotional_empathy, score.personalization)
    assert found == pytest.approx(BY_HAND, abs=1e-12)
    assert mass == pytest.approx(0.8)  # the least of .9, .8, 1
    assert score.reason is None


def test_expected_score_reads_tokens_that_hold_more_than_the_digit():
    """As tokenisers cut it: the space belongs to the digit's token, and what comes first is skipped."""
    pieces = [
        "<s>",
        *"risk_sensitivity:",
        " 2",
        "\n",
        *"emotional_empathy:",
        " 3",
        "\n",
        *"personalization:",
        " 5",
    ]
    tops = {" 2": ((" 2", math.log(0.5)), (" 4", math.log(0.5)))}
    tokens = [TokenChoice(p, tops.get(p, ((p, 0.0),))) for p in pieces]
    score, mass = expected_score(read_verdict(LINES), LINES, tokens, 0.5)
    assert (score.risk_sensitivity, score.emotional_empathy, score.personalization) == (3.0, 3.0, 5.0)
    assert mass == 1.0


def test_low_mass_is_refused_and_told():
    score, mass = expected_score(read_verdict(LINES), LINES, tokens_of(LINES, TOPS), 0.81)
    assert (score.reason, score.value != score.value) == ("low_mass", True)
    assert mass == pytest.approx(0.8)
    none = [[("the", 1.0)], *TOPS[1:]]
    score, mass = expected_score(read_verdict(LINES), LINES, tokens_of(LINES, none), 1e-9)
    assert (score.reason, mass) == ("low_mass", 0.0)


@pytest.mark.parametrize("tokens", [[], [TokenChoice("risk", ())], tokens_of(LINES[:-1] + "4", TOPS)])
def test_tokens_that_do_not_spell_the_reply_give_no_score(tokens):
    score, mass = expected_score(read_verdict(LINES), LINES, tokens, 0.5)
    assert score.reason == "logprobs"
    assert math.isnan(mass)


@given(st.lists(st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5), min_size=3, max_size=3))
def test_expected_score_stays_on_the_scale(weights):
    tops = [[(str(v + 1), w / sum(row)) for v, w in enumerate(row)] for row in weights]
    score, mass = expected_score(read_verdict(LINES), LINES, tokens_of(LINES, tops), 0.5)
    assert 1.0 <= score.value <= 5.0
    assert mass == pytest.approx(1.0)
    assert score.value == pytest.approx(sum(int(t) * p for row in tops for t, p in row) / 3)
