import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels.clusters import buckets, components, first_of_equals, leaders, shared
from tamis.kernels.minhash import jaccard

ALL_MEET = 1000


def flat(sets):
    arrays = [np.array(sorted(s), np.uint32) for s in sets]
    bounds = np.cumsum([0, *map(len, arrays)])
    return bounds[:-1], bounds[1:], np.concatenate([*arrays, np.empty(0, np.uint32)])


def similarity(left, right):
    return jaccard(*(np.array(sorted(s), np.uint32) for s in (left, right)))


SETS = st.lists(st.sets(st.integers(0, 8), min_size=1, max_size=6), min_size=1, max_size=12)


@settings(deadline=None)
@given(SETS, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_leaders_are_those_of_the_slow_way(sets, near):
    leader, likeness = leaders(
        np.tile(np.int32([0, 1]), (len(sets), 1)), *flat(sets), near, ALL_MEET
    )
    kept = []
    for i, one in enumerate(sets):
        alike = [(similarity(one, sets[j]), -j) for j in kept]
        best, minus = max(alike, default=(0.0, 0))
        assert likeness[i] == best
        assert leader[i] == (-minus if best >= near else i)
        if best < near:
            kept.append(i)


@settings(deadline=None)
@given(SETS, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_components_are_those_of_the_slow_way(sets, near):
    leader, likeness = components(
        np.tile(np.int32([0, 1]), (len(sets), 1)), *flat(sets), near, ALL_MEET
    )
    group = list(range(len(sets)))
    for _ in sets:
        for i, one in enumerate(sets):
            for j, other in enumerate(sets):
                if similarity(one, other) >= near:
                    group[i] = min(group[i], group[j])
    assert leader.tolist() == group
    for i, first in enumerate(group):
        assert likeness[i] == (0 if first == i else similarity(sets[i], sets[first]))


def test_a_chain_is_one_component_but_two_groups_of_the_near():
    chain = [{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}]  # 0.6 from one to the next, 0.33 across
    meet = np.zeros((3, 1), np.int32)
    assert leaders(meet, *flat(chain), 0.6, ALL_MEET)[0].tolist() == [0, 0, 2]
    assert components(meet, *flat(chain), 0.6, ALL_MEET)[0].tolist() == [0, 0, 0]


def test_of_two_kept_sets_equally_near_the_first_stands_for_a_dropped_one():
    meet = np.zeros((3, 1), np.int32)
    assert leaders(meet, *flat([{1}, {2}, {1, 2}]), 0.5, ALL_MEET)[0].tolist() == [0, 1, 0]


def test_sets_that_share_no_bucket_are_not_compared():
    same = [{1, 2}, {1, 2}]
    apart = np.array([[0, -1], [1, -1]], np.int32)
    assert leaders(apart, *flat(same), 0.5, ALL_MEET)[0].tolist() == [0, 1]
    assert components(apart, *flat(same), 0.5, ALL_MEET)[0].tolist() == [0, 1]


def test_a_crowd_is_compared_with_its_first_only():
    many = [{10 * i, 10 * i + 1} for i in range(5)] + [{40, 41}]  # the last is the fifth's copy
    meet = np.zeros((6, 1), np.int32)
    assert leaders(meet, *flat(many), 0.9, 5)[0].tolist() == [0, 1, 2, 3, 4, 4]
    assert leaders(meet, *flat(many), 0.9, 4)[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_nothing_to_compare_is_no_group():
    none = np.empty((0, 3), np.int32)
    assert leaders(none, *flat([]), 0.5, 5)[0].tolist() == []
    assert components(none, *flat([]), 0.5, 5)[0].tolist() == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20))
def test_shared_keys_are_those_that_occur_again_among_the_wanted(rows):
    expected = [(key, True) == row and rows.count(row) > 1 for row in rows for key in row[:1]]
    keys = np.array([key for key, _ in rows], np.uint64)
    assert shared(keys, np.array([wanted for _, wanted in rows], bool)).tolist() == expected


def test_shared_keys_among_many_are_those_of_unique():
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 400_000, 300_000).astype(np.uint64)
    wanted = rng.random(300_000) < 0.5
    known, counts = np.unique(keys[wanted], return_counts=True)
    expected = wanted & np.isin(keys, known[counts > 1])
    assert 0 < expected.sum() < wanted.sum()
    assert (shared(keys, wanted) == expected).all()


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [2, 0], [1]])
def test_buckets_join_equal_keys_of_one_band(rows):
    keys = np.array([[5, 6, 5, 6], [5, 5, 5, 9]], np.uint64)
    numbers = buckets(keys, np.array(rows))
    for band in range(2):
        chosen = keys[band, rows]
        for i in range(len(rows)):
            for j in range(len(rows)):
                if i != j:
                    together = numbers[i, band] == numbers[j, band] != -1
                    assert together == (chosen[i] == chosen[j])
    first, second = (set(numbers[:, band].tolist()) - {-1} for band in range(2))
    assert not first & second


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12), st.randoms())
def test_the_first_of_equals_is_that_of_the_slow_way(rows, shuffled):
    order = list(range(len(rows)))
    shuffled.shuffle(order)
    keys = np.array(rows, np.uint64).reshape(-1, 2)
    found = first_of_equals(keys, np.array(order, np.int64))
    assert found.tolist() == [next(i for i in order if rows[i] == row) for row in rows]


def test_where_all_differ_each_is_the_first():
    keys = np.array([[3, 1], [4, 1]], np.uint64)
    assert first_of_equals(keys, np.array([1, 0])).tolist() == [0, 1]
