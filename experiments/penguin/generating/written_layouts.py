"""Generated scenarios in this project's layout, in the published ones and as a flat table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from envs.loading.layouts import BESIDE, PER_PROFILE, PROFILES, QUERIES
from experiments.penguin.generating.generation import Generated

OWN, PENGUIN, FLAT = "scenarios.jsonl", "penguin.json", "flat.parquet"


def write_layouts(folder: Path, made: Generated) -> list[str]:
    """Write all layouts into `folder` and return the names of the files.

    The two parallel files have ten queries a profile, and are left out where somebody has more or fewer.
    """
    scenarios = made.scenarios()
    lines = (
        {"id": s.id, "domain": s.domain, "query": s.query, "profile": dict(s.profile)}
        | {"metadata": dict(s.metadata)}
        for s in scenarios
    )
    with (folder / OWN).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    rows = list(zip(made.people, made.queries, strict=True))
    records = [
        {
            "Scenario": person.situation,
            "User_Profile": {"Scenario": person.situation, **person.profile},
            "Queries": list(queries),
        }
        for person, queries in rows
    ]
    _list(folder / PENGUIN, records)
    names = [OWN, PENGUIN, FLAT]
    if all(len(queries) == PER_PROFILE for queries in made.queries):
        _list(folder / BESIDE[QUERIES], [record["User_Profile"] for record in records])
        _list(folder / BESIDE[PROFILES], [{"query_id": q} for _, queries in rows for q in queries])
        names += [BESIDE[QUERIES], BESIDE[PROFILES]]
    flat = [
        {"query": query, "scenario": person.situation, "source": "generated"}
        | {name.lower().replace(" ", "_").replace("-", "_"): value for name, value in person.profile.items()}
        for person, queries in rows
        for query in queries
    ]
    _parquet(folder / FLAT, flat)
    return names


def _list(path: Path, records: Iterable[Any]) -> None:
    text = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    path.write_text(f"[\n{text}\n]\n", encoding="utf-8")


def _parquet(path: Path, rows: list[dict[str, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
