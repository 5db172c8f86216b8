"""Batches over real HTTP: what goes wrong with them, what is sent again, what is paid, what a kill leaves."""

import gc
import json
import math
import os
import re
import stat
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace

import pytest

from envs import UserError, interrupts
from envs.llm import ChatRequest, EndpointError, LimitReached, Limits
from envs.llm.admission import lane
from envs.llm.batch import batch_service, batcher
from envs.llm.batch.batch_connection import STORE_SUFFIX
from envs.llm.batch.batch_service import read_answers
from envs.llm.batch.batch_store import BatchStore, LineAnswer, custom_id
from envs.llm.costs import Price, price_of
from envs.llm.endpoint import EndpointDown
from envs.llm.scripted import scripted_replies
from envs.llm.scripted.scripted_batches import BatchScript
from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import ScriptedServer
from envs.llm.sending import repetition
from tests.envs.llm_cases import ask, client, judge, scenario, server


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(batcher, "QUIET_S", 0.15)
    monkeypatch.setattr(batcher, "FIRST_LOOK_S", 0.02)
    monkeypatch.setattr(batch_service, "FIRST_WAIT_S", 0.01)


def batching(keep_bodies=False, refusal=None, rule=None, **script):
    more = {} if rule is None else {"rule": rule}
    return server(keep_bodies, batches=BatchScript(**script), refusal=refusal, **more)


def waiting_client(running, folder, **keys):
    return client(running.url, folder, model="gpt-4o", batch=True, **keys)


def asked(llm, n, check=None, **keys):
    """Ask `n` things at once, each from a thread of its own, as plans do."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda i: llm.complete(ask(f"hello {i}", **keys), check), range(n)))


def direct_replies(n):
    with server() as running:
        llm = client(running.url, model="gpt-4o")
        return [reply.text for reply in asked(llm, n)]


def texts(replies):
    assert {reply.reason for reply in replies} == {None}
    return [reply.text for reply in replies]


def test_what_is_asked_at_once_is_one_batch_behind_one_request_that_shows_what_works(tmp_path):
    with batching() as running:
        llm = waiting_client(running, tmp_path)
        assert texts(asked(llm, 40)) == direct_replies(40)
        assert (running.seen.requests, running.batches.sizes) == (1, [39])
        assert llm.spent.requests == 40
        again = asked(llm, 40)
        assert (running.batches.sizes, {reply.requests for reply in again}) == ([39], {0})


def test_a_batch_costs_half_and_the_first_request_what_it_costs_directly(tmp_path):
    with server() as running:
        direct = client(running.url, tmp_path, model="gpt-4o")
        direct.complete(ask("hello 0"))
        first = direct.spent.cost
        asked(direct, 30)
    with batching() as running:
        llm = waiting_client(running, tmp_path / "other")
        llm.complete(ask("hello 0"))
        assert llm.spent.cost == first > 0
        asked(llm, 30)
    assert llm.spent.cost == pytest.approx(first + (direct.spent.cost - first) / 2)
    tokens = [(s.input_tokens, s.output_tokens) for s in (llm.spent, direct.spent)]
    assert tokens[0] == tokens[1]


def test_the_packaged_prices_have_the_share_of_batches_and_others_may_have_none(tmp_path):
    assert price_of("gpt-4o", None).in_batch() == Price(input=1.25, output=5.0)
    assert Price(input=2.0, output=8.0).in_batch() == Price(input=2.0, output=8.0)


@pytest.mark.parametrize("fault", ["server_error", "expired", "missing"])
def test_lines_that_went_wrong_are_sent_again_and_no_other(fault, tmp_path):
    with batching(fault_rate=0.4, faults=(fault,)) as running:
        assert texts(asked(waiting_client(running, tmp_path, max_retries=9), 40)) == direct_replies(40)
        sizes = running.batches.sizes
        assert 39 < sum(sizes) < 2.5 * 39
        # Each was delivered once, under a name of its own: unique over all files.
        assert set(running.batches.delivered.values()) == {1}
        assert len(running.batches.delivered) == 39


def test_a_batch_of_which_all_failed_has_no_output_file_and_is_asked_again(tmp_path):
    with batching(fault_rate=1.0, faults=("server_error",)) as running:
        llm = waiting_client(running, tmp_path, max_retries=2)
        replies = asked(llm, 5)
        # The first went directly; of the others three batches were made, each of errors alone.
        assert sorted(str(reply.reason) for reply in replies) == ["None", *["unavailable"] * 4]
        assert sum(running.batches.sizes) == 3 * 4
        assert not running.batches.delivered
        running.batches.change(fault_rate=0.0)
        assert texts(asked(llm, 5)) == direct_replies(5)


def test_a_line_refused_alone_is_unscored_with_its_reason(tmp_path):
    def refusal(body):
        told = {"error": {"code": "invalid_prompt", "message": "repetitive patterns", "type": "x"}}
        return (400, told) if "hello 3" in str(body["messages"]) else None

    with batching(refusal=refusal) as running:
        replies = asked(waiting_client(running, tmp_path), 6)
        assert [reply.reason for reply in replies] == [None, None, None, "filtered", None, None]
        assert replies[3].text == ""


def test_a_verdict_that_the_limit_cut_is_none_though_its_status_is_200(tmp_path):
    def rule(body):
        return Completion("", "length") if "hello 2" in str(body["messages"]) else Completion("fine")

    with batching(rule=rule) as running:
        replies = asked(waiting_client(running, tmp_path), 4)
        assert [reply.reason for reply in replies] == [None, None, "no_room", None]


def test_a_parameter_that_the_model_does_not_take_is_left_out_before_anything_is_batched(tmp_path):
    def refusal(body):
        told = {"error": {"message": "Unsupported parameter: 'max_tokens'", "param": "max_tokens"}}
        return (400, told) if "max_tokens" in body else None

    with batching(refusal=refusal) as running:
        llm = waiting_client(running, tmp_path)
        assert len(texts(asked(llm, 12, max_output_tokens=50))) == 12
        assert (running.seen.requests, sum(running.batches.sizes)) == (2, 11)


def test_a_line_that_shows_what_the_model_does_not_take_is_mended_and_sent_again(tmp_path):
    def refusal(body):
        refused = "seed" in body and "hello" not in str(body["messages"])
        return (
            (400, {"error": {"message": "Unsupported parameter: 'seed'", "param": "seed"}})
            if refused
            else None
        )

    with batching(refusal=refusal) as running:
        llm = waiting_client(running, tmp_path)
        llm.complete(ask("hello"))
        with ThreadPoolExecutor(5) as pool:
            replies = list(pool.map(lambda i: llm.complete(ask(f"other {i}")), range(5)))
        assert len(texts(replies)) == 5
        assert sum(running.batches.sizes) == 10


def test_a_wrong_key_is_told_at_once_and_nothing_is_uploaded(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    with server(batches=BatchScript(), key="right") as running:
        with pytest.raises(EndpointError, match="401: the key in OPENAI_API_KEY was refused"):
            asked(waiting_client(running, tmp_path), 3)
        assert running.batches.sizes == []


def test_an_endpoint_without_batches_is_told_by_the_key_that_ends_them(tmp_path):
    with (
        server() as running,
        pytest.raises(EndpointError, match=r"judge\.batch: .* has no routes /files and /batches"),
    ):
        asked(waiting_client(running, tmp_path), 3)


@pytest.mark.parametrize("trouble", ["unseen_files", "lost_creations", "outages"])
def test_no_trouble_on_the_way_makes_a_second_batch_of_the_same(trouble, tmp_path):
    with batching(**{trouble: 3}) as running:
        assert texts(asked(waiting_client(running, tmp_path), 10)) == direct_replies(10)
        assert sum(running.batches.sizes) == 9


def test_an_endpoint_that_is_down_is_given_up_with_what_was_sent_kept(tmp_path):
    with batching(outages=10**6) as running:
        llm = waiting_client(running, tmp_path, give_up_after=0.2)
        with pytest.raises(EndpointDown, match="resume=true takes them up again") as raised:
            asked(llm, 4)
        assert raised.value.exit_code == 4


def test_a_queue_that_takes_less_gets_waves(tmp_path):
    with batching(work_s=0.05, most_lines=12) as running:
        assert texts(asked(waiting_client(running, tmp_path), 40)) == direct_replies(40)
        assert max(running.batches.sizes) <= 12
        assert sum(running.batches.sizes) == 39


def test_a_file_is_no_longer_than_the_endpoint_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(batcher, "MOST_LINES", 16)
    with batching(work_s=0.05) as running:
        assert texts(asked(waiting_client(running, tmp_path), 40)) == direct_replies(40)
        assert max(running.batches.sizes) <= 16
        assert sum(running.batches.sizes) == 39
    monkeypatch.setattr(batcher, "MOST_BYTES", 3000)
    with batching(work_s=0.05) as running:
        asked(waiting_client(running, tmp_path / "other"), 40)
        assert max(map(len, running.batches.uploaded)) <= 3000


def test_each_line_is_json_of_ascii_with_a_name_of_its_own_and_one_model_a_file(tmp_path):
    said = ["a\u2028b", "c\x85d\n", "e\r\nf", "\U0001f600"]
    with batching() as running:
        llm = waiting_client(running, tmp_path)
        llm.complete(ask("first"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda text: llm.complete(ask(text)), said))
        content = b"".join(running.batches.uploaded)
        rows = [json.loads(line) for line in content.decode("ascii").split("\n")[:-1]]
        assert {row["body"]["messages"][0]["content"] for row in rows} == set(said)
        assert {row["body"]["model"] for row in rows} == {"gpt-4o"}
        assert {(row["method"], row["url"]) for row in rows} == {("POST", "/v1/chat/completions")}
        names = [row["custom_id"] for row in rows]
        assert len(set(names)) == 4
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)


def test_results_are_joined_by_name_and_only_a_newline_ends_a_line():
    def row(name, status, content):
        body = {"choices": [{"message": {"content": content}}]}
        response = {"status_code": status, "body": body}
        return json.dumps({"custom_id": name, "response": response, "error": None}, ensure_ascii=False)

    strange = "one\u2028two\x85three\x0bfour"
    late = json.dumps({"custom_id": "c", "response": None, "error": {"code": "batch_expired"}})
    broken = json.dumps({"custom_id": "d", "response": None, "error": {"code": "internal"}})
    text = "\n".join([row("b", 200, strange), "", "no json", "[1]", late, broken, row("a", 500, "")])
    found = dict(read_answers(text))
    assert list(found) == ["b", "c", "d", "a"]
    assert json.loads(found["b"].body)["choices"][0]["message"]["content"] == strange
    assert (found["a"].status, found["c"], found["d"].status) == (500, None, 400)


def test_a_session_that_was_killed_pays_for_nothing_twice(tmp_path):
    """A second client in place of a new process: it shares nothing with the first but the files."""
    with batching(work_s=0.6) as running:
        first = waiting_client(running, tmp_path)
        first.complete(ask("hello 0"))
        pool = ThreadPoolExecutor(20)
        waiting = [pool.submit(first.complete, ask(f"hello {i}")) for i in range(20)]
        while sum(running.batches.sizes) < 19:
            time.sleep(0.01)
        interrupts.let_go()
        for future in waiting[1:]:
            with pytest.raises(CancelledError):
                future.result(5)
        pool.shutdown()
        del first
        gc.collect()
        second = waiting_client(running, tmp_path)
        assert texts(asked(second, 25)) == direct_replies(25)
        # The resumed lines were not sent again, nor was a request sent to find out what works before them.
        assert sum(running.batches.sizes) + running.seen.requests == 25
        assert set(running.batches.delivered.values()) == {1}
    store = BatchStore(str(tmp_path / "cache.sqlite") + STORE_SUFFIX)
    assert store.open_batches(f"gpt-4o at {running.url}") == []


def test_who_has_heard_of_batches_only_does_not_take_a_slow_endpoint_for_none(tmp_path, monkeypatch):
    """A session that takes up a batch may send its first request directly to a server at its limit."""
    with batching(work_s=0.3) as running:
        first = waiting_client(running, tmp_path)
        first.complete(ask("hello 0"))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(first.complete, ask("hello 1"))
            while not running.batches.sizes:
                time.sleep(0.01)
            interrupts.let_go()
            assert isinstance(waiting.exception(5), CancelledError)
        del first
        gc.collect()
        second = waiting_client(running, tmp_path, give_up_after=20.0)
        assert second.complete(ask("hello 1")).reason is None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.complete, ask("hello 2"))
        time.sleep(0.3)
        with ScriptedServer(running.script, running.port):
            assert waiting.result(20).reason is None


def test_who_looks_for_batches_learns_that_somebody_is_there(tmp_path, monkeypatch):
    """The first direct request beside a batch taken up is dropped more often than at no endpoint."""
    monkeypatch.setattr(repetition, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(lane, "FIRST_WAIT_S", 0.01)
    with batching() as running:
        asked(waiting_client(running, tmp_path), 3)
        running.batches.made[0].status, running.batches.made[0].ready_at = "in_progress", math.inf
        store = BatchStore(str(tmp_path / "cache.sqlite") + STORE_SUFFIX)
        store.begin(
            "ours", f"gpt-4o-mini at {running.url}", ["x"]
        )  # a model that nobody asked in this process
        store.created("ours", running.batches.made[0].id)
        store.close()
        left = [None, *["drop"] * (repetition.UNANSWERED_RETRIES + 2)]
        monkeypatch.setattr(scripted_replies, "pick_fault", lambda *_: left.pop() if left else None)
        llm = client(running.url, tmp_path, model="gpt-4o-mini", batch=True)
        assert llm.complete(ask("hello 2")).reason is None
        assert left == []


def test_a_batch_whose_creation_was_not_heard_of_is_found_by_our_id(tmp_path):
    """The process ended between the server's creation of a batch and the note of its number."""
    with batching() as running:
        llm = waiting_client(running, tmp_path)
        asked(llm, 10)
        (content,) = running.batches.uploaded
        name = json.loads(content.split(b"\n")[0])["custom_id"]
        ours = next(b.shown["metadata"]["raise_planner_batch"] for b in running.batches.made)
        assert name.startswith(ours[:16])
        lane = f"gpt-4o at {running.url}"
        other = tmp_path / "other"
        lines = [json.loads(row)["custom_id"].split("-")[1] for row in content.decode().split("\n")[:-1]]
        store = BatchStore(str(other / "cache.sqlite") + STORE_SUFFIX)
        store.begin(ours, lane, lines)
        store.close()
        del llm
        gc.collect()
        assert texts(asked(waiting_client(running, other), 10)) == direct_replies(10)
        assert (sum(running.batches.sizes), running.seen.requests) == (9, 2)


def test_limits_hold_for_batches_to_the_worst_case(tmp_path):
    with batching(work_s=0.05) as running:
        llm = waiting_client(running, tmp_path, limits=Limits(max_requests=15))
        with pytest.raises(LimitReached, match=r"judge\.max_requests=15"):
            asked(llm, 40, max_output_tokens=20)
        assert running.seen.requests + sum(running.batches.sizes) == 15
        kept = waiting_client(running, tmp_path)
        assert sum(reply.requests == 0 for reply in asked(kept, 40, max_output_tokens=20)) == 15


def test_a_cancelled_batch_keeps_what_was_answered_and_says_so(tmp_path):
    with batching(work_s=30.0) as running:
        llm = waiting_client(running, tmp_path)
        llm.complete(ask("first"))

        def cancel():
            while not running.batches.made:
                time.sleep(0.01)
            running.batches.made[0].status = "cancelled"

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(EndpointError, match="was cancelled; what was answered is saved"):
            asked(llm, 5)
        thread.join()


def test_a_judge_asks_both_models_in_batches_and_scores_as_it_does_directly(tmp_path):
    contexts = [(), ("Age",), ("Age", "Gender"), ("Emotional State",)]
    people = [scenario(i) for i in range(6)]

    def scores(url, folder, **keys):
        made = judge(url, folder, **keys)
        with ThreadPoolExecutor(len(people)) as pool:
            return list(pool.map(lambda person: made.score(person, contexts, [0] * 4), people))

    with server() as running:
        direct = scores(running.url, tmp_path / "direct")
        n_direct = running.seen.requests
    with batching() as running:
        batched = scores(running.url, tmp_path / "batched", batch=True)
        assert running.seen.requests + sum(running.batches.sizes) == n_direct
    assert batched == direct


def test_a_judge_in_batches_makes_many_plans_at_once_and_its_scores_are_those_of_no_other(tmp_path):
    made = judge("http://127.0.0.1:1/v1", tmp_path, batch=True, max_in_flight=4)
    assert made.concurrent_plans == 500
    assert "batch" in made.resume_ignored
    assert judge("http://127.0.0.1:1/v1", tmp_path, batch=True, concurrent_plans=7).concurrent_plans == 7


def test_the_store_is_read_by_its_owner_alone_and_forgets_what_the_cache_has(tmp_path):
    with batching() as running:
        asked(waiting_client(running, tmp_path), 10)
    path = str(tmp_path / "cache.sqlite") + STORE_SUFFIX
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    store = BatchStore(path)
    assert store.rows("SELECT * FROM lines") == []
    assert store.rows("SELECT * FROM batches") == []


def test_a_store_gives_out_what_was_collected_until_it_is_dropped(tmp_path):
    store = BatchStore(str(tmp_path / "b"))
    store.begin("one", "lane", ["x", "y"])
    store.created("one", "batch_1")
    assert [(b.id, b.server_id, b.lines) for b in store.open_batches("lane")] == [
        ("one", "batch_1", ("x", "y"))
    ]
    assert store.open_batches("another") == []
    store.collect("one", {"x": LineAnswer(200, "{}")})
    assert (store.answer("x"), store.answer("y"), store.open_batches("lane")) == (
        LineAnswer(200, "{}"),
        None,
        [],
    )
    store.begin("two", "lane", ["y"])
    store.collect("one", {"y": LineAnswer(500, "{}")})  # of an older batch: it does not count
    assert store.answer("y") is None
    store.drop("x")
    assert store.answer("x") is None
    assert custom_id("0123456789abcdef0", "y") == "0123456789abcdef-y"


def test_a_file_that_is_no_store_and_a_client_without_a_file_are_told(tmp_path):
    (tmp_path / "b").write_text("no database, whatever its name says, but text that goes on for a while")
    with pytest.raises(UserError, match="expected a file of batches"):
        BatchStore(str(tmp_path / "b"))
    with pytest.raises(UserError, match=r"judge\.batch: expected a cache file"):
        client("http://127.0.0.1:1/v1", batch=True)


def test_no_message_repeats_a_prompt(tmp_path):
    def refusal(body):
        return 400, {"error": {"message": f"no: {body['messages']}", "code": "strange"}}

    with batching() as running:
        llm = waiting_client(running, tmp_path)
        llm.complete(ChatRequest((("user", "first"),)))
        running.script = replace(running.script, refusal=refusal)
        with pytest.raises(EndpointError) as raised:
            llm.complete(ChatRequest((("user", "a secret of mine"),)))
        assert "secret" not in str(raised.value)
