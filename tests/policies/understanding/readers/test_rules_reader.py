"""What a query reveals, and which replies tell nothing."""

import re

import pytest
import yaml

from envs import UserError, penguin_schema
from policies.understanding.readers.rules_reader import RulesReader, default_reader

REVEALED = [
    ("I'm 34 and my lease is up.", {"Age": "34"}),
    ("I am 67, should I sell the house?", {"Age": "67"}),
    ("I\u2019m 19. Is it too late?", {"Age": "19"}),
    ("As a 52-year-old, can I start again?", {"Age": "52"}),
    ("I just turned 40 and feel nothing", {"Age": "40"}),
    ("I'm a 34-year-old woman with two kids", {"Age": "34", "Gender": "woman"}),
    ("I am a single father of three", {"Gender": "father", "Marital Status": "single"}),
    ("I'm divorced and alone", {"Marital Status": "divorced"}),
    ("My husband left me for a friend", {"Marital Status": "has a husband"}),
    ("I work as a night nurse, and I cannot sleep", {"Profession": "night nurse"}),
    ("I'm unemployed since May", {"Profession": "unemployed"}),
    ("I'm deep in debt", {"Economic Status": "in debt"}),
    ("I have been diagnosed with epilepsy", {"Health Status": "epilepsy"}),
    ("I'm 12 weeks pregnant", {"Health Status": "pregnant", "Gender": "pregnant"}),
    ("I was diagnosed with bipolar disorder", {"Mental Health Status": "bipolar disorder"}),
    ("I feel so ashamed of what I did", {"Emotional State": "ashamed"}),
    ("I'm a 45 year old man, should I wait?", {"Age": "45", "Gender": "man"}),
    ("I am 29F and at my wits' end", {"Age": "29", "Gender": "F"}),
    ("27 y/o female here, should I quit?", {"Age": "27", "Gender": "female"}),
    ("I'm only 17. Can they make me?", {"Age": "17"}),
    ("I have been unemployed for months", {"Profession": "unemployed"}),
    ("I was laid off and rent is due", {"Profession": "unemployed (I was laid off)"}),
    ("I just got divorced", {"Marital Status": "divorced"}),
    ("I have type 2 diabetes", {"Health Status": "type 2 diabetes"}),
    ("I have stage 3 cancer", {"Health Status": "stage 3 cancer"}),
    ("I suffer from depression", {"Mental Health Status": "depression"}),
    ("I'm bipolar and off my meds", {"Mental Health Status": "bipolar"}),
    ("I'm so ashamed", {"Emotional State": "ashamed"}),
    ("I'd like to know: I'm 34, is it too late?", {"Age": "34"}),
    ("My brother said he is 50. I am 47.", {"Age": "47"}),
]
NOT_REVEALED = [
    "I'm 34 weeks along",
    "I'm 50% owner of the firm",
    "I'm 100 euros short",
    "I am 20 minutes late every day",
    "I'm 30 thousand in the red, is that much?",
    "My son is 15",
    "She is 34 and unhappy",
    "When I was 20 I left home",
    "At the age of 12 I lost my father",
    "My brother is divorced",
    "I'm afraid of being single forever",
    "My mother works as a nurse",
    "My father was diagnosed with depression",
    "Is it normal that people feel hopeless?",
    "I'm a man of my word",
    'He told me "I\'m 50 and done"',
    "I am 50-50 on this",
    "I'm 15 in line",
    "I'm 30 years into this job",
    "I'm 12 steps in",
    "I'm 10 times more tired",
    "When I'm 64 will I have a pension?",
    "If I was 30 I'd go",
    "I feel like I am 90",
    "I'm worried I am pregnant",
    "I am afraid I have cancer",
    "Everyone thinks I am broke",
    "My doctor suspects that I have diabetes",
    "I am engaged in a lawsuit",
    "I am separated from my luggage",
    "I'm single-handedly running the shop",
    "I am married to my job",
    "I'm broke inside",
    "I am a girl's best friend",
    "I lost my job twenty years ago",
    "I do not know what to do",
]
NOTHING = """
-
pass
skip
Skip this one, please
next question
no comment
n/a
unknown
Not specified
I'd rather not say
I would rather not talk about it
I prefer not to answer
prefer not to say.
I don't want to talk about that
I don't know
dunno
no idea
Not sure
Hard to say.
It's complicated.
That's personal
none of your business!
Why do you ask?
Can we skip that, please?
let's not go there
I\u2019d rather not go into that
I don't want to say
i dont want to say
No thank you
I won't answer that
I refuse to answer
decline
none of your beeswax
I don't feel comfortable sharing that
I'm not comfortable answering that, sorry
that's too personal
I have no idea
idk tbh
I can't remember
I don't think that's relevant
Why does that matter?
I'll pass
pass on that one
it depends
I don't have to tell you that
You don't need to know that
I'd like to keep that to myself
I want to keep that private
please move on
can you skip that
No quiero decirlo
je pr\u00e9f\u00e8re ne pas r\u00e9pondre
keine Angabe
prefiro n\u00e3o dizer
weet ik niet
...
?
""".strip().splitlines()
TELLING = """
No
None
Never
Yes
34
male
I don't know, numb mostly
I'm not sure, somewhere in my thirties
It's complicated: we are separated but live together
I'd rather not say much, but yes, once
Not working
Private school teacher
No problems
Skip-tracer
it depends on the month, about 2000
I don't know exactly, around 50
I won't lie, I am broke
I skip meals because of money
Private tutor
not really
not good
fine
I'd rather be alone
not comfortable, we struggle with rent
I can't sleep
I don't want to leave him
whatever work I can find
""".strip().splitlines()


@pytest.mark.parametrize(("query", "expected"), REVEALED)
def test_facts_of_a_query(query, expected):
    """What is found are words of the query, and they mean a level."""
    values = default_reader().read(query, penguin_schema()).values
    assert values.keys() == expected.keys()
    assert all(value.words in query and value.level is not None for value in values.values())


@pytest.mark.parametrize("query", NOT_REVEALED)
def test_what_is_not_said_of_the_writer_is_no_fact(query):
    found = default_reader().read(query, penguin_schema()).values.keys()
    assert found <= ({"Emotional State"} if "afraid" in query or "worried" in query else set())


@pytest.mark.parametrize("reply", [None, "", "  ", *NOTHING])
def test_tells_nothing(reply):
    assert default_reader().tells_nothing(reply)


@pytest.mark.parametrize("reply", TELLING)
def test_tells_something(reply):
    assert not default_reader().tells_nothing(reply)


def test_no_value_of_a_bundled_profile_counts_as_no_answer():
    from envs.loading import load_scenarios

    values = [
        (s.id, n)
        for s in load_scenarios(None).scenarios
        for n, v in s.profile.items()
        if default_reader().tells_nothing(v)
    ]
    assert values == []


@pytest.mark.parametrize("text", ["I think I am 30, " * 3000, '"I am 40 and ' * 3000, "sorry, " * 20_000])
def test_long_texts_are_read(text):
    """Matches by the thousand: each looks at no more than the words around it."""
    assert default_reader().read(text, penguin_schema()).values.keys() <= {"Age"}
    assert not default_reader().tells_nothing(text)


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "reading.yaml"
    path.write_text(yaml.safe_dump({"no_answer": ["mu"]}), encoding="utf-8")
    reader = RulesReader.load(path)
    assert reader.tells_nothing("Mu.")
    assert not reader.tells_nothing("skip")


@pytest.mark.parametrize(
    "table",
    [
        [],
        {},
        {"no_answer": [1]},
        {"no_answer": ["("]},
        {"no_answer": [], "reveals": []},
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path, table):
    path = tmp_path / "reading.yaml"
    path.write_text(yaml.safe_dump(table), encoding="utf-8")
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: [^\n]+$"):
        RulesReader.load(path)


def test_a_reader_made_without_a_file_is_the_default_one():
    text = "I'm 34 and my husband left in May"
    found = [reader.read(text, penguin_schema()).values for reader in (RulesReader(), RulesReader.load())]
    assert found[0] == found[1] != {}
