"""Files of answers that somebody wrote, rated or to be rated: JSON Lines, a JSON list, or Parquet."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from envs import Scenario, UserError

_HOLDS = "expected JSON Lines or Parquet with scenario_id and answer"
_MAX_NAME = 200


@dataclass(frozen=True)
class Answer:
    """One answer. No `repr` tells what it says, for it may repeat a profile.

    Attributes
    ----------
    place : of the record, such as `line 7` or `row 3`
    number : of the record, from 0
    scenario_id : whose query it answers
    text : the answer
    system : who wrote it, "" = not said
    known : names of the attributes that its writer knew, None = not said
    fields : the record's other fields
    """

    place: str
    number: int
    scenario_id: str
    text: str = field(repr=False)
    system: str = ""
    known: tuple[str, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def sha256(self) -> str:
        """What tables know the answer by."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def words(self) -> int:
        """The length of the answer."""
        return len(self.text.split())


class AnswerSet(NamedTuple):
    """What a file holds. `bad`: (place, scenario id or None, reason) of each record that is no answer."""

    answers: list[Answer]
    bad: list[tuple[str, str | None, str]]
    sha256: str


def read_answers(path: str | None, key: str, scenarios: Sequence[Scenario]) -> AnswerSet:
    """Return the answers in the file `path`, which the configuration key `key` names.

    A record that cannot be used, or that is about a scenario that is not among `scenarios`, is listed.

    Raises
    ------
    UserError
        no such file, another kind of file, or none that holds an answer.
    """
    if path is None:
        raise UserError(f"{key}: no file is given, {_HOLDS}")
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"{key}={path}: there is no such file, {_HOLDS}")
    data = file.read_bytes()
    known = {scenario.id: scenario for scenario in scenarios}
    answers, bad = list[Answer](), list[tuple[str, str | None, str]]()
    for number, (place, record) in enumerate(_records(data, f"{key}={path}")):
        found = _answer(number, place, record, known)
        if isinstance(found, Answer):
            answers.append(found)
        else:
            bad.append(found)
    if not answers:
        first = f"; {bad[0][0]}: {bad[0][2]}" if bad else ""
        raise UserError(f"{key}={path}: found no answer that can be used, {_HOLDS}{first}")
    return AnswerSet(answers, bad, hashlib.sha256(data).hexdigest())


def _records(data: bytes, place: str) -> list[tuple[str, Any]]:
    """Return (place, record) of each record; what is no JSON is None."""
    if data[:4] == b"PAR1":
        try:
            rows = pq.read_table(pa.BufferReader(data)).to_pylist()
        except (pa.ArrowException, UnicodeDecodeError):
            raise UserError(f"{place}: cannot be read as Parquet, {_HOLDS}") from None
        return [(f"row {i}", row) for i, row in enumerate(rows)]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{place}: is not UTF-8 text, {_HOLDS}") from None
    if text.lstrip().startswith("["):
        rows = _json(text)
        if not isinstance(rows, list):
            raise UserError(f"{place}: is not a whole JSON list, {_HOLDS}")
        return [(f"index {i}", row) for i, row in enumerate(rows)]
    lines = enumerate(text.split("\n"), 1)
    return [(f"line {i}", _json(line)) for i, line in lines if line.strip()]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _answer(
    number: int, place: str, record: Any, scenarios: Mapping[str, Scenario]
) -> Answer | tuple[str, str | None, str]:
    if not isinstance(record, dict):
        return place, None, "found no JSON object, expected one with scenario_id and answer"
    rest = dict(record)
    scenario_id, text = rest.pop("scenario_id", None), rest.pop("answer", None)
    system, known = rest.pop("system", None), rest.pop("known", None)
    if not isinstance(scenario_id, str) or scenario_id not in scenarios:
        told = scenario_id if isinstance(scenario_id, str) and len(scenario_id) <= _MAX_NAME else None
        return place, told, "field scenario_id: expected the id of a scenario of this run"
    if not isinstance(text, str):
        return place, scenario_id, f"field answer: found {_kind(text)}, expected text"
    if not (system is None or (isinstance(system, str) and len(system) <= _MAX_NAME)):
        return place, scenario_id, f"field system: found {_kind(system)}, expected a short name, or nothing"
    names = scenarios[scenario_id].schema.whole.names
    if known is not None and not (isinstance(known, list) and all(name in names for name in known)):
        return place, scenario_id, "field known: expected a list of names of attributes, or nothing"
    # A file in UTF-8 can still spell half a character in JSON, which no request can hold.
    text = text.encode("utf-8", "replace").decode()
    return Answer(
        place, number, scenario_id, text, system or "", None if known is None else tuple(known), rest
    )


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def level(value: Any) -> float:
    """Return a level 1 to 5 of a record, NaN where it is none."""
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value <= 5
    return float(value) if fits else math.nan
