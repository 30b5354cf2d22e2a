"""Rows of a pool that are the target's own examples: trained on, they would only be recalled."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.errors import SettingError
from tamis.kernels import minhash
from tamis.kernels.characters import character_table

__all__ = ["Leakage", "leaked"]

_NGRAM = 5
_RECALL = 0.99


@dataclass(frozen=True, eq=False)
class Leakage:
    """Which rows of a pool are in the target.

    Attributes
    ----------
    exact, near : int64 arrays
        Positions in the pool, ascending; no row is in both.
    """

    exact: npt.NDArray[np.int64]
    near: npt.NDArray[np.int64]

    def rest(self, n: int) -> npt.NDArray[np.int64]:
        """Return the positions of a pool of `n` rows that may be picked, ascending."""
        free = np.ones(n, bool)
        free[self.exact] = free[self.near] = False
        return np.flatnonzero(free)


def leaked(pool: Dataset, target: Dataset, near: float = 0.8) -> Leakage:
    """Return the rows of `pool` that say what a row of `target` says, or nearly so.

    Exact: equal texts (prompt and response together), but for case and space. Near: their
    word 5-grams have a Jaccard similarity of at least `near`; candidates come from MinHash,
    which finds 99 % of the pairs at `near`, and more above.

    Parameters
    ----------
    pool, target : Dataset
    near : float
        Above 0, up to 1.

    Raises
    ------
    SettingError
        If `near` is no such share.
    """
    if not 0 < near <= 1:
        raise SettingError(f"near={near}; give a Jaccard similarity above 0, up to 1")
    bands = minhash.bands_for(near, _RECALL)
    known = _read(target.with_format("arrow")[:], bands)
    sets = _shingles(target.with_format("arrow")[:])
    parts = list(map_batches(pool, partial(_compare, known, sets, near, bands), "leakage"))
    exact, close = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return Leakage(np.flatnonzero(exact), np.flatnonzero(close & ~exact))


@dataclass(frozen=True, eq=False)
class _Signed:
    texts: npt.NDArray[np.void]
    bands: npt.NDArray[np.uint64]
    shingles: npt.NDArray[np.int32]


def _read(batch: pa.Table, bands: tuple[int, int]) -> _Signed:
    offsets, data = formats.buffers(formats.fields(batch).text)
    table = character_table()
    keys = np.ascontiguousarray(minhash.text_keys(offsets, data, table))
    signed, shingles = minhash.signatures(
        offsets, data, table, _NGRAM, minhash.permutations(bands[0] * bands[1])
    )
    return _Signed(keys.view("V16").ravel(), minhash.band_keys(signed, bands[0]), shingles)


def _shingles(batch: pa.Table) -> list[npt.NDArray[np.uint32]]:
    offsets, data = formats.buffers(formats.fields(batch).text)
    ends, hashes = minhash.shingle_sets(offsets, data, character_table(), _NGRAM)
    return [hashes[start:end] for start, end in pairwise(ends)]


def _compare(
    known: _Signed,
    sets: list[npt.NDArray[np.uint32]],
    near: float,
    bands: tuple[int, int],
    batch: pa.Table,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return for each row of a batch whether it is in the target, and whether nearly so."""
    ours = _read(batch, bands)
    has_words = ours.shingles > 0
    exact = np.isin(ours.texts, known.texts) & has_words
    meets = np.zeros(batch.num_rows, bool)
    for here, there in zip(ours.bands, known.bands, strict=True):
        meets |= np.isin(here, there)
    candidates = np.flatnonzero(meets & has_words & ~exact)
    close = np.zeros(batch.num_rows, bool)
    for row, own in zip(candidates, _shingles(batch.take(candidates)), strict=True):
        others = np.flatnonzero((known.bands == ours.bands[:, row, None]).any(axis=0))
        close[row] = any(minhash.jaccard(own, sets[other]) >= near for other in others)
    return exact, close
