"""The books: what is counted of requests, by model and kind, over sessions, and what a price makes of it."""

import gc
import json
import os

import pytest

from envs import UserError
from envs.llm import Limits
from envs.llm.books import Account, Books, Tokens, as_rows, of_rows, summed
from envs.llm.costs import Price, price_of, worst_case
from envs.llm.sending.replies import billed_tokens
from tests.envs.llm_cases import ask, client, judge, scenario, server

USAGE = {
    "openai": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        Tokens(100, 50, 64, 30),
    ),
    "responses": (
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "input_tokens_details": {"cached_tokens": 64},
            "output_tokens_details": {"reasoning_tokens": 30},
        },
        Tokens(100, 50, 64, 30),
    ),
    "deepseek": (
        {"prompt_tokens": 100, "completion_tokens": 50, "prompt_cache_hit_tokens": 64},
        Tokens(100, 50, 64, 0),
    ),
    "gemini": ({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 150}, Tokens(100, 50, 0, 30)),
    "anthropic, its own form": (
        {
            "input_tokens": 6,
            "output_tokens": 50,
            "cache_read_input_tokens": 64,
            "cache_creation_input_tokens": 30,
        },
        Tokens(100, 50, 64, 0, 30),
    ),
    "anthropic, translated": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 64},
            "cache_read_input_tokens": 64,
            "cache_creation_input_tokens": 30,
        },
        Tokens(100, 50, 64, 0, 30),
    ),
    "anthropic, translated but not added": (
        {
            "prompt_tokens": 6,
            "completion_tokens": 50,
            "total_tokens": 150,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 94,
        },
        Tokens(100, 50, 0, 0, 94),
    ),
    "openrouter": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 30},
        },
        Tokens(100, 50, 64, 0, 30),
    ),
    "more cached than asked": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}},
        Tokens(10, 5, 10, 0),
    ),
    "null details": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None},
        Tokens(10, 5, 0, 0),
    ),
}


@pytest.mark.parametrize(("usage", "tokens"), USAGE.values(), ids=USAGE)
def test_cached_and_reasoning_tokens_are_told_apart(usage, tokens):
    assert billed_tokens(json.dumps({"usage": usage}), {}) == tokens


def test_cached_input_has_its_price():
    price = Price(input=2.0, output=8.0, cached_input=0.5)
    assert price.of(Tokens(1_000_000, 100_000, 400_000, 7)) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 8)
    assert replace_cached(price, None).of(Tokens(1_000_000, 0, 400_000)) == pytest.approx(2.0)


def test_what_a_cache_takes_in_has_its_price_directly_in_batches_and_at_most():
    price = Price(input=2.0, output=8.0, cached_input=0.2, cache_write=2.5, batch=0.5)
    tokens = Tokens(1_000_000, 100_000, 400_000, 0, 500_000)
    assert price.of(tokens) == pytest.approx(0.1 * 2 + 0.4 * 0.2 + 0.5 * 2.5 + 0.1 * 8)
    assert price.in_batch().of(tokens) == pytest.approx((0.1 * 2 + 0.4 * 2 + 0.5 * 2.5 + 0.1 * 8) / 2)
    body = {"messages": [{"role": "user", "content": "x" * 999_000}], "max_tokens": 10}
    worst = worst_case(body, price)
    assert worst.dollars >= price.of(Tokens(999_000, 10, 0, 0, 999_000))
    assert worst.dollars == pytest.approx(2.5 + 80e-6, rel=0.01)
    assert price_of("anthropic/claude-sonnet-4-5-20250929", None).cache_write == 1.25 * 3.0


def replace_cached(price, cached):
    return Price(input=price.input, output=price.output, cached_input=cached)


def test_every_kind_is_booked_and_a_hit_is_no_request(tmp_path):
    with server() as running:
        llm = judge(running.url, tmp_path, target={"model": "t"}, temperature=0.0)
        llm.score(scenario(), [(), ("Age",)], [0, 0])
        llm.score(scenario(), [()], [0])
        assert running.seen.requests == 4
    books = llm.books
    assert {key: (a.requests, a.cache_hits) for key, a in books.items()} == {
        ("m", "judge"): (2, 1),
        ("t", "target"): (2, 1),
    }
    spent = llm.spent
    assert sum(a.input_tokens for a in books.values()) == spent.input_tokens > 0
    assert sum(a.output_tokens for a in books.values()) == spent.output_tokens > 0
    assert all(a.dollars is None and a.simulated == 2 for a in books.values())


def test_requests_that_brought_nothing_are_booked_without_tokens(tmp_path):
    with server(fault_rate=1.0, faults=["server_error"]) as running:
        llm = client(running.url, tmp_path, max_retries=1)
        llm.complete(ask())
        (account,) = llm.books.values()
        assert account == Account(requests=running.seen.requests)


def test_sessions_add_up_in_the_file(tmp_path):
    path = tmp_path / "spent_judge.json"
    for session in range(3):
        books = Books()
        books.add("m", "judge", Account(requests=1, dollars=0.1))
        books.keep(tmp_path, "judge")
        books.keep(tmp_path, "judge")  # the same again is no other session
        books.add("m", "judge", Account(requests=1, dollars=0.2))
        books.add("n", "target", Account(input_tokens=5, dollars=None))
        assert path.read_text().rstrip() == json.dumps(as_rows(books.accounts))
        assert books.accounts["m", "judge"].requests == 2 * (session + 1)
        other = Books()  # a second judge of the run, as a panel has
        other.keep(tmp_path, "judge")
        other.add("m", "judge", Account(requests=7))
        assert other.accounts["m", "judge"].requests == 7 * (session + 1)
        accounts = books.accounts
        del books, other  # the end of a session: their files are free
    assert accounts["m", "judge"].dollars == pytest.approx(0.9)
    assert accounts["n", "target"] == Account(input_tokens=15, dollars=None)
    path.write_text("[1]")
    with pytest.raises(UserError, match="found no books of a run"):
        Books().keep(tmp_path, "judge")


def test_rows_are_the_accounts():
    accounts = {("m", "judge"): Account(1, 2, 3, 4, 5, 6, 7, 0.5, 8), ("m", "target"): Account(dollars=None)}
    assert of_rows(as_rows(accounts)) == accounts
    doubled = summed(accounts, accounts)
    assert doubled["m", "judge"] == Account(2, 4, 6, 8, 10, 12, 14, 1.0, 16)
    assert doubled["m", "target"].dollars is None


def test_dollars_are_those_of_the_price_with_what_was_cached(tmp_path):
    def cached(body):
        usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
        return body | {"usage": usage | {"prompt_tokens_details": {"cached_tokens": 800}}}

    prices = tmp_path / "prices.yaml"
    prices.write_text("m: {input: 1.0, cached_input: 0.1, output: 10.0}\n")
    with server(dialect=cached) as running:
        llm = client(running.url, tmp_path, limits=Limits(prices=str(prices), max_cost=1.0))
        llm.complete(ask(max_output_tokens=9))
    (account,) = llm.books.values()
    assert account.dollars == pytest.approx((200 * 1.0 + 800 * 0.1 + 100 * 10.0) / 1e6)
    assert (account.input_tokens, account.cached_input_tokens) == (1000, 800)


def test_books_of_many_runs_in_one_process_leave_no_file_open(tmp_path):
    """A sweep has hundreds of them; a damaged file is let go of as well."""
    before = len(os.listdir("/proc/self/fd"))
    for i in range(30):
        folder = tmp_path / str(i)
        folder.mkdir()
        if i % 2:
            (folder / "spent_judge.json").write_text("no books")
            with pytest.raises(UserError):
                Books().keep(folder, "judge")
        else:
            Books().keep(folder, "judge")
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) < before + 5
