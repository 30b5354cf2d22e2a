import json
from pathlib import Path

import numpy as np
import pytest

from tamis.kernels.votek import neighbours_of, precedence, vote_k, votes

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "votek.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["select"]))
def test_picks_are_those_of_the_released_code(case):
    points = np.array(case["embedding"], np.float32)
    picks = vote_k(neighbours_of(points, case["k"]), case["select"], 10.0, reference=True)
    assert picks.tolist() == case["expected"]["selected_in_order"]


def by_hand(graph, chosen, rho):
    """Σ over voters v that are not chosen of ρ^−|chosen neighbours of v|, as it is written."""
    total = np.zeros(len(graph))
    for u in range(len(graph)):
        for v in set(range(len(graph))) - set(chosen):
            if u in graph[v]:
                total[u] += rho ** -len(set(chosen) & set(graph[v].tolist()))
    return total


@pytest.mark.parametrize("seed", range(10))
def test_every_pick_has_the_most_votes_of_those_left(seed):
    points = np.random.default_rng(seed).normal(size=(30, 4)).astype(np.float32)
    graph = neighbours_of(points, 5)
    picks = vote_k(graph, 12, 10.0).tolist()
    for step, pick in enumerate(picks):
        expected = by_hand(graph, picks[:step], 10.0)
        chosen = np.isin(np.arange(30), picks[:step])
        assert votes(graph, chosen, 10.0) == pytest.approx(expected)
        assert expected[pick] == pytest.approx(max(expected[~chosen]))


def test_a_chosen_one_divides_the_votes_of_those_who_had_it_by_rho():
    # 0 and 1 vote for each other and for 2; 2 votes for 0 and 1. Once 2 is chosen, what 0 and
    # 1 still give is worth a tenth, and 2 gives nothing any more.
    graph = np.array([[1, 2], [0, 2], [0, 1]])
    assert votes(graph, np.array([False, False, True]), 10.0).tolist() == [0.1, 0.1, 0.2]


def test_all_can_be_chosen_and_each_once():
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    # The released code comes to nodes that nobody votes for with none but chosen ones left.
    assert sorted(vote_k(neighbours_of(points, 3), 20, 10.0).tolist()) == list(range(20))


def test_equal_points_are_no_neighbours_of_themselves():
    graph = neighbours_of(np.ones((6, 2), np.float32), 2)
    assert graph.shape == (6, 2)
    assert (graph != np.arange(6)[:, None]).all()
    assert vote_k(graph, 3, 10.0)[0] == 0


def test_there_are_no_more_neighbours_than_others():
    assert neighbours_of(np.eye(3, dtype=np.float32), 150).shape == (3, 2)


def test_ties_go_to_more_voters_then_to_the_lowest_index():
    graph = np.array([[1], [0], [1], [0]])
    assert precedence(graph).tolist() == [0, 1, 2, 3]
    assert precedence(graph, reference=True).tolist() == [1, 0, 2, 3]  # 0 votes first, for 1
