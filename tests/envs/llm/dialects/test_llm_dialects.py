"""What real endpoints do beside OpenAI's documentation: each is read for what it is, and paid for once."""

import json

import pytest

from envs import UserError
from envs.judges.verdicts.verdicts import DIMENSIONS, expected_score, read_verdict
from envs.llm import ChatRequest, Endpoint, EndpointError
from envs.llm.admission import lane
from envs.llm.books import Tokens
from envs.llm.costs import in_dollars
from envs.llm.endpoint import EndpointDown, SchemaRefused
from envs.llm.messages import TokenChoice
from envs.llm.scripted.scripted_replies import Completion, default_completion
from envs.llm.sending import repetition as http
from envs.llm.sending.replies import billed_tokens, read_reply
from envs.rankings import read_ranking
from tests.envs.llm_cases import MARK, ask, client, judge, scenario, server

VERDICT = json.dumps(dict(zip(DIMENSIONS, (4, 2, 5), strict=True)))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    for module in (http, lane):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)


def nested(message, **keys):
    return {"error": {"message": message, "type": None, "param": None, "code": None, **keys}}


def without(name, message=None, status=400, body=nested):
    """Refuse each request that has the parameter `name`."""
    told = message or f"Unsupported parameter: '{name}' is not supported with this model."
    return lambda asked: (status, body(told)) if name in asked else None


# A filter refuses one prompt, not the run.

FILTERED = {
    "azure": (400, nested("The response was filtered ...", code="content_filter", param="prompt")),
    "litellm": (
        400,
        nested("litellm.ContentPolicyViolationError: AzureException - content management policy", code="400"),
    ),
    "litellm, older": (500, nested("litellm.ContentPolicyViolationError: AzureException")),
    "openai, reasoning": (
        400,
        nested(
            "Invalid prompt: it was flagged as potentially violating our usage policy.", code="invalid_prompt"
        ),
    ),
    "openrouter": (403, nested("model requires moderation. Your input was flagged for self-harm", code=403)),
}


@pytest.mark.parametrize("case", FILTERED)
def test_a_filter_is_a_reason_and_not_the_end_of_the_run(case, tmp_path):
    with server(refusal=lambda body: FILTERED[case] if "dark" in str(body["messages"]) else None) as running:
        llm = client(running.url, tmp_path)
        assert (llm.complete(ask("dark")).reason, running.seen.requests) == ("filtered", 3)
        assert llm.spent.input_tokens == 0
        assert llm.complete(ask("light")).reason is None
        assert llm.complete(ask("dark")).requests == 0  # a refusal is a reply


# Parameters that a model does not take.


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
        None,
    ],
)
def test_a_reasoning_model_is_given_the_newer_name(message):
    with server(keep_bodies=True, refusal=without("max_tokens", message)) as running:
        llm = client(running.url, max_retries=0)
        assert (llm.complete(ask("a", max_output_tokens=9)).requests, running.seen.requests) == (2, 2)
        assert (llm.complete(ask("b", max_output_tokens=9)).requests, running.seen.requests) == (1, 3)
    assert running.seen.bodies[-1]["max_completion_tokens"] == 9
    assert "max_tokens" not in running.seen.bodies[-1]


def test_an_older_azure_is_given_the_older_name(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", MARK)
    message = "Unrecognized request argument supplied: max_completion_tokens"
    with server(keep_bodies=True, refusal=without("max_completion_tokens", message)) as running:
        llm = client(running.url.removesuffix("/v1"), api="azure", api_version="2024-02-01")
        assert llm.complete(ask(max_output_tokens=9)).reason is None
    assert running.seen.bodies[-1]["max_tokens"] == 9


def test_requests_under_way_at_the_refusal_change_the_name_too():
    with server(latency_s=0.05, refusal=without("max_tokens")) as running:
        llm = client(running.url)
        replies = llm.engine.run([llm.reply(ask(str(i), max_output_tokens=9)) for i in range(8)])
        assert [reply.reason for reply in replies] == [None] * 8
        assert running.seen.requests == 16


def test_neither_name_is_taken():
    both = nested("Unsupported: max_tokens and max_completion_tokens", param="max_tokens")

    def refuse(body):
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return (400, nested(f"Unsupported parameter: {name}", param=name)) if name in body else None

    for refusal in (refuse, lambda body: (400, both)):
        with server(refusal=refusal) as running:
            with pytest.raises(EndpointError, match=r"see judge\.max_output_tokens"):
                client(running.url).complete(ask(max_output_tokens=9))
            assert running.seen.requests <= 2


def fastapi(message):
    return {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", message.split("'")[1]],
                "msg": "not permitted",
                "input": "json_schema",
            }
        ]
    }


@pytest.mark.parametrize(("status", "body"), [(400, nested), (422, fastapi)])
def test_a_seed_and_a_temperature_of_one_can_be_left_out(status, body):
    for name, keys in (("seed", {}), ("temperature", {"temperature": 1.0}), ("top_p", {"top_p": 1.0})):
        with server(keep_bodies=True, refusal=without(name, status=status, body=body)) as running:
            llm = client(running.url)
            assert [llm.complete(ask(text, **keys)).requests for text in "ab"] == [2, 1]
        assert name not in running.seen.bodies[-1]


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value.",
        "`temperature` is deprecated for this model.",
    ],
)
def test_a_temperature_that_is_not_taken_is_left_out_and_said_but_zero_is_told(message, tmp_path, caplog):
    def refuse(body):
        wrong = body.get("temperature") not in (None, 1)
        return (400, nested(message, param="temperature", code="unsupported_value")) if wrong else None

    with server(refusal=refuse) as running:
        # What counts on the same reply every time would get draws.
        with pytest.raises(
            EndpointError, match=r"unsupported_value, temperature\); see .* judge\.target\.temp"
        ):
            judge(running.url, tmp_path, target={"temperature": 0}).score(scenario(), [()])
        assert running.seen.requests == 1
        assert caplog.messages == []
        llm = judge(running.url, tmp_path, target={"temperature": 0.7})
        assert llm.score(scenario(), [()])[0].reason is None
        assert (running.seen.requests, len(caplog.messages)) == (4, 1)
        assert llm.score(scenario(1), [()])[0].reason is None
        assert (running.seen.requests, len(caplog.messages)) == (6, 1)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "System role not supported"),
        (500, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (400, "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
    ],
)
def test_a_model_without_system_messages_is_told_all_in_one(status, message, tmp_path):
    def refuse(body):
        return (status, nested(message)) if body["messages"][0]["role"] == "system" else None

    with server(keep_bodies=True, refusal=refuse) as running:
        llm = judge(running.url, tmp_path, mode="direct")
        assert [llm.score(scenario(i), [()])[0].reason for i in range(2)] == [None, None]
        assert running.seen.requests == 3
    before, after, _ = (body["messages"] for body in running.seen.bodies)
    assert after == [{"role": "user", "content": "\n\n".join(message["content"] for message in before)}]


@pytest.mark.parametrize("messages", [(("user", "a"),), (("system", "a"),)])
def test_what_cannot_be_told_otherwise_is_final(messages):
    with server(refusal=lambda _: (400, nested("System role not supported"))) as running:
        with pytest.raises(EndpointError, match="400"):
            client(running.url).complete(ChatRequest(messages))
        assert running.seen.requests == 1


def test_azure_takes_a_token_of_the_directory(monkeypatch):
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", MARK)
    with server(key=MARK) as running:
        llm = client(running.url.removesuffix("/v1"), api="azure", api_version="2024-10-21")
        assert llm.complete(ask()).reason is None


@pytest.mark.parametrize(
    "message",
    [
        "This response_format type is unavailable now",
        "litellm.UnsupportedParamsError: x does not support parameters: ['response_format'], for model=m.",
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    ],
)
def test_schemas_that_are_not_there_are_still_found_out(message, tmp_path):
    with server(refusal=without("response_format", message)) as running:
        with pytest.raises(SchemaRefused):
            client(running.url).complete(ask(schema={"type": "object"}))
        assert judge(running.url, tmp_path, mode="direct").score(scenario(), [()])[0].reason is None
        assert running.seen.requests == 3


# What no repetition mends, in one line of our own.

LONG = "a prompt is longer than the context of model m"
FINAL = {
    "vllm": (400, {"object": "error", "message": "The decoder prompt (length 9) is longer than the "
             "maximum model length of 4", "type": "BadRequestError", "code": 400}, LONG),
    "anthropic": (400, nested("prompt is too long: 208310 tokens > 200000 maximum"), LONG),
    "gemini": (400, [nested("The input token count (9) exceeds the maximum number of tokens allowed")], LONG),
    "litellm": (400, nested("litellm.ContextWindowExceededError: x", code="400"), LONG),
    "litellm, model": (400, nested("Invalid model name", param="model", code="400"), "no model m at"),
    "openrouter, model": (400, nested("m is not a valid model ID", code=400), "no model m at"),
    "gemini, key": (400, [nested("API key not valid. Please pass one.")], "the key in .* was refused"),
    "no credit": (402, nested("Insufficient Balance"), "the credit of the key"),
    "hard limit": (429, nested("x", code="billing_hard_limit_reached"), "the quota"),
    "no such method": (405, {"detail": "Method Not Allowed"}, "no such path at"),
    "logprobs": (400, nested("'logprobs' is not supported with reasoning models"), r"judge\.scoring=sampled"),
}  # fmt: skip


@pytest.mark.parametrize("case", FINAL)
def test_what_is_final_is_told_after_one_request(case):
    status, body, told = FINAL[case]
    with server(refusal=lambda _: (status, body)) as running:
        with pytest.raises(EndpointError, match=told) as caught:
            client(running.url).complete(ask(top_logprobs=2))
        assert running.seen.requests == 1
    assert "\n" not in str(caught.value)


def test_something_that_only_drops_is_no_endpoint():
    with server(fault_rate=1.0, faults=["drop"]) as running:
        with pytest.raises(EndpointDown, match=r"3 connections to http.* nothing was answered"):
            client(running.url).complete(ask())
        assert running.seen.requests == 3


@pytest.mark.parametrize(("fault", "retries", "requests"), [("timeout", 3, 4), ("drop", 1, 2)])
def test_one_that_is_slow_or_may_drop_by_accident_is_one(fault, retries, requests):
    with server(fault_rate=1.0, faults=[fault]) as running:
        reply = client(running.url, timeout_s=0.2, max_retries=retries).complete(ask())
        assert (reply.reason, reply.requests) == ("unavailable", requests)


def test_https_where_http_is_spoken():
    import asyncio
    import threading

    loop = asyncio.new_event_loop()

    async def answers(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    running = loop.run_until_complete(asyncio.start_server(answers, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = running.sockets[0].getsockname()[1]
    with pytest.raises(EndpointDown, match=r"no TLS connection .* at https://127"):
        client(f"https://127.0.0.1:{port}/v1", key_variable=None).complete(ask())
    loop.call_soon_threadsafe(running.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


# Forms of an answer.


def said(content, finish="stop", **message):
    message = {"role": "assistant", "content": content, **message}
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]})


HARMONY = "<|channel|>"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (said([{"type": "thinking", "thinking": []}, *({"type": "text", "text": t} for t in "ab")]), "ab"),
        (said("<think>\nI could say 5.\n</think>\n\nYes."), "Yes."),
        (said("I could say 5.\n</think>\nYes."), "Yes."),
        (said("I could say 5.</think>\n\nYes."), "Yes."),
        (said("<think>5?</think>\n<think>No, 4.</think>\nYes."), "Yes."),
        *((said(f"<{t}>5?\n</{t}>\nYes."), "Yes.") for t in ("thinking", "thought", "reasoning", "Think")),
        (said("[THINK]5?[/THINK]Yes."), "Yes."),
        (said('<think effort="low">5?</think>\nYes.'), "Yes."),
        (said("<reflection>5?</reflection>\n<analysis>4?</analysis>\nYes."), "Yes."),
        (said(f"{HARMONY}analysis<|message|>5?<|end|><|start|>a{HARMONY}final<|message|>Yes."), "Yes."),
        *((said(text), text) for text in ("No </think> tag in it.", "Type `</think>`\nnow.")),
        (said("Yes.", reasoning_content="I could say 5."), "Yes."),
        ('{"choices": [{"message": {"content": "cut \\ud83d"}, "finish_reason": null}]}', "cut ?"),
    ],
)  # fmt: skip
def test_forms_of_content(text, found):
    reply = read_reply(text, False, "judge")
    assert (reply.text, reply.reason) == (found, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (said("<think> without an end"), "empty"),
        (said("<think>done</think>\n<thinking> without an end"), "empty"),
        (said("<|channel|>analysis<|message|>not yet"), "empty"),
        (said("<think> without an end", "length"), "no_room"),
        (said(None, "length"), "no_room"),
        (said("half of", "MAX_TOKENS"), "length"),
        (said("half of", "error"), "broken"),
        (said("half of", "abort"), "broken"),
        (said("half of", "SAFETY"), "filtered"),
        (said([{"type": "refusal", "refusal": "no"}]), "empty"),
        (said([5, 5]), "malformed"),
        (said({"text": "5"}), "malformed"),
        ('{"choices": []}', "malformed"),
        ('{"choices": [{"message": null, "text": "5"}]}', "malformed"),
        ('{"error": {"message": "overloaded", "code": 502}}', "malformed"),
    ],
)
def test_forms_that_are_no_reply(text, reason):
    assert read_reply(text, False, "judge").reason == reason


def test_half_a_character_can_be_kept(tmp_path):
    with server(rule=lambda body: Completion("cut \ud83d")) as running:
        llm = client(running.url, tmp_path)
        assert [llm.complete(ask(top_logprobs=2)).requests for _ in range(2)] == [1, 0]


def test_hidden_reasoning_is_billed():
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}
    assert billed_tokens(json.dumps({"usage": usage}), {}) == Tokens(10, 105, reasoning=100)
    assert billed_tokens(json.dumps({"usage": {"prompt_tokens": 10, "total_tokens": 10}}), {}) == Tokens(
        10, 0
    )


def test_the_judge_does_not_see_what_the_target_thought(tmp_path):
    def rule(body):
        reply = default_completion(body)
        return reply if "response_format" in body else Completion(f"<think>secretly</think>{reply.text}")

    with server(keep_bodies=True, rule=rule) as running:
        assert judge(running.url, tmp_path).score(scenario(), [()])[0].reason is None
    assert "secretly" not in json.dumps(running.seen.bodies[1]["messages"])


def test_a_draft_of_a_verdict_in_thoughts_is_not_what_is_weighed():
    # The same verdict stands in the thoughts, with other probabilities: those of the answer count.
    def digits(p):
        return [TokenChoice(c, ((c, p), ("1", -p)) if c.isdigit() else ((c, 0.0),)) for c in VERDICT]

    thoughts = [TokenChoice(c, ((c, 0.0),)) for c in "<think>"]
    tokens = [*thoughts, *digits(-50.0), TokenChoice("</think>", (("</think>", 0.0),)), *digits(0.0)]
    text = read_reply(said(f"<think>{VERDICT}</think>{VERDICT}"), False, "judge").text
    score, _ = expected_score(read_verdict(text), text, tokens, 0.5)
    assert score.risk_sensitivity == pytest.approx((4 + 1) / 2)


def test_a_model_without_room_to_answer_is_told_before_workers_start(tmp_path):
    for place, keys in (("judge.target", {}), ("judge", {"mode": "direct"})):
        with server(rule=lambda body: Completion("", "length")) as running:
            with pytest.raises(
                UserError, match=rf"^{place}\.max_output_tokens: .* expected more, such as 4000"
            ):
                judge(running.url, tmp_path, **keys).preflight(tmp_path, scenario())
            assert running.seen.requests == 3


def test_a_ranking_between_fences_is_read_and_no_less_strictly():
    names = ["a", "b"]
    assert read_ranking('```json\n{"ranking": ["b", "a"]}\n```', names) == [1, 0]
    assert read_ranking('```json\n{"ranking": ["b", "b"]}\n```', names) is None
    for text in ("", "}{", "no object", '["b", "a"]'):
        assert read_ranking(text, names) is None


# Secrets and addresses.


@pytest.mark.parametrize(
    "keys",
    [
        {"base_url": f"me:{MARK}@example.org/v1"},
        {"base_url": f"https://example.org/v1?api-key={MARK}"},
        {"headers": {"X-Auth": MARK}},
        {"extra_body": {"api_key": MARK}},
    ],
)
def test_a_secret_is_refused_and_not_repeated(keys):
    with pytest.raises(UserError) as caught:
        _ = Endpoint("m", **keys).url
    assert MARK not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/v1", "http://[::1/v1", "http://h:x/v1", "http://h:0/v1"]
)
def test_an_address_that_is_none_is_one_line(url):
    with pytest.raises(UserError, match=r"judge\.base_url: found"):
        _ = Endpoint("m", url).url


def test_a_header_that_is_no_text_is_told():
    with pytest.raises(UserError, match=r"judge\.headers\.X-Id: found int, expected text"):
        Endpoint("m", headers={"X-Id": 5})


def test_parameters_about_tokens_are_no_secrets():
    assert Endpoint("m", extra_body={"max_completion_tokens": 9, "stop_token_ids": [2]}).extra_body


def test_a_key_with_a_line_end_works_and_one_that_is_none_is_told(monkeypatch):
    with server(key=MARK) as running:
        monkeypatch.setenv("MY_KEY", f"{MARK}\n")
        assert client(running.url, key_variable="MY_KEY").complete(ask()).reason is None
        for wrong in (f"{MARK}\u00fc", f"{MARK}\n{MARK}"):
            monkeypatch.setenv("MY_KEY", wrong)
            with pytest.raises(
                UserError, match="the key in MY_KEY holds characters that no key has"
            ) as caught:
                client(running.url, key_variable="MY_KEY").complete(ask())
            assert MARK not in str(caught.value)


def test_azure_without_a_version_is_told(monkeypatch):
    monkeypatch.delenv("OPENAI_API_VERSION", raising=False)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", MARK)
    with pytest.raises(UserError, match=r"judge\.api_version: Azure's is not given"):
        client("http://127.0.0.1:9", api="azure").complete(ask())


@pytest.mark.parametrize(
    ("amount", "text"), [(0.0, "$0.00"), (0.004, "$0.0040"), (0.1, "$0.10"), (1234.5, "$1,234.50")]
)
def test_little_is_not_nothing(amount, text):
    assert in_dollars(amount) == text
