"""Runs in an environment with Open WebUI: its own loader and caller of functions, over a given layer.

`open_webui_script.py FOLDER FILE LAYER`; cases come on standard input, one a line; prints what came of each.
"""

import asyncio
import json
import os
import sys

FOLDER, FILE, LAYER = sys.argv[1:]
os.environ |= {
    "DATA_DIR": FOLDER,
    "WEBUI_SECRET_KEY": "none",
    "OFFLINE_MODE": "true",
    "FROM_INIT_PY": "true",  # as its own command sets it
    "GLOBAL_LOG_LEVEL": "ERROR",
}
os.environ["DATABASE_URL"] = f"sqlite:///{FOLDER}/webui.db"

import socketio.exceptions  # noqa: E402
from open_webui import functions  # noqa: E402
from open_webui.utils.plugin import load_function_module_by_id  # noqa: E402


class Request:
    class State:
        bypass_system_prompt = False

    state = State()


def dialogs(answers, seen):
    """Stand for a browser: answer dialogs in turn."""
    left = iter(answers)

    async def call(event):
        seen.append(event["data"]["message"].splitlines()[-1])
        answer = next(left)
        if answer == "silent":
            await asyncio.sleep(60)
        if answer == "late":
            raise socketio.exceptions.TimeoutError
        return answer

    return call


async def one(pipe, case):
    seen = []

    async def module(request, pipe_id):
        return pipe

    async def call(metadata):
        return dialogs(case["dialogs"], seen)

    async def nothing(*_):
        return None

    functions.get_function_module_by_id = module
    functions.get_event_call, functions.get_event_emitter = call, nothing
    functions.get_system_oauth_token, functions.Models.get_model_by_id = nothing, nothing
    metadata = dict(case.get("metadata", {}))
    if "dialogs" in case:
        metadata |= {"session_id": "s", "chat_id": "c", "message_id": "m"}
    form = {
        "model": "raise",
        "messages": case["messages"],
        "stream": case.get("stream", True),
        "metadata": metadata,
    }
    found = await functions.generate_function_chat_completion(Request(), form, None)
    if isinstance(found, dict):
        return {"text": found["choices"][0]["message"]["content"], "dialogs": seen}
    chunks = "".join([part if isinstance(part, str) else part.decode() async for part in found.body_iterator])
    datas = [part.removeprefix("data: ") for part in chunks.split("\n\n") if part.strip()]
    found = [json.loads(data) for data in datas if data != "[DONE]"]
    pieces = [piece["choices"][0] for piece in found if "error" not in piece]
    text = "".join(piece["delta"].get("content") or "" for piece in pieces)
    ends = [datas[-1], pieces[-1]["finish_reason"]] if pieces else [datas[-1]]
    errors = [piece["error"]["detail"] for piece in found if "error" in piece]
    return {
        "text": text,
        "dialogs": seen,
        "ends": ends,
        "tools": "tool_calls" in chunks,
        "errors": errors,
    }


async def main():
    with open(FILE, encoding="utf-8") as file:
        pipe, kind, frontmatter, _ = await load_function_module_by_id("raise", content=file.read())
    pipe.valves = pipe.Valves(url=LAYER, model="m", dialog_s=1)
    found = [await one(pipe, json.loads(line)) for line in sys.stdin]
    print(json.dumps([kind, frontmatter, found]))


asyncio.run(main())
