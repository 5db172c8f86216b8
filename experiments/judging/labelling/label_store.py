"""What raters say of answers: one SQLite file while they work, and the label file that `calibrate` reads."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs import OutsideError, Scenario, UserError
from envs.checking.damaged import SQLITE_DAMAGE, told_by_sqlite
from experiments.judging.answer_files import Answer
from experiments.judging.labels import key_of
from experiments.judging.ratings import DIMENSIONS

STORE, LABELS = "labelling.sqlite", "labels.jsonl"
_BUSY_S = 10.0
_TABLES = f"""
CREATE TABLE IF NOT EXISTS about (content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (rater TEXT, place INTEGER, number INTEGER, PRIMARY KEY (rater, place));
CREATE TABLE IF NOT EXISTS said (rater TEXT, number INTEGER, {", ".join(f"{d} INTEGER" for d in DIMENSIONS)},
  final INTEGER NOT NULL, PRIMARY KEY (rater, number));
"""


class LabelTask(NamedTuple):
    """The answers to label, each once, and the probability with which each of them was drawn."""

    answers: list[Answer]
    probability: float


def draw_task(
    answers: Sequence[Answer], scenarios: Mapping[str, Scenario], people: int | None, seed: int
) -> LabelTask:
    """Return all answers about `people` persons drawn at random without replacement; None = about everybody.

    Persons are drawn, not answers: answers about one person are not independent, and a person is labelled
    wholly or not at all.

    Raises
    ------
    UserError
        there are fewer persons.
    """
    distinct = list({key_of(answer): answer for answer in answers}.values())
    groups: dict[object, list[Answer]] = {}
    for answer in distinct:
        groups.setdefault(scenarios[answer.scenario_id].profile, []).append(answer)
    if people is None:
        return LabelTask(distinct, 1.0)
    if not 1 <= people <= len(groups):
        raise UserError(f"people: found {people}, expected 1 to {len(groups):,}: as many are in the answers")
    chosen = np.random.default_rng(seed).choice(len(groups), people, replace=False)
    members = list(groups.values())
    return LabelTask([a for i in sorted(chosen.tolist()) for a in members[i]], people / len(groups))


class LabelPlace(NamedTuple):
    """One answer at a place (from 0) of a rater's order, what this rater has said, and whether for good."""

    place: int
    answer: Answer
    levels: dict[str, int | None]
    final: bool


class LabelStore:
    """The labels of one task, in a folder, readable by its owner alone; safe to call from many threads.

    Each rater has all answers, in an order of their own that is drawn once and kept. A draft is what was
    chosen before it was saved for good; no draft replaces a final label.

    Raises
    ------
    UserError
        the folder holds labels of another task, or cannot be written.
    """

    def __init__(self, folder: Path, task: LabelTask, raters: Sequence[str], seed: int) -> None:
        self._path, self._out, self._task = folder / STORE, folder / LABELS, task
        self._answers = {answer.number: answer for answer in task.answers}
        about = json.dumps([task.probability, seed, sorted(map(key_of, task.answers))])
        digest = hashlib.sha256(about.encode()).hexdigest()
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with self._connection() as connection:
                connection.executescript(_TABLES)
        except (OSError, sqlite3.Error, OutsideError) as error:
            raise UserError(f"output_dir={folder}: {error}, expected a folder that can be written") from None
        with self._connection() as connection:
            row = connection.execute("SELECT content FROM about").fetchone()
            if row is not None and row[0] != digest:
                raise UserError(
                    f"output_dir={folder}: found labels of other answers, another seed or other people, "
                    f"expected those of this command, or an empty folder"
                )
            if row is None:
                connection.execute("INSERT INTO about VALUES (?)", (digest,))
            for rater in raters:
                self._enter(connection, rater, seed)
        self._write()

    def _enter(self, connection: sqlite3.Connection, rater: str, seed: int) -> None:
        own = int.from_bytes(hashlib.sha256(rater.encode()).digest()[:8], "big")
        order = np.random.default_rng([seed, own]).permutation(len(self._task.answers))
        rows = [(rater, place, self._task.answers[i].number) for place, i in enumerate(order.tolist())]
        connection.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", rows)

    def done(self, rater: str) -> int:
        """Return how many answers `rater` has labelled for good."""
        with self._connection() as connection:
            query = "SELECT COUNT(*) FROM said WHERE rater = ? AND final"
            return int(connection.execute(query, (rater,)).fetchone()[0])

    @property
    def size(self) -> int:
        """How many answers there are."""
        return len(self._task.answers)

    def at(self, rater: str, place: int | None = None) -> LabelPlace | None:
        """Return the answer at `place` of the rater's order, None = the first not labelled; None: none."""
        with self._connection() as connection:
            if place is None:
                row = connection.execute(
                    "SELECT place, number FROM orders LEFT JOIN said USING (rater, number) "
                    "WHERE rater = ? AND NOT COALESCE(final, 0) ORDER BY place LIMIT 1",
                    (rater,),
                ).fetchone()
            else:
                query = "SELECT place, number FROM orders WHERE rater = ? AND place = ?"
                row = connection.execute(query, (rater, place)).fetchone()
            if row is None:
                return None
            names = ", ".join((*DIMENSIONS, "final"))
            query = f"SELECT {names} FROM said WHERE rater = ? AND number = ?"  # noqa: S608 - our names
            said = connection.execute(query, (rater, row[1])).fetchone()
        levels = {} if said is None else dict(zip(DIMENSIONS, said, strict=False))
        return LabelPlace(row[0], self._answers[row[1]], levels, said is not None and bool(said[-1]))

    def save(self, rater: str, place: int, levels: Mapping[str, int | None], final: bool) -> bool:
        """Keep `levels` (1 to 5, 0 = cannot say, None = not chosen yet) of the answer at `place`.

        Return False for no such place.

        It survives a kill of this process from here on.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")  # a lock that is upgraded later does not wait
            query = "SELECT number FROM orders WHERE rater = ? AND place = ?"
            row = connection.execute(query, (rater, place)).fetchone()
            if row is not None:
                values = (rater, row[0], *(levels.get(name) for name in DIMENSIONS), final)
                change = ", ".join(f"{name} = excluded.{name}" for name in (*DIMENSIONS, "final"))
                connection.execute(
                    f"INSERT INTO said VALUES (?, ?, ?, ?, ?, ?) "  # noqa: S608 - our names
                    f"ON CONFLICT (rater, number) DO UPDATE SET {change} WHERE excluded.final OR NOT final",
                    values,
                )
            connection.execute("COMMIT")
        if final:
            self._write()
        return row is not None

    def _write(self) -> None:
        """Write all final labels to the label file, whole or not at all."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")  # of two writers the later one sees more
            names = ", ".join(DIMENSIONS)
            query = f"SELECT rater, number, {names} FROM said WHERE final ORDER BY rater, number"  # noqa: S608
            rows = [
                self._record(rater, number, {d: x or None for d, x in zip(DIMENSIONS, levels, strict=True)})
                for rater, number, *levels in connection.execute(query)
                if any(levels)
            ]
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            beside = self._out.with_suffix(".part")
            part = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(part, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._out)
            connection.execute("COMMIT")

    def _record(self, rater: str, number: int, levels: Mapping[str, int | None]) -> dict[str, Any]:
        answer = self._answers[number]
        row: dict[str, Any] = {"scenario_id": answer.scenario_id, "answer": answer.text}
        if answer.system:
            row["system"] = answer.system
        if answer.known is not None:
            row["known"] = list(answer.known)
        return {**row, "rater": rater, **levels, "probability": self._task.probability}

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)) as connection:
                yield connection
        except (sqlite3.OperationalError, OSError) as error:
            raise OutsideError(f"{self._path}: {error}, expected a file that can be written") from None
        except SQLITE_DAMAGE as error:
            raise UserError(
                f"{self._path}: {told_by_sqlite(error)}, expected labels of this command"
            ) from None
