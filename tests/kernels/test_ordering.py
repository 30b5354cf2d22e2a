import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels import clusters, draws, ordering
from tamis.kernels.ordering import descending, id_keys, ordered, parts

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=60)


@pytest.fixture
def few_rows_a_part(monkeypatch):
    monkeypatch.setattr(ordering, "_ROWS", 8)


def columns(rows):
    return np.array([row[:2] for row in rows], np.uint64).reshape(-1, 2).T


def wanted(rows):
    return np.array([row[2] for row in rows], bool)


@settings(deadline=None)
@given(ROWS)
def test_the_order_is_that_of_a_stable_sort_by_all_keys(rows):
    keys = columns(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "_ROWS", 8)
        found = ordered(wanted(rows), lambda at: keys[:, at]).tolist()
    able = [i for i, row in enumerate(rows) if row[2]]
    assert found == sorted(able, key=lambda i: rows[i][:2])


@settings(deadline=None)
@given(ROWS)
def test_rows_of_one_key_are_in_one_part_in_their_order_and_parts_ascend(rows):
    keys, seen, last = columns(rows), [], (-1, -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "_ROWS", 8)
        for places, values in parts(wanted(rows), lambda at: keys[:, at]):
            assert (values == keys[:, places]).all()
            assert (np.diff(places) > 0).all()
            told = sorted(map(tuple, values.T.tolist()))
            if told:
                assert last < told[0]
                last = told[-1]
            seen += places.tolist()
    assert sorted(seen) == np.flatnonzero(wanted(rows)).tolist()


@pytest.mark.usefixtures("few_rows_a_part")
def test_parts_of_keys_that_differ_are_small():
    keys = np.random.default_rng(0).permutation(1000).astype(np.uint64)[None]
    sizes = [len(rows) for rows, _ in parts(np.ones(1000, bool), lambda at: keys[:, at])]
    assert len(sizes) == 125
    assert max(sizes) <= 24


@pytest.mark.usefixtures("few_rows_a_part")
def test_what_is_as_long_as_the_answer_is_made_by_new_alone():
    keys = np.arange(100, dtype=np.uint64)[None]
    made = []

    def new(shape, dtype):
        made.append((shape, np.dtype(dtype)))
        return np.zeros(shape, dtype)

    ordered(np.ones(100, bool), lambda at: keys[:, at], new)
    assert made == [((100,), np.int64), ((100, 2), np.uint64)]  # the order; keys and positions


def test_numbers_are_ordered_from_the_largest_to_the_smallest():
    numbers = np.random.default_rng(0).normal(size=500).round(1)
    numbers[:4] = np.inf, -np.inf, 0.0, -0.0
    order = ordering.order_of(descending(numbers)[None])
    assert order.tolist() == np.argsort(-numbers, kind="stable").tolist()


def test_ids_in_parts_draw_what_they_draw_at_once(monkeypatch):
    ids = np.random.default_rng(0).integers(0, 40, (300, 2)).astype(">u8").view("V16").ravel()
    at_once = draws.uniforms(ids, seed=3)
    order = ordered(np.ones(300, bool), lambda rows: id_keys(ids[rows]))
    monkeypatch.setattr(ordering, "_ROWS", 16)
    assert draws.uniforms(ids, seed=3).tolist() == at_once.tolist()
    assert ordered(np.ones(300, bool), lambda rows: id_keys(ids[rows])).tolist() == order.tolist()


def test_equal_sets_are_found_in_parts_as_at_once(monkeypatch):
    draw = np.random.default_rng(0)
    keys = draw.integers(0, 60, (3, 400)).astype(np.uint64)
    keys[:, 200:] = 7  # more of one key than a part has room for
    rows = draw.permutation(400)[:300]
    order = draw.permutation(400)

    def found():
        first = clusters.first_of_equals(keys[:2].T, order)
        alike = clusters.shared(keys[0], keys[1] > 20)
        return first.tolist(), alike.tolist(), clusters.buckets(keys, rows).tolist()

    at_once = found()
    monkeypatch.setattr(ordering, "_ROWS", 16)
    assert found() == at_once
    text_of = {}
    for row in order.tolist():
        text_of.setdefault(tuple(keys[:2, row]), row)
    assert at_once[0] == [text_of[tuple(keys[:2, row])] for row in range(400)]


def test_none_have_no_runs():
    starts, lengths = ordering.runs(np.zeros((2, 0), np.uint64))
    assert (starts.tolist(), lengths.tolist()) == ([], [])
