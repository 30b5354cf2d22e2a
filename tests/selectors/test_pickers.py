import numpy as np
import pytest

from tamis.selectors.pickers import gumbel_top_k, threshold, top_k


def ids_of(count, seed=0):
    return np.frombuffer(np.random.default_rng(seed).bytes(16 * count), dtype="V16")


def test_takes_the_largest_best_first():
    assert top_k(np.array([3.0, 9, 5]), ids_of(3), k=2).tolist() == [1, 2]


def test_no_score_is_never_taken():
    assert top_k(np.array([np.nan, 1.0, np.nan]), ids_of(3), k=3).tolist() == [1]


@pytest.mark.parametrize("k", [1, 10, 50])
def test_ties_go_by_id_whatever_the_order(k):
    # Three score levels over 90 rows: a shuffled pool must keep the same ids.
    scores, ids = np.arange(90) % 3.0, ids_of(90)
    shuffle = np.random.default_rng(1).permutation(90)
    first = ids[top_k(scores, ids, k)]
    second = ids[shuffle][top_k(scores[shuffle], ids[shuffle], k)]
    assert first.tolist() == second.tolist()


def test_infinite_scores_are_scores():
    assert top_k(np.array([-np.inf, np.inf, 0.0]), ids_of(3), k=3).tolist() == [1, 2, 0]


def test_a_threshold_keeps_what_reaches_it():
    assert threshold(np.array([4.4, 4.5, np.nan, 5.0]), ids_of(4), least=4.5).tolist() == [3, 1]


def test_the_draw_for_k_begins_the_draw_for_more():
    weights, ids = np.random.default_rng(0).normal(size=200), ids_of(200)
    long = gumbel_top_k(weights, ids, 50, seed=1)
    assert gumbel_top_k(weights, ids, 20, seed=1).tolist() == long[:20].tolist()


def test_without_temperature_the_largest_weights_are_drawn():
    weights, ids = np.random.default_rng(0).normal(size=200), ids_of(200)
    drawn = gumbel_top_k(weights, ids, 10, seed=1, temperature=0)
    assert drawn.tolist() == np.argsort(-weights)[:10].tolist()


def test_rows_are_drawn_first_as_often_as_their_weight_says():
    # softmax of (0, 1, 2) is (0.090, 0.245, 0.665); 4,000 seeds give ±0.015 at two sigma.
    weights, ids = np.array([0.0, 1, 2]), ids_of(3)
    first = [gumbel_top_k(weights, ids, 1, seed=seed)[0] for seed in range(4000)]
    shares = np.bincount(first, minlength=3) / 4000
    assert np.allclose(shares, [0.0900, 0.2447, 0.6652], atol=0.02)


def test_copies_with_one_id_come_in_the_order_of_the_pool():
    # Enough rows for a sort that leaves equals as they come to be seen.
    scores, ids = np.arange(500) % 5.0, np.repeat(ids_of(1), 500)
    expected = sorted(range(500), key=lambda row: (-scores[row], row))
    for k in (7, 100, 500):
        assert top_k(scores, ids, k).tolist() == expected[:k]
