import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels.projection import project, signs

WAYS = pytest.mark.parametrize("dense", [False, True])


def vectors(n, p, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p)).astype(np.float32)


def cosines(points):
    points = points.astype(np.float64)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(points), 1)]


@WAYS
def test_cosines_are_kept_within_one_over_the_root_of_the_dimensions(dense):
    # Johnson and Lindenstrauss; the method sheet: 0.011 with 8192 dimensions. Half the pairs
    # share most of their direction.
    points = vectors(40, 5000) + 2 * np.repeat(vectors(20, 5000, seed=1), 2, axis=0)
    errors = cosines(project(points, 2048, seed=0, dense=dense)) - cosines(points)
    assert errors.std() < 1.2 / np.sqrt(2048)
    assert abs(errors.mean()) < 0.1 / np.sqrt(2048)


@WAYS
def test_inner_products_are_those_of_the_vectors_on_average_over_seeds(dense):
    points = vectors(2, 300)
    found = [np.prod(project(points, 16, seed, dense=dense), axis=0).sum() for seed in range(4000)]
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(float(points[0] @ points[1]), abs=4 * error)


def test_the_dense_projection_is_the_product_with_the_signs():
    points, dimensions = vectors(3, 2500), 1100
    matrix = signs((0, 2500), (0, dimensions), seed=7)
    expected = points.astype(np.float64) @ matrix / np.sqrt(dimensions)
    assert set(np.unique(matrix)) == {-1, 1}
    np.testing.assert_allclose(project(points, dimensions, 7, dense=True), expected, atol=1e-4)


@given(st.integers(0, 300), st.integers(1, 90), st.integers(0, 5), st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_a_block_of_signs_is_the_same_made_alone(row, height, word, width):
    whole = signs((0, 400), (0, 600), seed=3)
    columns = (64 * word, min(64 * word + width, 600))
    alone = signs((row, row + height), columns, seed=3)
    assert (alone[: 400 - row] == whole[row : row + height, slice(*columns)]).all()


def test_signs_are_even_and_do_not_go_together():
    # Sums of 512 independent signs: their products average within 4 standard errors of 0.
    block = signs((0, 512), (0, 512), seed=0)
    assert abs(block.mean()) < 4 / 512
    for axis in (block, block.T):
        assert np.abs(cosines(axis)).max() < 5.5 / np.sqrt(512)


def test_the_fast_way_is_a_rotation_before_it_is_sampled():
    # 64 of 64 numbers would be the rotation itself; 63 of them lose one number's square.
    points = vectors(1, 64)
    rotated = project(points, 63, seed=0) * np.sqrt(63 / 64)
    lost = (points**2).sum() - (rotated**2).sum()
    largest = np.abs(points).sum() ** 2 / 64
    assert -1e-4 <= lost <= largest


@pytest.mark.parametrize("p", [1, 20])
def test_what_is_short_already_is_left_as_it_is(p):
    points = vectors(3, p)
    assert (project(points, 20, seed=0) == points).all()


@WAYS
def test_a_vector_does_not_depend_on_its_company(dense):
    points = vectors(5, 3000)
    alone = project(points[2:3], 128, seed=0, dense=dense)
    np.testing.assert_allclose(alone[0], project(points, 128, 0, dense=dense)[2], atol=1e-4)


@WAYS
def test_another_seed_is_another_projection(dense):
    points = vectors(1, 500)
    first, again, other = (project(points, 64, seed, dense=dense) for seed in (0, 0, -1))
    assert (first == again).all()
    assert not np.allclose(first, other, atol=0.1)
