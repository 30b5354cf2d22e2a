import numpy as np
import pytest

from tamis.kernels.index import has, mark, merge


def halves_of(rng, n):
    return rng.integers(0, 2**64, n, dtype=np.uint64)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 5), (5, 0), (1, 1), (300, 40), (40, 300)])
def test_merging_is_a_stable_sort_of_both(n, m):
    rng = np.random.default_rng(n)
    keys = np.sort(rng.integers(0, 60, n + m, dtype=np.uint64)[:n])
    later = np.sort(rng.integers(0, 60, m, dtype=np.uint64))
    values = np.stack([np.arange(n + m), -np.arange(n + m)], axis=1)
    merged, rows = np.empty(n + m, np.uint64), np.empty((n + m, 2), np.int64)
    merge(keys, values[:n], later, values[n:], merged, rows)
    both = np.concatenate([keys, later])
    order = np.argsort(both, kind="stable")
    assert merged.tolist() == both[order].tolist()
    assert rows.tolist() == values[order].tolist()


@pytest.mark.parametrize("n_bytes", [1, 2, 2**13])
def test_every_id_that_was_marked_is_there(n_bytes):
    rng = np.random.default_rng(n_bytes)
    bits = np.zeros(n_bytes, np.uint8)
    keys, tails = halves_of(rng, 500), halves_of(rng, 500)
    assert not has(bits, keys, tails).any()
    mark(bits, keys, tails)
    assert has(bits, keys, tails).all()
    assert has(bits, np.uint64([0, 2**64 - 1]), np.uint64([0, 2**64 - 1])).tolist() == [
        bool(bits[0] & 1), bool(bits[-1] >> 7)
    ]  # fmt: skip


def test_the_bits_are_the_first_of_each_half():
    bits = np.zeros(4, np.uint8)  # 32 of them: five bits of a half say which
    mark(bits, np.uint64([3 << 59]), np.uint64([30 << 59]))
    assert np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist() == [3, 30]


def test_of_ids_that_are_not_there_one_in_seventy_seems_to_be():
    rng = np.random.default_rng(0)
    bits = np.zeros(2**14, np.uint8)
    n = 8 * len(bits) // 16
    mark(bits, halves_of(rng, n), halves_of(rng, n))
    seem = has(bits, halves_of(rng, 200_000), halves_of(rng, 200_000)).mean()
    assert seem == pytest.approx((1 - np.exp(-2 / 16)) ** 2, rel=0.1)
