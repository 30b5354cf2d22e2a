import numpy as np
import pytest

from tamis.errors import SettingError
from tamis.kernels.neighbours import k_means, search


def vectors(count, seed, dimensions=16):
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)


def test_finds_what_comparing_all_finds():
    points, queries = vectors(500, 0), vectors(30, 1)
    table = np.linalg.norm(queries[:, None].astype(float) - points[None].astype(float), axis=2)
    rows, distance = search(points, queries, n=20)
    assert rows.tolist() == np.argsort(table, axis=1, kind="stable")[:, :20].tolist()
    assert distance == pytest.approx(np.sort(table, axis=1)[:, :20], rel=1e-12)


def test_a_query_that_is_a_point_finds_itself_at_no_distance():
    # FAISS' own float32 distance of a vector to itself is about 1e-3 here.
    points = vectors(400, 0, dimensions=384) + 10
    rows, distance = search(points, points[:50], n=1)
    assert rows[:, 0].tolist() == list(range(50))
    assert (distance == 0).all()


def test_equal_points_come_in_their_order():
    points = np.array([[3], [1], [3], [1], [9]], np.float32)
    assert search(points, np.array([[2]], np.float32), n=4)[0].tolist() == [[0, 1, 2, 3]]


def test_an_inexact_index_is_measured_exactly_and_may_find_fewer():
    points, queries = vectors(600, 0), vectors(20, 1)
    rows, distance = search(points, queries, n=200, index="IVF16,Flat")
    there = rows >= 0
    assert 0 < there.sum() < there.size
    assert np.isinf(distance[~there]).all()
    exact = np.linalg.norm(queries[:, None].astype(float) - points[rows].astype(float), axis=2)
    assert distance[there] == pytest.approx(exact[there])


@pytest.mark.parametrize("index", ["Flatt", "IVF500,Flat", "OPQ8_512,HNSW512,PQ8"])
def test_an_index_that_cannot_be_built_is_named_in_one_line(index):
    with pytest.raises(SettingError, match="FAISS cannot build it for 20 points") as raised:
        search(vectors(20, 0), vectors(1, 1), n=1, index=index)
    assert "\n" not in str(raised.value)


def test_clusters_are_found_and_the_same_each_time():
    axes = np.eye(16, dtype=np.float32)[[0, 3, 7]]
    points = np.repeat(axes, 40, axis=0) + vectors(120, 0) / 20
    centres, cluster = k_means(points / np.linalg.norm(points, axis=1, keepdims=True), 3)
    assert [len(set(part)) for part in np.split(cluster, 3)] == [1, 1, 1]
    assert len(set(cluster)) == len(centres) == 3
    again = k_means(points / np.linalg.norm(points, axis=1, keepdims=True), 3)
    assert again[1].tolist() == cluster.tolist()


def test_there_are_no_more_clusters_than_points():
    centres, cluster = k_means(vectors(4, 0), 10)
    assert len(centres) == 4
    assert sorted(cluster.tolist()) == [0, 1, 2, 3]
