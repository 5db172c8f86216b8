"""Golden rows: what the commands and the agent gave when these files were written, `rows/NAME.json` each.

They say that a change has changed nothing, not that the rows are right: other tests do. Figures are equal to
the last bit. After a change that is meant to change them, `python -m pytest tests/golden --renew` writes
them anew, and the diff shows a line for each row that differs.
"""

import json
import math

import pytest

from tests.experiments.run_cases import run
from tests.golden.golden_cases import CASES, HERE, SLOW, TYPED, Runs

ROWS = HERE / "rows"


def as_stored(value):
    """JSON's types; NaN as text, so that equal means equal. Floats come back from JSON as they were."""
    if isinstance(value, dict):
        return {key: as_stored(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_stored(inner) for inner in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def kept(name):
    return json.loads((ROWS / f"{name}.json").read_text(encoding="utf-8"))


def write(name, rows):
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    (ROWS / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def differences(golden, found):
    """A line for each figure that is not what it was, and one for rows that came or went."""
    lines = [
        f"row {number}: {key}: was {was[key]!r}, is {now.get(key)!r}"
        for number, (was, now) in enumerate(zip(golden, found, strict=False))
        for key in was
        if key not in now or now[key] != was[key]
    ]
    return lines + ([] if len(golden) == len(found) else [f"rows: were {len(golden)}, are {len(found)}"])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_rows_are_what_they_were(name, runs, renew):
    found = as_stored(CASES[name](runs))
    assert found
    if renew:
        write(name, found)
    assert differences(kept(name), found) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPED)
def test_the_command_line_gives_the_same_rows(name, tmp_path):
    assert differences(kept(name), as_stored(CASES[name](Runs(tmp_path, run)))) == []


def test_every_file_has_a_case():
    assert {path.stem for path in ROWS.iterdir()} == set(CASES)


def test_the_last_bit_a_missing_key_and_a_missing_row_are_seen():
    golden = [{"score": 3.3, "path": ["Age"]}, {"score": "nan"}]
    assert differences(golden, [{"score": 3.3, "path": ["Age"], "new": 1}, {"score": "nan"}]) == []
    assert (
        len(differences(golden, [{"score": math.nextafter(3.3, 4), "path": ["Age"]}, {"score": "nan"}])) == 1
    )
    assert len(differences(golden, [{"score": 3.3}, {"score": "nan"}])) == 1
    assert len(differences(golden, golden[:1])) == 1
