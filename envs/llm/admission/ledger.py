"""What the requests of a run have taken, and may still take, against its limits.

A request leases its worst case before it is sent and settles what it took afterwards, so that at any moment
what is settled and leased together is no less than the bill, and no more than a limit. What timed out or
was killed is never settled, and stays at its worst case: the endpoint may have billed it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from envs.durable import append_line, replacing
from envs.errors import UserError
from envs.llm.costs import Bill, in_dollars
from envs.llm.endpoint import Limits

FILE_NAME = "ledger.jsonl"
"""The judge's, beside which others of the run have theirs (`ledger_name`)."""


def ledger_name(place: str) -> str:
    """Return the file in a run's folder for limits of the configuration at `place`: two may share none."""
    return FILE_NAME if place == "judge" else f"ledger_{place}.jsonl"


_FIELDS = {"max_requests": "requests", "max_tokens": "tokens", "max_cost": "dollars"}


class Ledger:
    """Leases and settlements of one run; used by one thread.

    `settled`: what is known to have been taken, and the worst case of what is known no better. `keep` writes
    all to a file, which the sessions of a run share: what a killed one had leased stays taken.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.settled = Bill()
        self._leases: dict[int, Bill] = {}
        self._numbers = 0
        self._file: int | None = None
        self._path: Path | None = None
        self._limited = any(getattr(limits, name) is not None for name in _FIELDS)

    @property
    def taken(self) -> Bill:
        """What is settled, and the worst case of what is under way."""
        found = self.settled
        for lease in self._leases.values():
            found = found.plus(lease)
        return found

    @property
    def under_way(self) -> int:
        """Leases that are not settled."""
        return len(self._leases)

    def passed(self, worst: Bill) -> str | None:
        """Return the name of the limit that `worst` on top of all would pass, None = it fits."""
        if not self._limited:
            return None
        after = self.taken.plus(worst)
        for name, field in _FIELDS.items():
            limit = getattr(self.limits, name)
            if limit is not None and getattr(after, field) > limit:
                return name
        return None

    def refusal(self, name: str, worst: Bill) -> str:
        """Return one line on the limit `name`, which leaves no room for `worst`."""
        limits = self.limits
        limit = getattr(limits, name)
        most = getattr(worst, _FIELDS[name])
        more = "" if name == "max_requests" else f", and the next request may take {_told(name, most)}"
        return (
            f"{limits.place}.{name}={limit}: reached after {self.settled}{more}; what was paid for is saved, "
            f"a higher limit and resume=true go on from there"
        )

    def lease(self, worst: Bill) -> int:
        """Take the worst case of a request about to be sent; return the number of the lease."""
        self._numbers += 1
        self._write({"lease": self._numbers, "worst": worst})  # what cannot be written down is not sent
        self._leases[self._numbers] = worst
        return self._numbers

    def settle(self, number: int, took: Bill | None) -> None:
        """Settle a lease; None = what it took is not known, so that its worst case stays."""
        worst = self._leases.pop(number)
        self.settled = self.settled.plus(worst if took is None else took)
        if took is not None:
            self._write({"settled": number, "took": took})

    def keep(self, path: Path) -> None:
        """Go on from the file `path`, or begin it.

        Raises
        ------
        UserError
            the file cannot be read or written, or is no ledger.
        """
        if path == self._path:
            return
        self.close()
        try:
            before = _taken(path)
            self.settled = self.settled.plus(before)
            rows: list[dict[str, Any]] = [{"before": self.settled}]
            rows += [{"lease": number, "worst": worst} for number, worst in self._leases.items()]
            with replacing(path) as draft:
                draft.write("".join(_line(row) + "\n" for row in rows).encode())
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}, expected a file that can be written") from None
        self._path = path

    def close(self) -> None:
        """Write no more."""
        file, self._file, self._path = self._file, None, None
        if file is not None:
            os.close(file)

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._file is not None and self._path is not None:
            append_line(self._file, self._path, _line(row))


def _told(name: str, most: float) -> str:
    return in_dollars(most) if name == "max_cost" else f"{most:,.0f} tokens"


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"))


def _taken(path: Path) -> Bill:
    """Return what the ledger in the file `path` comes to: what is settled, all else at its worst case."""
    found, leases = Bill(), dict[int, Bill]()
    for number, row in _rows(path):
        try:
            if "before" in row:
                found = found.plus(_bill(row["before"]))
            elif "lease" in row:
                leases[row["lease"]] = _bill(row["worst"])
            else:
                del leases[row["settled"]]
                found = found.plus(_bill(row["took"]))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: line {number} is no entry, expected a ledger of a run") from None
    for lease in leases.values():
        found = found.plus(lease)
    return found


def _bill(values: Any) -> Bill:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise TypeError
    return Bill(*values)


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, entry); a line torn by a kill is the last, and none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise UserError(f"{path}: line {number} is no JSON object, expected a ledger of a run")
            yield number, row
