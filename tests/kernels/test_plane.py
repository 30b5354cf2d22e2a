import numpy as np
import pytest

from tamis.kernels.plane import principal_plane


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(60, 7)) * [5, 3, 1, 1, 0.5, 0.2, 0.1]


def test_no_plane_holds_more_of_the_variance(points):
    # Eckart and Young: what is left over is the sum of the other squared singular values.
    places, shares = principal_plane(points)
    singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    assert (places**2).sum() == pytest.approx((singular[:2] ** 2).sum())
    assert shares == pytest.approx(singular[:2] ** 2 / (singular**2).sum())


def test_a_flat_cloud_keeps_its_distances():
    flat = np.random.default_rng(1).normal(size=(20, 2))
    turned = flat @ np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0][:2] + 3
    places, shares = principal_plane(turned)
    away = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert away == pytest.approx(np.linalg.norm(flat[:, None] - flat[None], axis=2))
    assert shares.sum() == pytest.approx(1)


def test_row_order_does_not_mirror_the_map(points):
    order = np.random.default_rng(3).permutation(len(points))
    assert principal_plane(points[order])[0] == pytest.approx(principal_plane(points)[0][order])


def test_one_point_and_one_dimension_have_a_place_too():
    assert principal_plane(np.ones((1, 3)))[0].tolist() == [[0, 0]]
    places, shares = principal_plane(np.array([[1.0], [3.0]]))
    assert places.tolist() == [[-1, 0], [1, 0]]
    assert shares.tolist() == [1, 0]
