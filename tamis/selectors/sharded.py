"""Set methods in two rounds: greedily in each shard, then greedily among what the shards chose.

That is GreeDi (Mirzasoleiman et al., arXiv 1411.0541): shards are worked on at once, on as
many processes as the engine has, and no more than `shards` times `k` examples meet in the end.
What it costs is measured by `benchmarks/engines.py`. A shard is chosen by an example's id, so
neither the order of the rows nor the engine changes who is kept. GreeDi would also look whether
one shard's own choice is better than the choice among all; that is left out, as it needs every
distance to every shard's picks.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from tamis.data.batches import current_engine
from tamis.errors import SettingError
from tamis.kernels.distances import nearest
from tamis.kernels.diversity import Diverse, diverse
from tamis.kernels.kcenter import Cover, cover, k_center

__all__ = ["check_shards", "sharded_cover", "sharded_diverse", "shards_of"]

Ids = npt.NDArray[np.void]
Points = npt.NDArray[np.floating]
Rows = npt.NDArray[np.int64]


def check_shards(method: str, shards: int | None) -> None:
    """Raise SettingError if `shards` is no number of shards."""
    if shards is not None and shards < 1:
        raise SettingError(f"{method}: shards={shards}; give at least 1, or None for none")


def shards_of(ids: Ids, shards: int) -> list[Rows]:
    """Part examples by their ids; positions ascend within a shard, and no shard is empty."""
    shard = ids.view(">u8").reshape(-1, 2)[:, 1] % shards
    return [np.flatnonzero(shard == number) for number in np.unique(shard)]


def sharded_cover(points: Points, shards: list[Rows], k: int, first: int) -> Cover:
    """Choose `k` points by k-center within each shard, then among those.

    No point is left farther from its nearest pick than four times the best possible with `k`
    picks: two rounds of k-center (Malkomes et al. 2015).

    Parameters
    ----------
    points : float array of shape (n, d)
    shards : list of int64 arrays
        Positions in `points`, ascending.
    k : int
        Number of picks, 1 to n.
    first : int
        The first pick.

    Returns
    -------
    Cover
        Of a point that was not picked, the gap is to all the picks; it may be above the gap
        of a pick.
    """
    starts = [int((shard == first).argmax()) for shard in shards]  # 0 where it is not
    items = ((points[shard], start) for shard, start in zip(shards, starts, strict=True))
    found = current_engine().each(items, partial(_picks, k), "k-center: shards")
    chosen = np.sort(np.concatenate([s[picks] for s, picks in zip(shards, found, strict=True)]))
    among = cover(points[chosen], k, int(np.searchsorted(chosen, first)))

    picks = chosen[among.picks]
    gap, by = np.empty(len(points)), np.empty(len(points), np.int64)
    measure = partial(_nearest, points[picks])
    parts = current_engine().each((points[s] for s in shards), measure, "k-center: gaps")
    for shard, (which, away) in zip(shards, parts, strict=True):
        gap[shard], by[shard] = away, picks[which]
    gap[picks], by[picks] = among.gap[among.picks], picks
    return Cover(picks, gap, by)


def sharded_diverse(
    points: Points, shards: list[Rows], most: float, k: int
) -> tuple[Diverse, npt.NDArray[np.bool_]]:
    """Filter each shard as `diverse` does, then what is left of all.

    Parameters
    ----------
    points : float array of shape (n, d)
        Best first, none of length 0.
    shards : list of int64 arrays
        Positions in `points`, ascending.
    most, k
        As for `diverse`.

    Returns
    -------
    found : Diverse
        A dropped vector is like a kept one, or like one of its shard that is like a kept one.
    outdone : bool array of shape (n,)
        Those that their shard never came to, as `k` of it were better.
    """
    filtered = current_engine().each(
        (points[shard] for shard in shards), partial(_unlike, most, k), "diversity: shards"
    )
    found = [*filtered]
    chosen = np.sort(np.concatenate([s[own.picks] for s, own in zip(shards, found, strict=True)]))
    among = diverse(points[chosen], most, k)

    picks = chosen[among.picks]
    like, similarity = np.full(len(points), -1), np.full(len(points), np.nan)
    like[chosen] = np.where(among.like < 0, -1, chosen[among.like])
    similarity[chosen] = among.similarity
    standing, outdone = like >= 0, np.ones(len(points), bool)
    standing[picks], outdone[chosen] = True, False
    for shard, own in zip(shards, found, strict=True):
        dropped = own.like >= 0
        rows, leader = shard[dropped], shard[own.like[dropped]]
        outdone[rows] = False
        held = standing[leader]  # one below the last of the kept explains nothing
        like[rows[held]], similarity[rows[held]] = leader[held], own.similarity[dropped][held]
    return Diverse(picks, like, similarity), outdone


def _picks(k: int, item: tuple[Points, int]) -> Rows:
    points, start = item
    return k_center(points, min(k, len(points)), start)[0]


def _nearest(picks: Points, points: Points) -> tuple[Rows, npt.NDArray[np.float64]]:
    which, away = nearest(points, picks)
    return which, away


def _unlike(most: float, k: int, points: Points) -> Diverse:
    return diverse(points, most, min(k, len(points)))
