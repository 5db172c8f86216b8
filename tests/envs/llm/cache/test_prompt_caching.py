"""What prompts share stands first and is marked where that is wanted; what a cache served is counted."""

from itertools import takewhile

import pytest

from envs.llm.scripted.scripted_replies import Completion
from tests.envs.llm_cases import NAMES, ask, client, judge, scenario, server

CLAUDE = "anthropic/claude-sonnet-4-5"
MARK = {"type": "ephemeral"}


def text_of(body):
    return "".join(m["content"] for m in body["messages"])


def bodies(tmp_path, contexts, **keys):
    with server(keep_bodies=True) as running:
        made = judge(running.url, tmp_path, **keys)
        made.score(scenario(), contexts, list(range(len(contexts))))
        return [body for body in running.seen.bodies if "response_format" in body]


@pytest.mark.parametrize("mode", ["response", "direct"])
def test_all_but_what_differs_is_one_prefix_of_a_person_s_verdicts(mode, tmp_path):
    """Everything before the answer (or what is known) is the same: rules, form, query and profile."""
    prompts = [text_of(b) for b in bodies(tmp_path, [(), NAMES[:1], NAMES[:3]], mode=mode)]
    assert len(set(prompts)) == 3
    letters = takewhile(lambda same: len(set(same)) == 1, zip(*prompts, strict=False))
    prefix = "".join(letter for letter, *_ in letters)
    block = "<answer>" if mode == "response" else "<known>"
    assert [prompt.rindex(block) <= len(prefix) for prompt in prompts] == [True] * 3
    assert f"value 0 of {NAMES[-1]}" in prefix
    assert prefix.rindex("</profile>") > len(prefix) / 2


def test_what_is_shared_is_marked_for_claude_and_for_no_other(tmp_path):
    request = ask("the rules\nthe answer", shared=len("the rules\n"))
    sent = {}
    for model in (CLAUDE, "gpt-4o"):
        with server(keep_bodies=True) as running:
            client(running.url, model=model).complete(request)
            sent[model] = running.seen.bodies[0]["messages"][0]["content"]
    assert sent["gpt-4o"] == "the rules\nthe answer"
    head, tail = sent[CLAUDE]
    assert head == {"type": "text", "text": "the rules\n", "cache_control": MARK}
    assert tail == {"type": "text", "text": "the answer"}


def test_marks_change_no_reply_key():
    assert ask("a b", shared=2).key("m", {}) == ask("a b").key("m", {})


@pytest.mark.parametrize(
    "said",
    [
        "messages.0.content.0.cache_control: Extra inputs are not permitted",
        "messages.0.content: Input should be a valid string",
        "content must be a string",
    ],
)
def test_an_endpoint_that_takes_no_marks_gets_plain_text_from_then_on(said):
    def refusal(body):
        parts = isinstance(body["messages"][0]["content"], list)
        return (400, {"error": {"message": said, "type": "invalid_request_error"}}) if parts else None

    with server(keep_bodies=True, refusal=refusal) as running:
        llm = client(running.url, model=CLAUDE)
        for text in ("one two", "one three"):
            assert llm.complete(ask(text, shared=4)).reason is None
        contents = [body["messages"][0]["content"] for body in running.seen.bodies]
        assert [isinstance(content, list) for content in contents] == [True, False, False]
        assert contents[1:] == ["one two", "one three"]


def test_what_a_cache_takes_in_is_booked_and_leased_at_its_price(tmp_path):
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "cache_creation_input_tokens": 900}
    with server(
        rule=lambda body: Completion("fine"), dialect=lambda answer: answer | {"usage": usage}
    ) as running:
        llm = client(running.url, tmp_path, model=CLAUDE)
        llm.complete(ask("one"))
        (account,) = llm.engine.holdings.books.accounts.values()
    assert (account.input_tokens, account.cached_input_tokens, account.cache_write_tokens) == (1000, 0, 900)
    # 3.00, 3.75 and 15.00 dollars a million
    assert account.dollars == pytest.approx((100 * 3.0 + 900 * 3.75 + 10 * 15.0) / 1e6)
    assert llm.engine.gate.ledger.settled.dollars == pytest.approx(account.dollars)


def test_tokens_that_a_cache_served_are_counted(tmp_path):
    def dialect(answer):
        answer["usage"] = {
            "prompt_tokens": 1000,
            "completion_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 800},
        }
        return answer

    with server(rule=lambda body: Completion("fine"), dialect=dialect) as running:
        llm = client(running.url, tmp_path, model="gpt-4o")
        llm.complete(ask("one"))
        (account,) = llm.engine.holdings.books.accounts.values()
    assert (account.input_tokens, account.cached_input_tokens) == (1000, 800)
    # 2.50, 1.25 and 10.00 dollars a million
    assert account.dollars == pytest.approx((200 * 2.5 + 800 * 1.25 + 10 * 10.0) / 1e6)
