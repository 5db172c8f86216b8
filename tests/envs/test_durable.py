"""Files that outlive their process."""

import pytest

from envs.durable import replacing


def _half_written(path):
    with replacing(path) as file:
        file.write(b"half of the")
        raise RuntimeError


def test_a_file_is_the_old_one_until_all_of_the_new_is_written(tmp_path):
    path = tmp_path / "table"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        _half_written(path)
    assert path.read_bytes() == b"old"
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["table"]
