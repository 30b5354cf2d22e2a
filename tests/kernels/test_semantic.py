import json
from pathlib import Path

import numpy as np
import pytest

from tamis.kernels.semantic import edge_first, semantic_leaders

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "semdedup.json").read_text())


def arc(*degrees):
    """Directions in the plane at these angles."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def kept(points, cluster, least, **settings):
    leader, _ = semantic_leaders(points, cluster, least, **settings)
    return np.flatnonzero(leader == np.arange(len(points)))


@pytest.mark.parametrize("epsilon", GOLDEN["expected_kept_by_epsilon"])
def test_semdedup_s_order_and_rule_leave_what_its_formula_leaves(epsilon):
    points = np.array(GOLDEN["embedding"], np.float32)
    cluster = np.array(GOLDEN["cluster"])
    order = edge_first(points, cluster)
    left = order[kept(points[order], cluster[order], 1 - float(epsilon), dropped_too=True)]
    assert sorted(left.tolist()) == GOLDEN["expected_kept_by_epsilon"][epsilon]


def test_what_is_dropped_is_like_what_is_kept():
    # 0 ~ 20 ~ 40 degrees, but 0 and 40 are 0.77 alike: only the kept one counts.
    assert kept(arc(0, 20, 40), np.zeros(3, int), 0.9).tolist() == [0, 2]
    assert kept(arc(0, 20, 40), np.zeros(3, int), 0.9, dropped_too=True).tolist() == [0]


def test_the_nearest_kept_one_leads():
    leader, similarity = semantic_leaders(arc(0, 30, 20), np.zeros(3, int), 0.9)
    assert leader.tolist() == [0, 1, 1]
    assert similarity == pytest.approx([np.nan, np.cos(np.pi / 6), np.cos(np.pi / 18)], nan_ok=True)


def test_clusters_are_not_compared():
    assert kept(arc(0, 0, 0), np.array([0, 1, 0]), 0.9).tolist() == [0, 1]


@pytest.mark.parametrize("block", [1, 7, 256])
@pytest.mark.parametrize("dropped_too", [True, False])
def test_blocks_give_what_comparing_one_by_one_gives(block, dropped_too, monkeypatch):
    monkeypatch.setattr("tamis.kernels.semantic._BLOCK", block)
    points = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    directions = points.astype(float) / np.linalg.norm(points.astype(float), axis=1, keepdims=True)
    cosines, expected = directions @ directions.T, []
    for row in range(60):
        before = range(row) if dropped_too else expected
        if not any(cosines[row, other] >= 0.9 for other in before):
            expected.append(row)
    assert kept(points, np.zeros(60, int), 0.9, dropped_too=dropped_too).tolist() == expected


def test_copies_at_other_lengths_leave_one_at_a_threshold_of_one():
    points = np.random.default_rng(0).normal(size=(40, 384)).astype(np.float32)
    scaled = np.concatenate([points, points * np.float32(1.7)])
    assert kept(scaled, np.zeros(80, int), 1 - 1e-6).tolist() == list(range(40))
    assert kept(np.concatenate([points, points]), np.zeros(80, int), 1).tolist() == list(range(40))


def test_a_lower_threshold_never_keeps_more_by_semdedup_s_rule():
    points = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    counts = [
        len(kept(points, np.zeros(80, int), least, dropped_too=True))
        for least in (0.999, 0.99, 0.9, 0.5, 0.0, -1.0)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1  # the first is kept whatever the threshold
