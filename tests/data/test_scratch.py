import os

import numpy as np
import pytest

from tamis.data import scratch as module
from tamis.data.files import home
from tamis.data.scratch import roomy, scratch
from tamis.errors import DataError


@pytest.mark.parametrize("shape", [(3, 4), (0, 5), (0,), (7,)])
def test_an_array_of_zeros_that_can_be_written(shape):
    with scratch(shape, np.uint32) as array:
        assert (array.shape, array.dtype) == (shape, np.uint32)
        assert not array.any()
        array[...] = 7
        assert (array == 7).all()


def test_nothing_is_left_behind():
    with scratch((100,), np.int64) as array:
        array[:] = 1
    assert list((home() / "scratch").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room is not asked for here")
def test_a_disk_without_room_is_refused_before_anything_is_written():
    refused = pytest.raises(DataError, match=r"no room for .* MB .*; free space, or set TAMIS_HOME")
    with refused, scratch((2**56,), np.uint8):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "file"))
    refused = pytest.raises(DataError, match="free space, or set TAMIS_HOME")
    with refused, scratch((3,), np.uint8):
        pass


@pytest.mark.parametrize("in_memory", [0, 2**20])
def test_a_roomy_array_is_there_as_long_as_it_is_used(in_memory, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", in_memory)
    array = roomy((3, 1000), np.float64)
    assert not array.any()
    array[...] = np.arange(1000)
    assert (array[2] == np.arange(1000)).all()
    folder = home() / "scratch"
    assert folder.exists() == (in_memory == 0)
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_roomy_array_takes_objects(monkeypatch):
    monkeypatch.setattr(module, "_SMALL", 0)
    assert roomy((2,), object).dtype == object
