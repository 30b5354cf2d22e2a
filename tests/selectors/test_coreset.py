import numpy as np
import pytest
from doubles import Numbers, pool_at

from tamis.errors import SettingError
from tamis.selectors.coreset import Coreset

# Two bundles of directions, along x and along y, at many lengths.
ALONG_X = [[10 + n, n % 4] for n in range(20)]
ALONG_Y = [[n % 4, 10 + n] for n in range(20)]
POOL = pool_at(*ALONG_X, *ALONG_Y)


def test_keeps_examples_of_the_target_s_task_alone():
    coreset = Coreset(target=pool_at([0, 50], [1, 60]), embedder=Numbers(), clusters=2)
    picked = coreset.select(POOL, 5)
    assert picked.indices.min() >= 20
    assert np.isnan(picked.scores[:20]).all()
    assert set(picked.reasons[:20]) == {"not of the target's task"}
    assert len(set(picked.signals["cluster"].to_pylist()[20:])) == 1


def test_an_odd_target_example_brings_no_task_in():
    # One of 21 lies along x: an even spread would give each of two clusters half of them.
    target = pool_at([50, 0], *[[0, n] for n in range(50, 70)])
    picked = Coreset(target=target, embedder=Numbers(), clusters=2).select(POOL, 5)
    assert picked.indices.min() >= 20


def test_without_k_a_tenth_of_the_task_is_kept():
    assert len(Coreset(embedder=Numbers()).select(POOL)) == 4
    coreset = Coreset(target=pool_at([0, 50]), embedder=Numbers(), clusters=2)
    assert len(coreset.select(POOL)) == 2


def test_a_task_smaller_than_k_is_kept_whole():
    coreset = Coreset(target=pool_at([0, 50]), embedder=Numbers(), clusters=2)
    assert sorted(coreset.select(POOL, 30).indices.tolist()) == list(range(20, 40))


def test_only_directions_count():
    # (1, 0) and (100, 0) are one direction; on vectors as they are, 100 would be picked second.
    picked = Coreset(embedder=Numbers()).select(pool_at([1, 0], [100, 0], [1, 1], [0, 1]), 3)
    assert picked.scores[picked.indices].min() > 0.5
    longer = pool_at(*[[7 * x, 7 * y] for x, y in ALONG_X + ALONG_Y])
    plain = Coreset(embedder=Numbers()).select(POOL, 9)
    scaled = Coreset(embedder=Numbers()).select(longer, 9)
    # Ids differ, so ties may go otherwise: the distances are what must be the same.
    assert np.sort(scaled.scores) == pytest.approx(np.sort(plain.scores), abs=1e-6)


def test_a_vector_of_length_zero_has_no_direction():
    picked = Coreset(embedder=Numbers()).select(pool_at([0, 0], [1, 0], [0, 1]), 3)
    assert sorted(picked.indices.tolist()) == [1, 2]
    assert picked.reasons[0] == "no embedding"


@pytest.mark.parametrize("wrong", [{"clusters": 0}, {"share": 0}, {"share": 1.5}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=r"Coreset: .*; give"):
        Coreset(**wrong)
