"""The file of what could not be planned, read back."""

from experiments.runs.failures import FILE_NAME, read_failures
from search.planning import Failure


def test_damaged_lines_are_left_out(tmp_path):
    whole = b'{"scenario_id": "a", "stage": "judge", "reason": "r"}\n'
    (tmp_path / FILE_NAME).write_bytes(b"[" * 200_000 + b"\n\xff\xfe\n" + whole + b'{"scenario_id": "b')
    assert read_failures(tmp_path) == [Failure("a", "judge", "r")]
