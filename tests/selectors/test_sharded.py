"""Two rounds: what they promise, and that they are the one round where there is one shard."""

from itertools import combinations

import numpy as np
import pytest
from doubles import Lengths, Letters, Numbers, pool_at

from tamis.data.batches import LocalEngine, using
from tamis.errors import SettingError
from tamis.kernels.diversity import diverse
from tamis.kernels.kcenter import cover
from tamis.selectors import DEITA, Coreset, KCenter
from tamis.selectors.sharded import sharded_cover, sharded_diverse, shards_of


def ids(n, seed=0):
    return np.frombuffer(np.random.default_rng(seed).bytes(16 * n), "V16")


def test_a_shard_is_chosen_by_the_id_alone():
    all_ids = ids(100)
    shards = shards_of(all_ids, 7)
    assert sorted(np.concatenate(shards).tolist()) == list(range(100))
    assert all((np.diff(shard) > 0).all() for shard in shards)
    own = {tuple(all_ids[shard].tolist()) for shard in shards}
    fewer = shards_of(all_ids[:60], 7)
    assert all(any(set(all_ids[:60][s].tolist()) <= set(o) for o in own) for s in fewer)


@pytest.mark.parametrize("seed", range(20))
def test_two_rounds_cover_within_four_times_the_optimum(seed):
    # Against every choice of three points out of twelve.
    points = np.random.default_rng(seed).normal(size=(12, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    best = min(distance[:, trio].min(axis=1).max() for trio in combinations(range(12), 3))

    found = sharded_cover(points, shards_of(ids(12, seed), 3), k=3, first=4)
    assert found.picks[0] == 4
    assert len(set(found.picks.tolist())) == 3
    assert distance[:, found.picks].min(axis=1).max() <= 4 * best + 1e-9


def test_gaps_are_to_the_nearest_of_all_the_picks():
    points = np.random.default_rng(0).normal(size=(200, 5))
    found = sharded_cover(points, shards_of(ids(200), 6), k=9, first=0)
    distance = np.linalg.norm(points[:, None] - points[found.picks][None], axis=2)
    others = np.setdiff1d(np.arange(200), found.picks)
    np.testing.assert_allclose(found.gap[others], distance[others].min(axis=1))
    assert found.by[others].tolist() == found.picks[distance[others].argmin(axis=1)].tolist()
    assert found.by[found.picks].tolist() == found.picks.tolist()
    before = [distance[pick, :step].min(initial=np.inf) for step, pick in enumerate(found.picks)]
    np.testing.assert_allclose(found.gap[found.picks], before)


def test_one_shard_is_the_exact_choice():
    points = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    whole = [np.arange(300)]
    for ours, exact in zip(sharded_cover(points, whole, 20, 3), cover(points, 20, 3), strict=True):
        assert ours.tolist() == exact.tolist()
    found, outdone = sharded_diverse(points, whole, 0.3, 12)
    exact = diverse(points, 0.3, 12)
    assert found.picks.tolist() == exact.picks.tolist()
    reached = ~outdone
    assert found.like[reached].tolist() == exact.like[reached].tolist()


def test_no_two_that_are_kept_are_alike_and_every_other_row_says_why():
    draw = np.random.default_rng(2)
    points = (
        draw.normal(size=(40, 6))[draw.integers(0, 40, 400)] + 0.1 * draw.normal(size=(400, 6))
    ).astype(np.float32)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    for k in (400, 15):
        found, outdone = sharded_diverse(points, shards_of(ids(400), 5), 0.9, k)
        cosine = unit[found.picks] @ unit[found.picks].T - np.eye(len(found.picks))
        assert cosine.max() <= 0.9 + 1e-6
        assert (np.diff(found.picks) > 0).all()
        like = np.flatnonzero(found.like >= 0)
        near = (unit[like] * unit[found.like[like]]).sum(axis=1)
        np.testing.assert_allclose(found.similarity[like], near, atol=1e-5)
        assert (near > 0.9 - 1e-6).all()
        kept = np.isin(np.arange(400), found.picks)
        led = found.like[like]
        assert (kept[led] | kept[found.like[led]]).all()
        assert not (outdone & (kept | (found.like >= 0))).any()
        if k == 400:
            assert (kept | (found.like >= 0)).all()
        else:
            assert len(found.picks) == k
            assert outdone.any()


SHARDED = [
    KCenter(embedder=Numbers(), shards=4),
    KCenter(embedder=Numbers(), shards=4, seed=3),
    Coreset(embedder=Numbers(), shards=4),
    DEITA(quality=Lengths(), embedder=Letters(), shards=4),
]


@pytest.mark.parametrize("selector", SHARDED, ids=repr)
def test_neither_threads_nor_the_order_of_rows_change_the_choice(selector):
    draw = np.random.default_rng(0)
    pool = pool_at(*draw.integers(1, 50, (120, 2)).tolist())
    pool = pool.add_column("prompt", [f"say {text}" for text in pool["text"]])
    pool = pool.add_column("response", pool["text"])
    plain = selector.select(pool, 12, progress=False)
    other = selector.select(pool, 12, workers=3, progress=False)
    assert other.indices.tolist() == plain.indices.tolist()
    assert other.reasons.tolist() == plain.reasons.tolist()
    shuffled = pool.shuffle(seed=1)
    again = selector.select(shuffled, 12, progress=False)
    assert [shuffled[int(i)] for i in again.indices] == [pool[int(i)] for i in plain.indices]


def test_a_reason_does_not_claim_that_a_dropped_row_is_kept():
    # A chain along an arc, best first: each is like the next, and none like the one after.
    angles = np.deg2rad([0, 20, 40])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found, _ = sharded_diverse(points, [np.array([0]), np.array([1, 2])], 0.9, 3)
    assert found.picks.tolist() == [0]  # 2 went for being like 1, and 1 then for being like 0
    assert found.like.tolist() == [-1, 0, 1]
    assert diverse(points, 0.9, 3).picks.tolist() == [0, 2]  # the exact choice keeps it


@pytest.mark.parametrize("method", [KCenter, Coreset, DEITA])
def test_no_shards_is_none_and_not_zero(method):
    with pytest.raises(SettingError, match=r"shards=0; give at least 1, or None for none$"):
        method(shards=0)


def test_shards_are_worked_on_by_the_current_engine():
    seen = []

    class Watched(LocalEngine):
        def each(self, items, function, label):
            seen.append(label)
            return super().each(items, function, label)

    with using(Watched()):
        KCenter(embedder=Numbers(), shards=2).choose(pool_at([0], [4], [6], [9]), 2)
    assert seen == ["k-center: shards", "k-center: gaps"]
