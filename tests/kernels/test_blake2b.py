from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.kernels.blake2b import blake2b_128

CONTENT = np.random.default_rng(0).integers(0, 256, 2**21, dtype=np.uint8)


def by_hashlib(offsets, data):
    bounds = pairwise(offsets.tolist())
    return [blake2b(data[begin:end].tobytes(), digest_size=16).digest() for begin, end in bounds]


def bounds(lengths, start=0):
    return np.cumsum([start, *lengths])


@pytest.mark.parametrize("length", [*range(300), 383, 384, 385, 2**20 - 1, 2**20, 2**20 + 129])
def test_one_alone_is_what_hashlib_says(length):
    # It ends where the array does: past its last byte there is nothing to read.
    ends = np.array([len(CONTENT) - length, len(CONTENT)])
    assert blake2b_128(ends, CONTENT).tolist() == by_hashlib(ends, CONTENT)


@pytest.mark.parametrize("start", range(9))
def test_many_are_what_hashlib_says_wherever_they_begin(start):
    # Every length about the borders of blocks, a long one that outlasts all, short ones after.
    offsets = bounds([*range(300), 500_000, *range(300, 0, -1), 0, 0], start)
    assert blake2b_128(offsets, CONTENT).tolist() == by_hashlib(offsets, CONTENT)


@pytest.mark.parametrize("together", range(20))
def test_any_number_goes_side_by_side(together):
    # Up to the lanes, and past them: none, fewer, one more, two turns and a rest.
    offsets = bounds([130] * together, start=5)
    digests = blake2b_128(offsets, CONTENT)
    assert digests.dtype == "V16"
    assert digests.shape == (together,)
    assert digests.tolist() == by_hashlib(offsets, CONTENT)


@given(st.lists(st.integers(0, 700), max_size=40), st.integers(0, 1000))
def test_neighbours_of_any_length_change_nothing(lengths, start):
    offsets = bounds(lengths, start)
    assert blake2b_128(offsets, CONTENT).tolist() == by_hashlib(offsets, CONTENT)


def test_what_stands_outside_the_strings_does_not_count():
    offsets = bounds([1, 127, 129], start=3)
    other = ~CONTENT[: offsets[-1] + 9]
    other[3 : offsets[-1]] = CONTENT[3 : offsets[-1]]
    assert blake2b_128(offsets, other).tolist() == by_hashlib(offsets, CONTENT)
