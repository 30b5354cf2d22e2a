import gc
import os

import numpy as np
import pytest

from tamis.data import scratch as module
from tamis.data.files import home
from tamis.data.scratch import Filling, roomy, scratch
from tamis.errors import DataError


@pytest.mark.parametrize("laid_out", [0, 2**28])
@pytest.mark.parametrize("shape", [(3, 4), (0, 5), (0,), (7,), (3, 2**17 + 1)])
def test_an_array_of_zeros_that_can_be_written(shape, laid_out, monkeypatch):
    monkeypatch.setattr(module, "_LAID_OUT", laid_out)
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


@pytest.mark.parametrize("in_memory", [0, 2**20])
@pytest.mark.parametrize("leaping", [False, True])
def test_what_is_filled_piece_by_piece_is_what_was_added(in_memory, leaping, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", in_memory)
    given = np.random.default_rng(0).integers(0, 2**32, (10_000, 3)).astype(np.uint32)
    filling = Filling((12_000, 3), np.uint32)
    for part in np.split(given, [0, 1, 5000, 5000, 9999]):
        filling.add(part)
    whole = filling.whole(leaping=leaping)
    assert (whole.dtype, whole.tolist()) == (np.uint32, given.tolist())
    whole[7] = 1  # who has it may write to it
    assert whole[7].tolist() == [1, 1, 1]
    folder = home() / "scratch"
    assert folder.exists() == (in_memory == 0)
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("in_memory", [0, 2**20])
def test_a_filling_takes_other_kinds_of_numbers_and_none(in_memory, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", in_memory)
    filling = Filling((5,), np.float64)
    assert Filling((5,), "V16").whole().shape == (0,)
    filling.add([1, 2])
    filling.add(np.array([3, 4, 5], np.float64)[::-2])
    assert filling.whole().tolist() == [1.0, 2.0, 5.0, 3.0]


def test_a_filling_that_is_given_up_leaves_nothing_open(monkeypatch):
    monkeypatch.setattr(module, "_SMALL", 0)
    filling = Filling((5,), np.float64)
    file = filling._file
    filling.add([1, 2])
    del filling
    gc.collect()
    assert file.closed


@pytest.mark.parametrize("in_memory", [0, 2**20])
def test_a_filling_takes_no_more_rows_than_there_is_room_for(in_memory, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", in_memory)
    filling = Filling((3, 2), np.int64)
    filling.add([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="2 rows beyond 2, of 3 at most"):
        filling.add([[5, 6], [7, 8]])
