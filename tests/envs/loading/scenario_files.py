"""Scenario files made by the tests of the loaders, and what comes of them."""

import json

import pytest

from envs.errors import UserError
from envs.loading import load_scenarios


def line(**changes):
    record = {
        "id": "a",
        "domain": "health",
        "query": "Shall I stop?",
        "profile": {"Age": "34", "Gender": "Male"},
    }
    record.update(changes)
    return {key: value for key, value in record.items() if value is not ...}


def jsonl(*records):
    rows = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    return b"\n".join(rows) + b"\n"


def penguin(**changes):
    record = {
        "Scenario": "Chronic Pain",
        "User_Profile": {"Scenario": "Chronic Pain", "Age": "34", "Gender": "Male"},
        "Queries": ["Shall I stop?", "Is it safe?"],
    }
    record.update(changes)
    return {key: value for key, value in record.items() if value is not ...}


def load(folder, data, **options):
    path = folder / "file.any"
    path.write_bytes(data)
    return load_scenarios(path, **options)


def failure(folder, data, **options):
    with pytest.raises(UserError) as caught:
        load(folder, data, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def outcome(folder, data):
    try:
        return load(folder, data), None
    except UserError as error:
        return None, error


def ids(found):
    return [s.id for s in found.scenarios]
