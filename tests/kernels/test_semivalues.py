import json
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tamis.kernels.semivalues import Estimate, estimate, permutation, places, weights

GOLDEN = Path(__file__).parents[1] / "golden" / "knn_shapley.json"
GAMES = json.loads(GOLDEN.read_text())["games"]


def of(worth):
    """Play a game that is given by the worth of every set."""

    def play(order):
        prefixes = [frozenset(order[:size].tolist()) for size in range(len(order) + 1)]
        return np.diff([worth(prefix) for prefix in prefixes])

    return play


def golden_worth(game):
    worths = {
        frozenset(map(int, filter(None, players.split(",")))): worth
        for players, worth in game["value"].items()
    }
    return worths.__getitem__


def by_definition(n, worth, omega):
    values = np.zeros(n)
    for player in range(n):
        others = [other for other in range(n) if other != player]
        for size in range(n):
            for others_in in combinations(others, size):
                gain = worth(frozenset({*others_in, player})) - worth(frozenset(others_in))
                values[player] += omega[size] * gain / comb(n - 1, size)
    return values


@pytest.mark.parametrize(
    ("alpha", "beta", "expected"),
    [
        (1, 1, [0.25, 0.25, 0.25, 0.25]),
        (16, 1, [0.84211, 0.14035, 0.01651, 0.00103]),
        (4, 1, [0.57143, 0.28571, 0.11429, 0.02857]),
        (1, 16, [0.00103, 0.01651, 0.14035, 0.84211]),
    ],
)
def test_more_alpha_weighs_small_sets(alpha, beta, expected):
    assert weights(4, alpha, beta) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 50, 3000])
def test_weights_add_up_to_one(n):
    assert weights(n, 16, 1).sum() == pytest.approx(1)
    assert weights(n, 4, 2).sum() == pytest.approx(1)


@pytest.mark.parametrize("game", GAMES, ids=range(len(GAMES)))
@pytest.mark.parametrize(("alpha", "beta"), [(1, 1), (16, 1), (4, 1), (1, 4)])
def test_estimates_are_within_their_errors_of_the_published_values(game, alpha, beta):
    expected = np.array(game["expected"][f"beta({alpha},{beta})"])
    omega = weights(game["n"], alpha, beta)
    worth = golden_worth(game)
    assert by_definition(game["n"], worth, omega) == pytest.approx(expected)
    found = estimate(of(worth), omega, permutations=4000)
    assert (np.abs(found.values - expected) < 4.5 * found.errors).all()
    assert found.errors.max() < 0.05


def test_in_an_additive_game_everyone_gets_their_own_worth_from_any_permutation():
    own = np.array([3.0, 0, -1, 2])
    found = estimate(of(lambda players: sum(own[list(players)])), weights(4), permutations=1)
    assert found.values == pytest.approx(own)


def test_gloves():
    # One left glove (0), two right ones: Shapley values 2/3, 1/6, 1/6.
    def pairs(players):
        return float(0 in players and len(players) > 1)

    found = estimate(of(pairs), weights(3), permutations=6000)
    assert (np.abs(found.values - [2 / 3, 1 / 6, 1 / 6]) < 4.5 * found.errors).all()


def test_shapley_values_add_up_and_a_null_player_gets_nothing():
    def square(players):
        return float(len(players - {2}) ** 2)

    found = estimate(of(square), weights(5), permutations=50)
    assert found.values.sum() == pytest.approx(16)
    assert found.values[2] == 0


@given(arrays(float, 16, elements=st.integers(-9, 9)), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_in_any_game_values_add_up_a_null_player_gets_nothing_and_equals_get_as_much(table, seed):
    # Players 0 to 3 play; 4 adds nothing to any set; 5 is worth what 0 is, and the same to others.
    def worth(players):
        twins = len(players & {0, 5})
        return float(table[sum(2**player for player in players & {1, 2, 3})]) + 5.0 * twins**2

    found = estimate(of(worth), weights(6), permutations=720, seed=seed)
    everyone, nobody = worth(frozenset(range(6))), worth(frozenset())
    assert found.values.sum() == pytest.approx(everyone - nobody)
    assert found.values[4] == 0
    apart = abs(found.values[0] - found.values[5])
    assert apart <= 5 * np.hypot(found.errors[0], found.errors[5]) + 1e-9


def test_the_error_is_that_of_a_mean():
    draws = []

    def play(order):
        gain = np.where(order == order[0], 3.0, 0.0)
        draws.append(order[0])
        return gain

    found = estimate(play, weights(3), permutations=200)
    drawn = np.array([[3.0 * (first == player) for player in range(3)] for first in draws])
    assert found.values == pytest.approx(drawn.mean(axis=0))
    assert found.errors == pytest.approx(drawn.std(axis=0, ddof=1) / np.sqrt(200))


def test_stops_when_little_of_what_values_differ_by_is_noise():
    own = np.arange(20.0)
    draw = np.random.default_rng(0)
    play = of(lambda players: sum(own[list(players)]))

    def noisy(order):
        return play(order) + draw.normal(size=20)

    found = estimate(noisy, weights(20), permutations=100_000, within=0.0001)
    assert found.permutations < 1000
    assert found.noise <= 0.0001
    assert estimate(noisy, weights(20), permutations=100, within=0).permutations == 100


def test_the_paper_s_rule_stops_when_values_change_little():
    draw = np.random.default_rng(0)

    def noisy(order):
        return 1 + draw.normal(size=20)

    kinds = {"permutations": 10_000, "stop": "change"}
    rough = estimate(noisy, weights(20), within=0.05, **kinds)
    fine = estimate(noisy, weights(20), within=0.01, **kinds)
    assert 128 <= rough.permutations < fine.permutations < 10_000


def test_without_differences_all_is_noise():
    assert Estimate(np.ones(3), np.zeros(3), 64).noise == 1


def test_a_permutation_depends_on_seed_and_number_alone():
    assert permutation(9, 1, 5).tolist() == permutation(9, 1, 5).tolist()
    drawn = {tuple(permutation(9, seed, number)) for seed in (0, 1) for number in range(50)}
    assert len(drawn) == 100


def test_sizes_without_weight_are_not_played():
    assert places(weights(1000)) == 1000
    assert weights(1000, 16, 1)[places(weights(1000, 16, 1)) :].sum() <= 1e-3
    assert places(weights(1000, 1, 16)) == 1000
