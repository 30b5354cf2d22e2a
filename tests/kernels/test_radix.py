import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels import radix
from tamis.kernels.ordering import order_of

COLUMNS = st.integers(1, 3).flatmap(
    lambda count: st.lists(
        st.tuples(*[st.sampled_from([0, 1, 255, 256, 2**40, 2**63, 2**64 - 1])] * count),
        max_size=200,
    )
)


def columns(rows):
    return np.ascontiguousarray(np.array(rows, np.uint64).reshape(len(rows), -1).T)


@settings(deadline=None)
@given(COLUMNS)
def test_the_order_is_that_of_a_stable_sort(rows):
    found = radix.sort(columns(rows)) if rows else np.arange(0)
    assert found.tolist() == sorted(range(len(rows)), key=rows.__getitem__)


@settings(deadline=None)
@given(COLUMNS, st.data())
def test_a_part_is_as_many_bounds_as_are_not_above(rows, data):
    bounds = sorted(data.draw(st.lists(st.sampled_from(rows), max_size=5))) if rows else []
    if not bounds:
        return
    found = radix.parts_of(columns(rows), columns(bounds))
    assert found.tolist() == [sum(bound <= row for bound in bounds) for row in rows]


@pytest.mark.parametrize("kind", ["drawn", "few values", "all alike"])
def test_many_rows_are_ordered_as_few_are(kind):
    draw = np.random.default_rng(0)
    high = {"drawn": 2**64 - 1, "few values": 5, "all alike": 1}[kind]
    keys = draw.integers(0, high, (2, 40_000), np.uint64)
    assert (order_of(keys) == np.lexsort(keys[::-1])).all()


def test_rows_go_behind_those_of_their_part_that_went_before():
    rows, keys = np.array([5, 6, 7]), np.array([[30, 10, 30]], np.uint64)
    cursors, written = np.array([0, 1]), np.zeros((3, 2), np.uint64)
    radix.put_into_parts(rows, keys, np.array([1, 0, 1]), cursors, written)
    assert written.tolist() == [[10, 6], [30, 5], [30, 7]]
    assert cursors.tolist() == [1, 3]
