"""Whole conversations over the service, as Markdown: `python -m experiments.serve_conversations > FILE`.

By the official client and by curl, streaming and not, over the scripted upstream (SIMULATED) and, with
`--local`, the small model of `upstream=local`; the person is SIMULATED. What is printed is what was sent and
came, and can be pasted.
"""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import openai

from envs import UserError, penguin_schema
from experiments.console.arguments import mistakes_in_one_line, parser
from experiments.talk.running_service import running_service, scripted_upstream

QUERY = "My manager took my shifts away and the rent is due. Should I quit and borrow from a payday lender?"
REPLIES = {
    "Age": "34",
    "Gender": "I am a woman",
    "Marital Status": "married",
    "Profession": "I am a nurse",
    "Economic Status": "money is tight, I have debts",
    "Health Status": "I am healthy",
    "Education Level": "a bachelor's degree",
    "Mental Health Status": "I have been anxious",
    "Past Self-Harm History": "never",
    "Emotional State": "I am calm",
}
SHOWN_URL = "http://127.0.0.1:8000/v1"
"""Where a reader's own service is; the one that is spoken to has another port."""


def converse_by_client(base_url: str, query: str, reply_to: dict[str, str], stream: bool) -> Iterator[str]:
    """Yield what each side says, the person first, until the model has answered."""
    client = openai.OpenAI(base_url=base_url, api_key="none", timeout=600)
    model = next(iter(client.models.list())).id
    messages: list[Any] = [{"role": "user", "content": query}]
    while True:
        yield messages[-1]["content"]
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=messages, stream=stream, max_tokens=80
        )
        found: Any = raw.parse()
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in found if chunk.choices)
        else:
            text = found.choices[0].message.content
        yield f"[{raw.headers['x-raise-kind']}] {text}"
        if raw.headers["x-raise-kind"] != "ask":
            return
        messages.append({"role": "assistant", "content": text})
        messages.append({"role": "user", "content": reply_to[raw.headers["x-raise-attribute"]]})


def converse_by_curl(base_url: str, model: str, stream: bool) -> Iterator[tuple[str, str]]:
    """Yield (command, what came) of each turn."""
    messages: list[Any] = [{"role": "user", "content": QUERY}]
    while True:
        body = {"model": model, "messages": messages, "max_tokens": 80, "raise": {}}
        sent = json.dumps(body | ({"stream": True} if stream else {}), indent=1)
        command = ["curl", "-sN", f"{base_url}/chat/completions", "-H", "content-type: application/json"]
        done = subprocess.run([*command, "-d", sent], capture_output=True, text=True, check=True)  # noqa: S603
        shown = sent.replace("'", "'\\''")
        yield (
            f"curl -sN {SHOWN_URL}/chat/completions -H 'content-type: application/json' -d '{shown}'",
            done.stdout,
        )
        text, told = read_answer(done.stdout, stream)
        if told["kind"] != "ask":
            return
        messages.append({"role": "assistant", "content": text})
        messages.append({"role": "user", "content": REPLIES[told["attribute"]]})


def read_answer(answer: str, stream: bool) -> tuple[str, dict[str, Any]]:
    """Return (text, the field `raise`) of a chat completion as it came."""
    if not stream:
        found = json.loads(answer)
        return found["choices"][0]["message"]["content"], found["raise"]
    lines = [line.removeprefix("data: ") for line in answer.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    texts = [c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices")]
    return "".join(texts), chunks[0]["raise"]


@contextmanager
def _services(local: bool) -> Iterator[tuple[str, str, str]]:
    """Yield (base URL, command that starts it, what answers)."""
    if local:
        with running_service("upstream=local", "gate=always") as (base, _):
            yield base, "raise-planner serve upstream=local", "a real model of 135 million parameters"
        return
    with scripted_upstream() as url, running_service(f"upstream.base_url={url}") as (base, _):
        command = "python -m envs.llm.scripted.scripted_server   # prints its URL\n"
        command += "raise-planner serve upstream.base_url=URL"
        yield base, command, "a scripted server: its answers are SIMULATED"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print; exit 2 where curl is missing, 4 where the service does not start."""
    chosen = parser("serve_conversations").parse_args(arguments)
    with mistakes_in_one_line():
        if shutil.which("curl") is None:
            raise UserError("serve-conversations: curl is not installed, expected it on the path")
        print(_head())
        for local in (False, True) if chosen.local else (False,):
            with _services(local) as (base, command, who):
                print(f"\n## Upstream: {who}\n\n{_fenced(command, 'text')}")
                for stream in (False, True):
                    _print_client(base, stream)
                model = next(iter(openai.OpenAI(base_url=base, api_key="none").models.list())).id
                for stream in (False, True):
                    _print_curl(base, model, stream)


def _head() -> str:
    assert set(REPLIES) == set(penguin_schema().names)  # noqa: S101 - of this file
    source = _fenced(inspect.getsource(converse_by_client).rstrip(), "text")
    return (
        "# Whole conversations over the service\n\n"
        f"Printed by `raise-planner serve-conversations --local` on {time.strftime('%Y-%m-%d')}. "
        "The person's words are SIMULATED.\n"
        "The official client says them by the function below, called with\n"
        f'`"{SHOWN_URL}"`, the query, a reply to each attribute, and whether to stream.\n'
        "Before what the service says stands the kind of turn, its header `x-raise-kind`.\n"
        "The curl commands are what was sent, but for the port.\n\n" + source
    )


def _print_client(base: str, stream: bool) -> None:
    print(f"\n### The official client, {'streaming' if stream else 'not streaming'}\n")
    for i, text in enumerate(converse_by_client(base, QUERY, REPLIES, stream)):
        quoted = "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())
        print(f"{'**service**' if i % 2 else '**person**'}\n\n{quoted}\n")


def _print_curl(base: str, model: str, stream: bool) -> None:
    print(f"\n### curl, {'streaming' if stream else 'not streaming'}\n")
    for command, answer in converse_by_curl(base, model, stream):
        print(f"{_fenced(command, 'text')}\n\n{_fenced(answer.strip(), 'text')}\n")


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```"


if __name__ == "__main__":
    main()
