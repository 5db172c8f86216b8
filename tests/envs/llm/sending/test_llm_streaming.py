"""Streamed replies over real HTTP: pieces as they come, faults told in one line, and what is cleaned up."""

import asyncio
import threading

import pytest

from envs.llm import ChatRequest, Client, Endpoint, EndpointError, LimitReached, Limits
from envs.llm.admission import lane
from envs.llm.endpoint import EndpointDown
from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer

HELLO = ChatRequest((("system", "Be kind."), ("user", "Hello?")))
TEXT = "Take  care of\nyourself, caf\u00e9 \U0001f600 \u2028 and rest."


def saying(text, **options):
    return ScriptedServer(Script(lambda body: Completion(text), **options))


def client(server, limits=None, **options):
    return Client(Endpoint("m", server.url, **({"max_retries": 0} | options)), limits)


def test_the_pieces_are_the_reply_in_both_twins():
    async def collect(one):
        return [piece async for piece in one.astream(HELLO)]

    with saying(TEXT) as server:
        one = client(server)
        pieces = list(one.stream(HELLO))
        assert "".join(pieces) == TEXT
        assert len(pieces) > 5
        assert asyncio.run(collect(one)) == pieces
        assert server.seen.requests == one.spent.requests == 2
        assert one.spent.output_tokens > 0


def test_pieces_come_before_the_reply_ends():
    """A reply that takes minutes: its first word is here long before."""
    seen = []
    with saying("word " * 3000, piece_s=0.1) as server:
        stream = client(server).stream(HELLO)
        reading = threading.Thread(target=lambda: seen.append(next(stream)), daemon=True)
        reading.start()
        reading.join(60)
        assert seen == ["word "]
        stream.close()


def test_thoughts_are_left_out_even_in_pieces():
    for text, said in [
        ("<think> let me see </think> Rest now.", "Rest now."),
        ("<thinker> is a word", "<thinker> is a word"),
        ("<", "<"),
        ("[THINK] well [/THINK]\n\nRest now.", "Rest now."),
        (
            "[1] Rest now, and call somebody in the morning.",
            "[1] Rest now, and call somebody in the morning.",
        ),
    ]:
        with saying(text) as server:
            assert "".join(client(server).stream(HELLO)) == said
    with saying("<think> on and on") as server, pytest.raises(EndpointError, match="no text"):
        list(client(server).stream(HELLO))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("server_error", EndpointDown, "no answer"),
        ("rate_limit", EndpointDown, "no answer"),
        ("drop", EndpointDown, "no answer"),
        ("truncated_json", EndpointDown, "broke off"),
        ("html_429", EndpointDown, "no answer"),
        ("html_ok", EndpointDown, "broke off"),
        ("empty", EndpointError, "no text"),
        ("content_filter", EndpointError, "filter"),
    ],
)
def test_a_failure_is_one_line(fault, error, words, monkeypatch):
    monkeypatch.setattr(lane, "FIRST_WAIT_S", 0.01)  # a pause is shorter than its patience
    with ScriptedServer(Script(fault_rate=1.0, faults=(fault,))) as server:
        one = client(server, max_retries=1, timeout_s=10.0, give_up_after=0.2)
        with pytest.raises(error, match=rf"^judge: model m: [^\n]*{words}[^\n]*$"):
            list(one.stream(HELLO))


def test_what_came_before_the_break_is_yielded():
    with ScriptedServer(
        Script(lambda body: Completion(TEXT), fault_rate=1.0, faults=("truncated_json",))
    ) as server:
        seen = []
        with pytest.raises(EndpointDown, match="broke off"):
            seen.extend(client(server).stream(HELLO))
        pieces = client(server).stream(HELLO)
        assert TEXT.startswith(next(pieces))


def test_a_stalled_answer_is_told():
    server = ScriptedServer(Script(fault_rate=1.0, faults=("timeout",)))
    with server, pytest.raises(EndpointDown, match="no answer"):
        list(client(server, timeout_s=0.3).stream(HELLO))


def test_nothing_there_is_told():
    with pytest.raises(EndpointDown, match="nothing answers"):
        list(Client(Endpoint("m", "http://127.0.0.1:9/v1", timeout_s=2.0)).stream(HELLO))


def dialect(**changes):
    """Chunks as other servers write them: `changes` by the word that a chunk holds."""

    def changed(chunk):
        word = chunk["choices"][0]["delta"].get("content", "").strip()
        return changes.get(word, chunk)

    return changed


def test_an_error_among_the_chunks_is_no_end():
    server = saying("Take good care.", dialect=dialect(good={"error": {"message": "overloaded"}}))
    with server, pytest.raises(EndpointDown, match="broke off"):
        list(client(server).stream(HELLO))


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [], "usage": {"prompt_tokens": 3}},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": ["x"]}}]},
        {},
        [],
        7,
    ],
)
def test_chunks_that_say_nothing_are_passed_over(chunk):
    with saying("Take good care.", dialect=dialect(good=chunk)) as server:
        assert "".join(client(server).stream(HELLO)) == "Take care."


def test_limits_count_streams():
    with saying(TEXT) as server:
        one = client(server, Limits(max_requests=1))
        list(one.stream(HELLO))
        with pytest.raises(LimitReached):
            list(one.stream(HELLO))
        assert server.seen.requests == 1


def test_a_stream_that_is_left_frees_its_slot():
    with saying("one two three four five six", piece_s=0.05) as server:
        one = client(server, Limits(max_in_flight=1))
        for _ in range(3):
            stream = one.stream(HELLO)
            next(stream)
            stream.close()
        assert "".join(one.stream(HELLO)) == "one two three four five six"


def test_many_streams_at_once():
    with ScriptedServer(Script(lambda body: Completion(body["messages"][0]["content"] * 20))) as server:
        one, found = client(server), {}

        def hold(i):
            found[i] = "".join(one.stream(ChatRequest((("user", f"{i} "),))))

        threads = [threading.Thread(target=hold, args=(i,)) for i in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {i: f"{i} " * 20 for i in range(30)}


@pytest.mark.parametrize("adapts", ["seed", "max_tokens"])
def test_a_refused_parameter_is_left_out_or_renamed(adapts):
    def refusal(body):
        error = {"code": "unsupported_parameter", "param": adapts, "message": f"{adapts} is not supported"}
        return (400, {"error": error}) if adapts in body else None

    with ScriptedServer(Script(lambda body: Completion(TEXT), refusal=refusal)) as server:
        request = ChatRequest(HELLO.messages, max_output_tokens=50)
        assert "".join(client(server).stream(request)) == TEXT
        assert server.seen.requests == 2
