"""Reading scenario files: every published layout as it is, plain or compressed, with a split by person.

A file is read as a stream, its layout and compression are recognised from its content. Records that cannot
be used are listed beside the good ones; a file with no good record is one `UserError`.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from envs.errors import UserError
from envs.loading import layouts, streams
from envs.loading.keys_of_files import Keys, read_mapping
from envs.loading.records import BadRecord
from envs.loading.seen_ids import SeenIds
from envs.loading.stored_scenarios import StoredScenarios, narrowed
from envs.scenario import Scenario
from envs.schema import MAX_ASKABLE, Schema, penguin_schema

MAX_BAD = 1000
"""Bad records that are listed; the rest is counted."""
SPLITS = ("train", "test", "all")

_EXPECTED = "expected scenarios as JSON Lines, a JSON list, CSV or Parquet"
_PARTS = (
    ("**/posts.json", "**/posts.json.gz", "**/posts.json.zst"),
    ("**/*.parquet",),
    ("**/*.jsonl", "**/*.jsonl.gz", "**/*.jsonl.zst"),
)
"""Files of a folder that are read as one, the first kind it has: the published real half, a file a domain;
parts of a table."""
_BUNDLED = Path(__file__).parents[1] / "data" / "scenarios.jsonl"


@dataclass(frozen=True)
class ScenarioSet:
    """What a file holds.

    Attributes
    ----------
    scenarios : sequence of Scenario, in file order, of the wanted split, at most `limit`: a tuple, or
        `StoredScenarios`
    bad : tuple[BadRecord, ...], the first `MAX_BAD` of the whole file, whatever the split and limit
    source : str, the path as given, or `bundled`
    sha256 : str, hexadecimal digest of the file's decompressed bytes and of the schema
    n_bad : int, all bad records of the file
    layout : str, the layout that was recognised
    """

    scenarios: Sequence[Scenario]
    bad: tuple[BadRecord, ...]
    source: str
    sha256: str
    n_bad: int
    layout: str

    @property
    def n_unlisted(self) -> int:
        """Bad records that are counted and not in `bad`."""
        return self.n_bad - len(self.bad)


def load_scenarios(
    path: str | Path | None = None,
    schema: Schema | None = None,
    *,
    limit: int | None = None,
    split: str = "all",
    test_fraction: float = 0.2,
    split_seed: int = 0,
    mapping: str | Path | None = None,
    stored: bool = False,
) -> ScenarioSet:
    """Read a scenario file; without `path` the bundled scenarios.

    Parameters
    ----------
    path : a file; or the folder of PENGUIN's two parallel files, of its real half (DOMAIN/posts.json), of a
        saved `datasets.Dataset`, or of the Parquet files that a table came in
    schema : the attributes of the profiles; PENGUIN's ten by default. Of more than 64 the scenarios have the
        64 that most of the file's have a value of (`envs.scenario.within_one_plan`)
    limit : keep the first so many scenarios of the split
    split : `train`, `test` or `all`; equal profiles are always on the same side
    test_fraction : probability in [0, 1] that a profile is on the `test` side
    split_seed : another seed, another assignment
    mapping : YAML file, key of the scenario file -> field, attribute or null (ignored)
    stored : keep them outside memory (`StoredScenarios`)

    Raises
    ------
    UserError
        the file cannot be read, has no layout that is known, or holds no scenario that can be used; an
        argument is out of range. One line with file, place, field, what was found and expected.
    """
    if limit is not None and limit < 1:
        raise UserError(f"scenarios.limit: found {limit}, expected at least 1")
    if split not in SPLITS:
        raise UserError(f"scenarios.split: found {split!r}, expected one of {', '.join(SPLITS)}")
    if not 0.0 <= test_fraction <= 1.0:
        raise UserError(f"scenarios.test_fraction: found {test_fraction}, expected 0 to 1")
    reading = ScenarioStream(path, schema, mapping)

    def wanted(scenario: Scenario) -> bool:
        share = person_share(scenario.profile, split_seed) if split != "all" else 0.0
        return split == "all" or (share < test_fraction) is (split == "test")

    return _collected(reading, wanted, split, limit, stored)


def _collected(
    reading: ScenarioStream, wanted: Callable[[Scenario], bool], split: str, limit: int | None, stored: bool
) -> ScenarioSet:
    whole = len(reading.schema) > MAX_ASKABLE  # which attributes are kept depends on all of the file
    good: list[Scenario] | StoredScenarios = StoredScenarios(reading.schema) if stored else []
    bad: list[BadRecord] = []
    n_good = n_bad = 0
    for record in reading:
        if isinstance(record, BadRecord):
            n_bad += 1
            if len(bad) < MAX_BAD:
                bad.append(record)
            continue
        n_good += 1
        if whole or ((limit is None or len(good) < limit) and wanted(record)):
            good.append(record)
    if not n_good:
        raise _nothing(reading, bad, n_bad)
    kept = narrowed(good, wanted, limit) if whole else good
    if not kept:
        raise UserError(
            f"{reading.source}: split {split} holds none of {n_good} scenarios, expected at least one: "
            "another scenarios.test_fraction or scenarios.split_seed parts it otherwise"
        )
    found = kept if isinstance(kept, StoredScenarios) else tuple(kept)
    return ScenarioSet(found, tuple(bad), reading.source, reading.sha256, n_bad, reading.layout)


@functools.cache
def load_bundled() -> tuple[Scenario, ...]:
    """Return the 140 bundled scenarios, one for each situation, in the order of the domains."""
    return tuple(load_scenarios().scenarios)


def person_share(profile: Mapping[str, str], seed: int = 0) -> float:
    """Return a number in [0, 1) that follows from a profile's content alone, evenly spread over profiles.

    No other profile and no order matters. Those below `test_fraction` are the test side of a split.
    """
    items = sorted((name, " ".join(value.split())) for name, value in profile.items())
    digest = hashlib.sha256(json.dumps([seed, items]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def _nothing(reading: ScenarioStream, bad: list[BadRecord], n_bad: int) -> UserError:
    if not bad:
        return UserError(f"{reading.source}: found no record, {_EXPECTED}")
    more = f" (read as {reading.layout}; no record can be used{f'; {n_bad} were bad' if n_bad > 1 else ''})"
    return UserError(f"{reading.source}: {bad[0].place}: {bad[0].reason}{more}")


class ScenarioStream:
    """The scenarios and the bad records of a file, in file order, one at a time: memory stays flat.

    Of a repeated id the first good record counts. `layout` is known from the first record on, `sha256` when
    all are read. Arguments and errors are those of `load_scenarios`.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        schema: Schema | None = None,
        mapping: str | Path | None = None,
    ) -> None:
        self.schema = penguin_schema() if schema is None else schema
        self.source = "bundled" if path is None else str(path)
        self.layout = layouts.OWN
        self._path = _BUNDLED if path is None else Path(path)
        self._keys = Keys(self.schema, None if mapping is None else read_mapping(mapping))
        self._digest = hashlib.sha256(_of_schema(self.schema, self._keys.mapping))

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of what was read and of the schema."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Scenario | BadRecord]:
        with ExitStack() as files, _plain_errors(self.source):
            seen = SeenIds()
            for place, record in self._placed(files):
                if isinstance(record, Scenario):
                    word, number, *_ = place.split()
                    before = seen.add(record.id, int(number))
                    if before is not None:
                        reason = f"field id: the same as at {word} {before}, expected distinct ids"
                        record = BadRecord(place, record.id, reason)
                yield record

    def _placed(self, files: ExitStack) -> Iterator[tuple[str, Scenario | BadRecord]]:
        path = self._path
        if path.is_dir():
            if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
                rows = streams.saved_dataset(path, self._digest, self.source)
                yield from self._told(rows, layouts.FLAT, None)
                return
            kinds = (sorted(own for name in names for own in path.glob(name)) for names in _PARTS)
            parts = next((found for found in kinds if found), [])
            path = _beside(path, layouts.BESIDE[layouts.QUERIES]) or path
            if parts and path.is_dir():
                yield from self._parts(parts, files)
                return
        yield from self._file(path, files)

    def _file(
        self,
        path: Path,
        files: ExitStack,
        seen_as: Callable[[Iterator[streams.Raw]], Iterator[streams.Raw]] = iter,
    ) -> Iterator[tuple[str, Scenario | BadRecord]]:
        found = self._open(path, files)
        default = layouts.PENGUIN if found.form == "JSON list" else layouts.OWN
        if found.form in ("CSV", "Parquet"):
            default = layouts.FLAT
        yield from self._told(seen_as(found.rows), default, path.resolve().parent, files)

    def _parts(self, parts: Sequence[Path], files: ExitStack) -> Iterator[tuple[str, Scenario | BadRecord]]:
        """Read the files of a folder as one: records are numbered on, places name the file."""
        numbers = count()
        for part in parts:
            name = part.relative_to(self._path)

            def placed(rows: Iterator[streams.Raw], name: Path = name) -> Iterator[streams.Raw]:
                for place, _, value in rows:
                    place = f"{place} of {name}"
                    if isinstance(value, BadRecord):
                        value = dataclasses.replace(value, place=place)
                    yield streams.Raw(place, next(numbers), value)

            yield from self._file(part, files, placed)

    def _told(
        self, rows: Iterator[streams.Raw], default: str, folder: Path | None, files: ExitStack | None = None
    ) -> Iterator[tuple[str, Scenario | BadRecord]]:
        def open_beside(name: str) -> Iterator[streams.Raw]:
            other = None if folder is None else _beside(folder, name)
            if other is None or files is None:
                raise UserError(f"{self.source}: read as {self.layout}, expected {name} in the same folder")
            return self._open(other, files).rows

        def told(layout: str) -> None:
            self.layout = layout

        name = None if folder is None else folder.name
        source = layouts.FileSource(self.source, self._keys, default, name, open_beside)
        yield from layouts.scenarios(rows, source, told)

    def _open(self, path: Path, files: ExitStack) -> streams.Records:
        raw = files.enter_context(path.open("rb"))
        return streams.raw_records(raw, self._digest, self.source)


def _beside(folder: Path, name: str) -> Path | None:
    """Return the file `name` of `folder`, compressed or not."""
    return next((p for end in ("", ".gz", ".zst") if (p := folder / f"{name}{end}").is_file()), None)


def _of_schema(schema: Schema, mapping: Mapping[str, str | None]) -> bytes:
    rows = [dataclasses.asdict(a) for a in schema.attributes]
    for row in rows:
        for key in ("reworded", "reads", "past"):  # how people are asked and read in words changes no plan
            del row[key]
    return json.dumps(
        [rows, schema.domains, sorted(schema.missing), *([mapping] if mapping else [])]
    ).encode()


@contextmanager
def _plain_errors(source: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one `UserError`."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{source}: no such file, {_EXPECTED}") from None
    except IsADirectoryError:
        raise UserError(f"{source}: found a directory, {_EXPECTED}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{source}: the gzip data is damaged or ends early, {_EXPECTED}") from None
    except OSError as error:
        if error.errno is None:  # of the decompressor, not of the disk
            raise UserError(f"{source}: the zst data is damaged or ends early, {_EXPECTED}") from None
        raise UserError(f"{source}: cannot be read ({error.strerror}), {_EXPECTED}") from None
