"""Users who answer in sentences: shares, truth, determinism, and sentences that nothing was trained on."""

import re
import unicodedata
from pathlib import Path

import pytest
import yaml

import policies.understanding
from envs import Attribute, Scenario, Schema, UserError, penguin_schema
from envs.loading import load_scenarios
from envs.schema.attribute import Level
from envs.users.spoken_user import MANNERS, PHRASES, SpokenUser, sentences

SCENARIO = Scenario(
    "s", "health", "?", {"Age": "34", "Gender": "unknown", "Profession": "keeper of bees by the sea"}
)
FILE = yaml.safe_load(PHRASES.read_text(encoding="utf-8"))
TOLD = {"paraphrased": "all", "partial": "part"}


def replies(user, names=None):
    scenarios = load_scenarios(None).scenarios
    return [user.answer(s, name, "?") for s in scenarios for name in names or s.profile]


@pytest.mark.parametrize("manner", MANNERS)
def test_a_manner_says_its_sentences_and_what_they_tell(manner):
    found = replies(SpokenUser(**{manner: 1.0}))
    assert {reply.told for reply in found} == {TOLD.get(manner, "nothing")}
    assert len({reply.text for reply in found}) >= 15
    if manner in ("evasive", "off_topic", "declining"):
        assert {reply.text for reply in found} == set(FILE[manner])


def test_what_the_profile_lacks_is_declined():
    assert SpokenUser(paraphrased=1.0).answer(SCENARIO, "Gender", "?").text is None
    assert SpokenUser(partial=1.0).answer(SCENARIO, "Emotional State", "?").told == "nothing"


def test_every_level_of_the_schema_has_its_own_words():
    schema = penguin_schema()
    for attribute in schema.attributes:
        names = {level.name for level in attribute.levels}
        own = FILE["paraphrased"]["attributes"][attribute.name]
        assert set(own) == names
        assert all(len(set(said)) >= 4 for said in own.values())
        rows = FILE["partial"]["attributes"][attribute.name]
        assert set().union(*(row["levels"] for row in rows)) <= names
        assert sum(len(row["says"]) for row in rows) >= 6
    generic = [FILE[m] if isinstance(FILE[m], list) else FILE[m]["generic"] for m in MANNERS]
    assert all(len(set(said)) >= 15 for said in generic)


def test_an_age_is_told_as_it_is():
    for seed in range(12):
        text = SpokenUser(paraphrased=1.0, seed=seed).answer(SCENARIO, "Age", "?").text
        assert re.search(r"34|thirty-four", text, re.IGNORECASE)


def test_any_schema_is_told_in_its_own_words():
    schema = Schema(
        [
            Attribute("Dose", "How much?", levels=(Level("low", ("low",)), Level("high", ("high",)))),
            Attribute("Plan", "What do you plan?"),
        ]
    )
    person = Scenario("p", "other", "?", {"Dose": "high", "Plan": "walk the whole coast"}, schema)
    for seed in range(10):
        whole, part = SpokenUser(paraphrased=1.0, seed=seed), SpokenUser(partial=1.0, seed=seed)
        assert "high" in whole.answer(person, "Dose", "?").text.casefold()
        assert "walk the whole coast" in whole.answer(person, "Plan", "?").text.casefold()
        assert {"low", "high"} <= set(re.findall(r"\w+", part.answer(person, "Dose", "?").text.casefold()))
        said = part.answer(person, "Plan", "?").text
        assert "walk the" in said
        assert "coast" not in said


def test_shares_are_kept():
    """1,400 answers; a share is off by .04 less often than once in a thousand (3.3 standard errors)."""
    shares = {"partial": 0.2, "evasive": 0.1, "declining": 0.3}
    found = replies(SpokenUser(**shares, seed=5))
    kinds = {m: sum(reply.text in FILE[m] for reply in found) / len(found) for m in ("evasive", "declining")}
    assert kinds["evasive"] == pytest.approx(0.1, abs=0.04)
    assert kinds["declining"] == pytest.approx(0.3, abs=0.04)
    assert sum(reply.told == "part" for reply in found) / len(found) == pytest.approx(0.2, abs=0.04)


def test_a_share_of_one_is_everybodys():
    user = SpokenUser(paraphrased=0.4, partial=0.2, evasive=1.0, declining=0.1)
    assert {reply.text for reply in replies(user, ["Age"])} <= set(FILE["evasive"])
    assert {reply.told for reply in replies(SpokenUser())} == {"all"}


def test_the_same_question_gets_the_same_answer_whatever_came_before():
    names = list(SCENARIO.schema.names)
    shares = (0.15,) * len(MANNERS)
    one, other = SpokenUser(*shares, seed=3), SpokenUser(*shares, seed=3)
    forward = {n: one.answer(SCENARIO, n, "?").text for n in names}
    backward = {n: other.answer(SCENARIO, n, "?").text for n in reversed(names)}
    assert forward == backward
    answers = [[r.text for r in replies(SpokenUser(*shares, seed=seed))] for seed in range(3)]
    assert answers[0] != answers[1] != answers[2]


@pytest.mark.parametrize("shares", [(-0.1,), (0, 1.1), (0.5, 0.5, 0.5), (1, 1)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(UserError, match=r"^users"):
        SpokenUser(*shares)


def test_without_a_scenario_there_is_nobody_to_answer():
    with pytest.raises(UserError, match=r"^users="):
        SpokenUser().answer(None, "Age", "?")


def plain(text):
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def test_no_sentence_is_one_that_readers_or_detectors_were_trained_on():
    """Training sentences are the cells of tab-separated files, patterns and words those of YAML files."""
    own = {plain(sentence) for sentence in sentences()}
    assert len(own) > 300
    data = Path(policies.understanding.__file__).parent / "data"
    for file in data.iterdir():
        if file.suffix in (".tsv", ".yaml", ".jsonl", ".txt", ".csv"):
            text = file.read_text(encoding="utf-8")
            cells = re.split(r'[\t\n]|", "|": "', text)
            assert own.isdisjoint(plain(cell) for cell in cells if len(cell.split()) > 1 or "\t" in text)
