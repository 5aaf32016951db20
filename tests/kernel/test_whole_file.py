"""Files that are there whole or not at all."""

import stat
from pathlib import Path

import pytest

from services.kernel.whole_file import filled, put, put_first


def test_the_first_one_counts(tmp_path: Path) -> None:
    """What is drawn once stays, however many draw; its owner alone reads it, and no draft is left beside it."""
    file = tmp_path / "new" / "key"
    put_first(file, b"first", private=True)
    put_first(file, b"second", private=True)
    assert file.read_bytes() == b"first"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_the_last_one_replaces(tmp_path: Path) -> None:
    """A file is replaced in one step; where that cannot be done, the old one stays and no draft is left."""
    file = tmp_path / "file"
    put(file, b"old")
    put(file, b"new", private=True)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        put(folder, b"new")
    assert sorted(tmp_path.iterdir()) == [file, folder]


def test_a_file_that_breaks_off_is_not_there(tmp_path: Path) -> None:
    """What is written piece by piece replaces the old file when it is whole; until then the old one stays."""
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def break_off() -> None:
        with filled(file) as opened:
            opened.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"old", [file])
    with filled(file) as opened:
        opened.write(b"new")
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"new", [file])
