"""Judges over the scripted server, for tests."""

from pathlib import Path

from envs import Scenario, penguin_schema
from envs.judges.llm import LLMJudge
from envs.llm import ChatRequest, Client, Endpoint
from envs.llm.scripted.scripted_server import Script, ScriptedServer

NAMES = penguin_schema().names
MARK = "sk-test-0123456789abcdef"


def scenario(number=0, **values):
    profile = {name: f"value {number} of {name}" for name in NAMES} | values
    return Scenario(f"s{number}", "health", f"Question {number}?", profile)


def server(keep_bodies=False, **script):
    return ScriptedServer(Script(**script), keep_bodies=keep_bodies)


def client(url, folder=None, **keys):
    endpoint = {name: keys.pop(name) for name in list(keys) if name in Endpoint.__dataclass_fields__}
    cache = None if folder is None else str(Path(folder) / "cache.sqlite")
    return Client(
        Endpoint(**{"model": "m", "base_url": url, "timeout_s": 5.0, **endpoint}), cache_path=cache, **keys
    )


def judge(url, folder, **keys):
    return LLMJudge(
        keys.pop("model", "m"), url, cache=str(Path(folder) / "cache.sqlite"), **{"timeout_s": 5.0, **keys}
    )


def ask(text="hello", **keys):
    return ChatRequest((("user", text),), **{"temperature": 0.0, **keys})
