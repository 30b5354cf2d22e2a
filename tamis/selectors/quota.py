"""Quotas: several methods share the seats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.errors import SettingError
from tamis.selectors.selection import KEPT, Selection, one_reason
from tamis.selectors.several import Several

__all__ = ["Quota"]


@dataclass(kw_only=True, repr=False)
class Quota(Several):
    """Keep what several methods pick in turn, each its share.

    The methods take turns, by Webster's rule: next is always the one that is farthest behind
    its share, the earlier one among equals. It takes the best of its picks that is not taken
    yet; one that has none left leaves its turns to the others. The score of an example is
    1 - (turn - 1) / k, and 0 where it was not taken.

    Parameters
    ----------
    shares : sequence of float, optional
        One for each method, in any unit; by default equal ones.

    Notes
    -----
    Signals: `taken_by`, the method that took the row; `NAME.rank` for each method, null where
    it did not pick it.

    See Also
    --------
    Vote : keeps what the methods agree on instead.
    """

    name: ClassVar[str] = "quota"
    shares: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shares is None:
            return
        if len(self.shares) != len(self.methods) or not all(share > 0 for share in self.shares):
            raise SettingError(
                f"Quota: shares={list(self.shares)} for {len(self.methods)} methods; "
                "give one above 0 for each"
            )

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        assert k is not None
        ranks = self._ranks(pool, k)
        queues = [np.argsort(own, kind="stable")[np.sort(own) > 0] for own in ranks.values()]
        shares = np.array([1.0] * len(queues) if self.shares is None else self.shares, float)
        indices, takers = taken_in_turn(queues, shares, k)

        scores, reasons = np.zeros(len(pool)), one_reason(len(pool), "no method picked it")
        reasons[np.any([own > 0 for own in ranks.values()], axis=0)] = (
            "its methods' seats were full"
        )
        scores[indices], reasons[indices] = 1 - np.arange(len(indices)) / k, KEPT
        taken_by = np.full(len(pool), None, object)
        taken_by[indices] = np.array([*ranks], object)[takers]
        told = {f"{name}.rank": pa.array(own, mask=own == 0) for name, own in ranks.items()}
        signals = pa.table({"taken_by": pa.array(taken_by, pa.string()), **told})
        return Selection(indices, scores, reasons, signals)


def taken_in_turn(
    queues: Sequence[npt.NDArray[np.int64]], shares: npt.NDArray[np.float64], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return what is taken, in order, and who took it.

    Parameters
    ----------
    queues : sequence of int64 arrays
        What each would take, best first.
    shares : float64 array of shape (len(queues),)
    k : int
        How much is taken, at most.

    Examples
    --------
    >>> queues = [np.array([0, 1, 2]), np.array([0, 3])]
    >>> taken, takers = taken_in_turn(queues, np.array([1.0, 1.0]), 4)
    >>> taken.tolist(), takers.tolist()
    ([0, 3, 1, 2], [0, 1, 0, 0])
    """
    waiting = [iter(queue.tolist()) for queue in queues]
    seats, open_ = np.zeros(len(queues)), np.ones(len(queues), bool)
    taken: dict[int, int] = {}
    while len(taken) < k and open_.any():
        turn = int(np.argmin(np.where(open_, (2 * seats + 1) / shares, np.inf)))
        best = next((row for row in waiting[turn] if row not in taken), None)
        if best is None:
            open_[turn] = False
            continue
        taken[best] = turn
        seats[turn] += 1
    return np.array([*taken], np.int64), np.array([*taken.values()], np.int64)
