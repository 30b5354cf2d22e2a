"""Files go to the disk while they are written, and what goes wrong there is said."""

import os

import pytest

from tamis.data import files


def write(path, pieces):
    with path.open("wb", buffering=0) as file, files.laid_down(path) as wrote:
        for piece in pieces:
            file.write(piece)
            wrote(len(piece))


def test_some_is_on_the_disk_before_the_end(tmp_path, monkeypatch):
    laid = []
    monkeypatch.setattr(os, "fsync", lambda file: laid.append(os.fstat(file).st_size))
    monkeypatch.setattr(files, "_LAID", 10)
    write(tmp_path / "file", [b"four"] * 8)
    assert len(laid) == 2  # after 12 bytes and 24, whatever was there by then
    assert laid[0] >= 12
    assert laid[1] >= 24


def test_a_disk_that_fails_is_not_passed_over(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(files, "_LAID", 1)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "file", [b"one", b"two"])
