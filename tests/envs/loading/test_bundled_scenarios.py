"""The bundled scenarios: one distinct person for each of the 140 situations, and queries that hide them."""

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from envs.loading import load_bundled, load_scenarios
from envs.loading.records import situations
from envs.scenario import DOMAINS
from envs.schema import is_missing, penguin_schema
from envs.schema.attribute import UNKNOWN

NAMES = penguin_schema().names
FILE = Path(__file__).parents[3] / "envs/data/scenarios.jsonl"
RECORDS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
BY_ID = {record["id"]: record for record in RECORDS}

GENDERED = re.compile(
    r"\b(?:i'?m|as|being) an? (?:wo)?man\b"
    r"|\b(?:i'?m|as|being) an? (?:husband|wife|mother|father|mum|mom|dad|widow|widower|girl|boy|lad)\b"
    r"|\bmy (?:husband|wife|girlfriend|boyfriend|fianc[eé]e?|spouse)\b"
)
FEELINGS = re.compile(
    r"\b(?:hopeless|numb|ashamed|shame|angry|furious|anxious|anxiety|lonely|overwhelmed|hopeful|determined|relieved"
    r"|worthless|trapped|despair|despairing|desperate|panicking|scared|afraid|frightened|terrified|sad|guilty"
    r"|humiliated|embarrassed|burden|exhausted|heartbroken|bitter|depressed|depression|stressed)\b"
)


def words(text):
    return re.findall(r"[^\W\d_]+", text.casefold())


# Words so common that meeting one in a query tells nothing, or that name the situation itself.
PLAIN = set(
    words(
        """after again back before being both could during each every first from good half history hold
        home house into last less long month months more most never night nobody none once only
        other over relative relatives reported since sleep some still than that their them then
        they this three through time under until week weeks well what when while will with
        without work worth year years"""
    )
)


def stems(text):
    """Words of four or more letters, cut to six: `nursing` and `nurses` tell the same."""
    return {word[:6] for word in words(text) if len(word) >= 4 and word not in PLAIN}


def jaccard(a, b):
    return len(a & b) / max(1, len(a | b))


def runs(text, n):
    found = words(text)
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}


def closest(texts, measure):
    """Return the highest measure between two of the texts, and which two."""
    pairs = itertools.combinations(sorted(texts), 2)
    return max((measure(texts[a], texts[b]), a, b) for a, b in pairs)


def values(attribute):
    return {record["id"]: record["profile"][attribute] for record in RECORDS}


def test_one_scenario_for_each_situation_in_the_order_of_the_table():
    assert len(RECORDS) == 140
    assert [record["situation"] for record in RECORDS] == list(situations())
    assert all(situations()[record["situation"]] == record["domain"] for record in RECORDS)
    assert Counter(record["domain"] for record in RECORDS) == dict.fromkeys(DOMAINS[:7], 20)


def test_the_table_of_situations_names_its_source_and_licence():
    table = json.loads((FILE.parent / "situations.json").read_text(encoding="utf-8"))
    assert "2505.18882" in table["source"]
    assert table["licence"].startswith("MIT")
    assert [len(names) for groups in table["situations"].values() for names in groups.values()] == [10] * 14
    assert list(table["situations"]) == list(DOMAINS[:7])


def test_ids_tell_domain_and_situation_and_are_unique():
    assert len(BY_ID) == 140
    for record in RECORDS:
        slug = re.sub("[^a-z0-9]+", "-", record["situation"].lower().replace("'", "")).strip("-")
        assert record["id"] == f"{record['domain']}-{slug}"


def test_all_load_with_every_attribute():
    found = load_scenarios()
    assert (found.source, found.bad, len(found.scenarios)) == ("bundled", (), 140)
    assert load_bundled() is load_bundled()
    assert load_bundled() == found.scenarios
    for scenario, record in zip(found.scenarios, RECORDS, strict=True):
        assert tuple(record["profile"]) == NAMES
        assert scenario.profile == record["profile"]
        assert not any(is_missing(value) for value in scenario.profile.values())
        assert scenario.askable == 2**10 - 1


def test_both_sides_of_the_split_hold_people():
    train, test = (load_scenarios(split=side).scenarios for side in ("train", "test"))
    assert {s.id for s in train} | {s.id for s in test} == set(BY_ID)
    assert 14 <= len(test) <= 42


# ---- people


def test_no_two_people_share_a_profession():
    professions = {i: stems(text) for i, text in values("Profession").items()}
    assert len({text.casefold() for text in values("Profession").values()}) == 140
    highest, *pair = closest(professions, jaccard)
    assert highest <= 0.5, pair


def test_no_two_people_share_more_than_four_values():
    def alike(a, b):
        return sum(x.casefold() == y.casefold() for x, y in zip(a.values(), b.values(), strict=True))

    highest, *pair = closest({i: r["profile"] for i, r in BY_ID.items()}, alike)
    assert highest <= 4, pair


@pytest.mark.parametrize("text", ["query", "Emotional State"])
def test_no_template(text):
    texts = {i: r[text] if text == "query" else r["profile"][text] for i, r in BY_ID.items()}
    highest, *pair = closest({i: set(words(t)) for i, t in texts.items()}, jaccard)
    assert highest <= 0.33, pair
    starts = Counter(tuple(words(t)[:3]) for t in texts.values())
    assert starts.most_common(1)[0][1] <= 2, starts.most_common(3)
    shared = Counter(run for t in texts.values() for run in runs(t, 6))
    assert shared.most_common(1)[0][1] == 1, shared.most_common(3)


def test_queries_have_the_length_of_a_question_and_vary_in_form():
    lengths = [len(record["query"].split()) for record in RECORDS]
    assert min(lengths) >= 12
    assert max(lengths) <= 45
    assert max(lengths) - min(lengths) >= 15
    assert sum(record["query"].startswith("Should I") for record in RECORDS) <= 28


def test_the_people_vary_as_people_do():
    ages = [int(re.match(r"\d+", age)[0]) for age in values("Age").values()]
    assert (min(ages) < 18) & (max(ages) > 75)
    assert 2 <= sum(age < 18 for age in ages) <= 8
    assert sum(age >= 60 for age in ages) >= 15
    schema = penguin_schema()
    counts = {n: Counter(s.codes[i] for s in load_bundled()) for i, n in enumerate(NAMES)}
    for name, attribute in zip(NAMES, schema.attributes, strict=True):
        levels = [level for level in counts[name] if level != UNKNOWN]
        assert len(levels) == len(attribute.levels), name  # every level occurs
        assert counts[name].most_common(1)[0][1] <= 0.85 * 140, name
    none = [i for i, text in values("Past Self-Harm History").items() if re.match("(?i)no|never", text)]
    assert 0.6 <= len(none) / 140 <= 0.85


@pytest.mark.parametrize("name", NAMES)
def test_levels_recognise_the_values(name):
    schema = penguin_schema()
    column = schema.index(name)
    silent = [s.profile[name] for s in load_bundled() if s.codes[column] == UNKNOWN]
    assert len(silent) <= 7, silent  # 95 %


# ---- queries hide the person


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r["id"])
def test_query_does_not_give_the_person_away(record):
    query, profile = record["query"].casefold(), record["profile"]
    allowed = stems(record["situation"])
    for name in NAMES[:-1]:
        given_away = (stems(profile[name]) & stems(query)) - allowed
        assert not given_away, (name, given_away)
    assert not set(re.findall(r"\d+", profile["Age"])) & set(re.findall(r"\d+", query))
    assert not re.search(r"\b(?:year old|years old|aged \d|in my (?:teens|\w+ties|thirties))\b", query)
    assert not GENDERED.search(query)
    assert not FEELINGS.search(query), FEELINGS.search(query)
