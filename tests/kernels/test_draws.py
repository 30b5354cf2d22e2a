import numpy as np
import pytest

from tamis.kernels.draws import copy_numbers, gumbels, id_order, uniforms


@pytest.fixture
def ids():
    return np.frombuffer(np.random.default_rng(0).bytes(16 * 20_000), dtype="V16")


def test_draws_are_uniform(ids):
    draws = uniforms(ids, seed=0)
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    # Chi-square with 19 degrees of freedom: 43.8 is the 0.1 % point.
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8
    assert 0 < draws.min() < draws.max() < 1


def test_seeds_give_unrelated_draws(ids):
    correlation = np.corrcoef(uniforms(ids, seed=0), uniforms(ids, seed=1))[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(ids))


def test_neighbouring_ids_give_unrelated_draws():
    words = np.arange(40_000, dtype=np.uint64).reshape(-1, 2)
    draws = uniforms(words.view("V16").ravel(), seed=0)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4 / np.sqrt(len(draws))


def test_a_draw_belongs_to_its_id(ids):
    shuffle = np.random.default_rng(1).permutation(len(ids))
    assert (uniforms(ids[shuffle], seed=5) == uniforms(ids, seed=5)[shuffle]).all()


def test_copies_draw_for_themselves():
    ids = np.frombuffer(b"a" * 16 * 3 + b"b" * 16, dtype="V16")
    assert len(set(uniforms(ids, seed=0).tolist())) == 4
    assert copy_numbers(ids).tolist() == [0, 1, 2, 0]


def test_copies_among_many_are_numbered_as_among_few():
    draw = np.random.default_rng(0)
    halves = draw.integers(0, 2**64, (20_000, 2), np.uint64)
    halves[15_000:, 0] = halves[:5_000, 0]  # ids that begin alike
    halves[18_000:, 1] = halves[3_000:5_000, 1]  # and copies
    halves = halves[draw.permutation(len(halves))]
    ids = np.ascontiguousarray(halves).view("V16").ravel()
    seen, expected = {}, []
    for row in map(tuple, halves.tolist()):
        expected.append(seen.setdefault(row, 0))
        seen[row] += 1
    assert copy_numbers(ids).tolist() == expected
    assert max(expected) == 1
    assert copy_numbers(ids[::2]).tolist() == copy_numbers(ids[::2].copy()).tolist()


def test_gumbel_draws_have_their_mean_and_spread(ids):
    draws = gumbels(ids, seed=0)  # mean 0.5772, variance π²/6
    assert draws.mean() == pytest.approx(0.5772, abs=0.04)
    assert draws.var() == pytest.approx(np.pi**2 / 6, abs=0.08)


def test_no_rows_give_no_draws():
    assert uniforms(np.empty(0, "V16"), seed=0).shape == (0,)


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_any_integer_is_a_seed(ids, seed):
    assert uniforms(ids[:2], seed).shape == (2,)


def test_ids_are_ordered_as_bytes_are_and_equal_ones_stay_as_they_stand():
    # Of 5,000 ids many are equal, and many agree in their first eight bytes alone.
    draw = np.random.default_rng(0)
    words = draw.integers(0, [[40, 30]], (5000, 2)).astype(">u8")
    words[::2] |= np.uint64(1 << 63)  # as signed numbers they would come first
    ids = words.view("V16").ravel()
    assert id_order(ids).tolist() == np.argsort(ids, kind="stable").tolist()
