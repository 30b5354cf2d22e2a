import numpy as np
import pytest

from tamis.data import places
from tamis.data.places import Places, first_of_each


def ids_of(numbers):
    return np.frombuffer(b"".join(int(n).to_bytes(16, "big") for n in numbers), "V16")


@pytest.mark.parametrize("small", [0, 2**20])  # in files, and in memory
@pytest.mark.parametrize("seed", range(5))
def test_places_are_a_dict_that_believes_the_first(seed, small, monkeypatch):
    monkeypatch.setattr("tamis.data.scratch._SMALL", small)
    draw = np.random.default_rng(seed)
    index, expected, count = Places(), {}, 0
    for _ in range(12):
        new = draw.integers(0, 60, draw.integers(0, 20))
        index.add(ids_of(new), np.arange(count, count + len(new)))
        for place, number in enumerate(new.tolist(), start=count):
            expected.setdefault(number, place)
        count += len(new)
        asked = draw.permutation(70)
        found = index.find(ids_of(asked))
        assert found.tolist() == [expected.get(number, -1) for number in asked.tolist()]


def test_ids_that_share_a_key_are_told_apart():
    # key = first half * odd + second half, modulo 2**64: these pairs share one, and there are five.
    odd = 0x9E3779B97F4A7C15
    halves = [(n, (1 - n * odd) % 2**64) for n in range(5)]
    ids = np.array(halves, "<u8").view("V16").ravel()
    assert len(set(places._keys(ids)[0].tolist())) == 1
    index = Places()
    index.add(ids[[3, 0, 4, 1]], np.arange(4))
    assert index.find(ids).tolist() == [1, 3, -1, 0, 2]


def test_an_id_is_moved_as_often_as_the_index_doubles():
    # An index that is sorted anew with every part would move a million ids for a few.
    index, moved = Places(), 0
    for n in range(1000):
        before = [*index._segments]
        index.add(ids_of([n]), np.array([n]))
        kept = sum(one is other for one, other in zip(before, index._segments, strict=False))
        moved += sum(len(one.keys) for one in index._segments[kept:])
    assert moved < 1000 * 12
    assert len(index._segments) < 12


@pytest.mark.parametrize("parts", [1, 40])
def test_few_ids_that_are_not_there_are_searched_for(parts, monkeypatch):
    searched = []
    find = places._Segment.find

    def counted(segment, keys, tails):
        searched.append(len(keys))
        return find(segment, keys, tails)

    monkeypatch.setattr(places._Segment, "find", counted)
    ids = np.frombuffer(np.random.default_rng(0).bytes(16 * 40_000), "V16")
    index = Places()
    for some in np.array_split(np.arange(20_000), parts):
        index.add(ids[some], some)
    assert index.find(ids[:20_000]).tolist() == list(range(20_000))
    searched.clear()
    assert (index.find(ids[20_000:]) == -1).all()
    assert sum(searched) < 20_000 / 40 * len(index._segments)


def test_first_of_each_is_the_first():
    assert first_of_each(ids_of([5, 3, 5, 5, 3, 9])).tolist() == [
        True, True, False, False, False, True,
    ]  # fmt: skip
