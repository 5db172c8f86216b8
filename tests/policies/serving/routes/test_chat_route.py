"""The official client against the layer over the scripted upstream."""

import re

import openai
import pytest

from policies.serving.questions.gates import AlwaysGate
from tests.policies.serving.serving_cases import QUERY, REPLIES, layer


@pytest.fixture(scope="module")
def opened(agent):
    with layer(agent, AlwaysGate()) as (url, upstream):
        yield openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0), upstream


def said(client, messages, stream):
    given = {"model": "m", "messages": messages, "stream": stream}
    if not stream:
        return client.chat.completions.create(**given).choices[0].message.content
    chunks = list(client.chat.completions.create(**given))
    assert chunks[-1].choices[0].finish_reason == "stop"
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_a_whole_conversation(opened, agent, stream):
    client, upstream = opened
    before = upstream.seen.requests
    messages = [{"role": "user", "content": QUERY}]
    questions = {a.question: a.name for a in agent.plan_index.schema.attributes}
    asked = []
    for _ in range(10):
        text = said(client, messages, stream)
        messages.append({"role": "assistant", "content": text})
        if text.split("\n\n")[-1] not in questions:
            break
        assert upstream.seen.requests == before
        asked.append(questions[text.split("\n\n")[-1]])
        messages.append({"role": "user", "content": REPLIES[asked[-1]]})
    assert 1 <= len(asked) <= 4
    assert len(set(asked)) == len(asked)
    assert upstream.seen.requests == before + 1
    sent = upstream.seen.bodies[-1]["messages"]
    assert sent[0]["role"] == "system"
    known = re.search("<known>\n(.*)\n</known>", sent[0]["content"], re.S)[1]
    assert {line[2:].partition(":")[0] for line in known.split("\n")} >= set(asked)
    assert sent[1:] == messages[:-1]
