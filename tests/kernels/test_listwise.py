import json
from pathlib import Path

import numpy as np
import pytest

from tamis.kernels.listwise import in_batch_loss, rank_loss

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "demonstrations.json").read_text())


def similarities():
    case = GOLDEN["udr"]
    queries, candidates = np.array(case["queries"]), np.array(case["candidates"])
    every = queries @ candidates.T
    m = case["per_query"]
    own = np.stack([every[i, i * m : (i + 1) * m] for i in range(len(queries))])
    return every, own, case["expected"], m


def test_losses_are_those_of_the_released_code_and_of_the_paper():
    every, own, expected, m = similarities()
    assert rank_loss(own)[0] == pytest.approx(expected["rank_paper_sum_over_batch"], rel=1e-5)
    assert rank_loss(own, reference=True)[0] == pytest.approx(expected["rank_reference"], rel=1e-5)
    best = np.arange(len(every)) * m
    assert in_batch_loss(every, best)[0] == pytest.approx(expected["in_batch"], rel=1e-5)


def test_a_pair_weighs_the_difference_of_its_inverse_ranks():
    # Ranks 1 and 10 weigh 0.9, 9 and 10 1/90: seen by pulling one candidate up alone.
    low = np.full((1, 10), -50.0)
    last_first = low.copy()
    last_first[0, 9] = 50.0  # the last is ahead of all by 100
    expected = sum((1 / i - 1 / 10) * 100 for i in range(1, 10))
    ties = sum((1 / i - 1 / j) * np.log(2) for i in range(1, 10) for j in range(i + 1, 10))
    assert rank_loss(last_first)[0] == pytest.approx(expected + ties, rel=1e-6)
    assert pytest.approx(0.0111, abs=1e-4) == 1 / 9 - 1 / 10


def test_of_candidates_that_helped_alike_no_order_is_learnt():
    gains = np.array([[-1.0, -1.0, -1.0, -5.0, -5.0]])
    loss, gradient = rank_loss(np.array([[0.0, 3, 1, 2, 2]]), gains)
    # Ranks 1, 1, 1, 4, 4: each of the six pairs that count weighs 3/4.
    assert loss == pytest.approx(0.75 * 2 * sum(np.log1p(np.exp(2 - s)) for s in (0.0, 3.0, 1.0)))
    assert gradient[0, 0] == pytest.approx(0.75 * -2 / (1 + np.exp(-2)))
    assert rank_loss(np.array([[1.0, 5.0]]), np.zeros((1, 2)))[0] == 0


def test_the_right_order_by_a_large_margin_costs_nothing():
    assert rank_loss(np.array([[300.0, 200, 100, 0]]))[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("reference", [False, True])
def test_the_gradient_of_the_ranking_is_that_of_small_steps(reference):
    own = np.random.default_rng(0).normal(size=(2, 4))
    _, gradient = rank_loss(own, reference=reference)
    assert gradient == pytest.approx(_steps(lambda x: rank_loss(x, reference=reference)[0], own))


def test_the_gradient_of_the_batch_is_that_of_small_steps():
    every, best = np.random.default_rng(0).normal(size=(3, 6)), np.array([0, 5, 2])
    _, gradient = in_batch_loss(every, best)
    assert gradient == pytest.approx(_steps(lambda x: in_batch_loss(x, best)[0], every), abs=1e-8)


def _steps(loss, at, width=1e-6):
    found = np.empty_like(at)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = width
        found[place] = (loss(at + step) - loss(at - step)) / (2 * width)
    return found
