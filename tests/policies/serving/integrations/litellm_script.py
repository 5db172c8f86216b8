"""Runs in an environment with LiteLLM: the real proxy over a given upstream, spoken to by the openai client.

`litellm_script.py FOLDER LAYER UPSTREAM`; prints what the client saw.
"""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import openai

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{upstream}", api_key: none}}
guardrails:
  - guardrail_name: raise-planner
    litellm_params:
      guardrail: litellm_guardrail.AskFirst
      mode: pre_call
      default_on: true
      api_base: "{layer}"
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def said(client, messages, streams, **more):
    """Return (text, finish_reason) or the status of an error."""
    try:
        found = client.chat.completions.create(model="m", messages=messages, stream=streams, **more)
        if not streams:
            return [found.choices[0].message.content, found.choices[0].finish_reason]
        text, reason = "", None
        for chunk in found:
            for choice in chunk.choices:
                text, reason = text + (choice.delta.content or ""), choice.finish_reason or reason
        return [text, reason]
    except openai.APIStatusError as error:
        return error.status_code


def twice(folder, layer, messages):
    """Return the messages after the hook was called for one request, and once more: some versions do."""
    sys.path.insert(0, folder)
    from litellm_guardrail import AskFirst

    guard = AskFirst(layer, guardrail_name="twice", event_hook="pre_call", default_on=True)
    data, after = {"model": "m", "messages": messages}, []

    async def call():
        for _ in range(2):
            await guard.async_pre_call_hook(None, None, data, "acompletion")
            after.append(data["messages"])

    asyncio.run(call())
    return after


def main(folder, layer, upstream):
    cases = [json.loads(line) for line in sys.stdin]
    if "twice" in cases[0]:
        print(json.dumps(twice(folder, layer, cases[0]["twice"])))
        return
    port = free_port()
    config = Path(folder, "config.yaml")
    config.write_text(CONFIG.format(upstream=upstream, layer=layer), encoding="utf-8")
    program = Path(sys.executable).parent / "litellm"
    command = [sys.executable, program, "--config", config, "--port", str(port), "--host", "127.0.0.1"]
    key = f"sk-{secrets.token_hex(16)}"  # the proxy starts with none but its own
    variables = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    with open(Path(folder, "log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=variables)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(480):
            assert process.poll() is None, Path(folder, "log").read_text(encoding="utf-8")
            try:
                if httpx.get(f"{url}/health/liveliness").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)
        seen = [said(client, case.pop("messages"), case.pop("stream", False), **case) for case in cases]
        print(json.dumps(seen))
    finally:
        process.terminate()
        process.wait(30)


main(*sys.argv[1:])
