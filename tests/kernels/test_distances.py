import numpy as np
import pytest

from tamis.kernels.distances import euclidean, nearest, unit


def test_distance_is_exact_where_float32_sums_are_not():
    # 1e8 + 1 is 1e8 in float32; the points are 1 apart in one axis and 1e4 in another.
    one, other = np.array([0, 0], np.float32), np.array([1e4, 1], np.float32)
    assert euclidean(one, other) ** 2 == pytest.approx(100_000_001, abs=1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("blocks", [1 << 22, 1 << 10])
def test_the_nearest_is_that_of_all_distances(kind, blocks, monkeypatch):
    monkeypatch.setattr("tamis.kernels.distances._BLOCK", blocks)
    draw = np.random.default_rng(0)
    points, centres = (draw.normal(size=(n, 24)).astype(kind) + 50 for n in (300, 40))
    table = np.linalg.norm(points[:, None].astype(float) - centres[None].astype(float), axis=2)
    which, distance = nearest(points, centres)
    assert which.tolist() == table.argmin(axis=1).tolist()
    assert distance == pytest.approx(table.min(axis=1), rel=1e-12)


def test_of_equal_centres_the_first_is_nearest():
    centres = np.array([[5.0, 1], [2, 2], [2, 2]])
    assert nearest(np.array([[2.0, 2], [2, 3]]), centres)[0].tolist() == [1, 1]


def test_products_too_large_for_float32_rule_nothing_out():
    which, distance = nearest(np.array([[1e20], [3e20]]), np.array([[3e20], [0.0]]))
    assert which.tolist() == [1, 0]
    assert distance.tolist() == pytest.approx([1e20, 0])
    # Infinite products of both signs add up to no number at all.
    which, _ = nearest(np.array([[1e20, 1e20]]), np.array([[0.0, 0.0], [1.5e20, -1e19]]))
    assert which.tolist() == [1]


def test_direction_does_not_depend_on_length():
    points = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    assert (unit(points) == unit(points * 4)).all()
    assert np.linalg.norm(unit(points), axis=1) == pytest.approx(1)
