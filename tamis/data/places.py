"""Where each example id lies: an index of up to 28 bytes an id, in files where it is large.

Before it is searched, two bits tell of an id that is not there: most that are asked for are new,
and each that is searched for touches a page of its own.
"""

from functools import partial
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from tamis.data.scratch import roomy
from tamis.kernels.index import has, mark, merge

__all__ = ["Ids", "Places", "first_of_each"]

Ids = npt.NDArray[np.void]

_BITS = 16  # for each id, at least: of those that are not there one in seventy is searched for
_FEWEST_BYTES = 2**13
_roomy = partial(roomy, leaping=True)  # ids are looked up all over it


class Places:
    """A place for each id, a number from 0; of equal ids that which was added first.

    Examples
    --------
    >>> ids = np.frombuffer(b"".join(bytes([n] * 16) for n in range(4)), "V16")
    >>> places = Places()
    >>> places.add(ids[:3], np.array([7, 8, 9]))
    >>> places.find(ids[::-1]).tolist()
    [-1, 9, 8, 7]
    """

    def __init__(self) -> None:
        self._segments: list[_Segment] = []
        self._bits = _roomy((_FEWEST_BYTES,), np.uint8)

    def add(self, ids: Ids, places: npt.NDArray[np.int64]) -> None:
        """Note where some more ids lie."""
        new = _Segment.of(ids, places)
        self._segments.append(new)
        # Each segment is over twice as long as the next: few of them, and each id moved rarely.
        while len(self._segments) > 1:
            before, last = self._segments[-2:]
            if len(before.keys) > 2 * len(last.keys):
                break
            self._segments[-2:] = [before.joined(last)]
        bits = _BITS * sum(len(segment.keys) for segment in self._segments)
        if bits <= 8 * len(self._bits):
            mark(self._bits, new.keys, new.tails)
            return
        self._bits = _roomy(((1 << (bits - 1).bit_length()) // 8,), np.uint8)
        for segment in self._segments:
            mark(self._bits, segment.keys, segment.tails)

    def find(self, ids: Ids) -> npt.NDArray[np.int64]:
        """Return the place of each id; -1 where it has none."""
        keys, tails = _keys(ids)
        order = np.argsort(keys)  # a sorted search stays in cache
        keys, tails = keys[order], tails[order]
        found = np.full(len(ids), -1, np.int64)
        left = np.flatnonzero(has(self._bits, keys, tails))
        for segment in self._segments:
            found[left] = segment.find(keys[left], tails[left])
            left = left[found[left] < 0]
        places = np.empty_like(found)
        places[order] = found
        return places


def first_of_each(ids: Ids) -> npt.NDArray[np.bool_]:
    """Return, for each id, whether it has not come before in `ids`."""
    rows = np.arange(len(ids))
    first: npt.NDArray[np.bool_] = _Segment.of(ids, rows).find(*_keys(ids)) == rows
    return first


class _Segment(NamedTuple):
    """Ids sorted by key; of equal ids the one that was put first comes first.

    Key and tail of an id are 64 bits each, and no two ids share both. Tail and place lie side
    by side: who wants one wants the other.
    """

    keys: npt.NDArray[np.uint64]
    rest: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ids: Ids, places: npt.NDArray[np.int64]) -> Self:
        keys, tails = _keys(ids)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], np.stack([tails.view(np.int64), places], axis=1)[order])

    @property
    def tails(self) -> npt.NDArray[np.uint64]:
        return self.rest[:, 0].view(np.uint64)

    def joined(self, later: Self) -> Self:
        n = len(self.keys) + len(later.keys)
        merged = type(self)(_roomy((n,), np.uint64), _roomy((n, 2), np.int64))
        merge(*self, *later, *merged)
        return merged

    def find(
        self, keys: npt.NDArray[np.uint64], tails: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.int64]:
        """Return the place of each id, -1 where it is not here."""
        found = np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self.keys, keys)
        open_ = np.arange(len(keys))
        while len(open_):  # more than once only where different ids share a key
            open_ = open_[at[open_] < len(self.keys)]
            open_ = open_[self.keys[at[open_]] == keys[open_]]
            rest = self.rest[at[open_]]
            same = rest[:, 0].view(np.uint64) == tails[open_]
            found[open_[same]] = rest[same, 1]
            open_ = open_[~same]
            at[open_] += 1
        return found


def _keys(ids: Ids) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return key and tail of each id: a one-to-one image of its two halves, well spread."""
    halves = np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)
    odd = np.uint64(0x9E3779B97F4A7C15)
    return halves[:, 0] * odd + halves[:, 1], halves[:, 1].copy()
