"""One example of each group of copies: the same text, nearly the same words, or one meaning."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import Keys, current_engine, map_batches, rows_of
from tamis.data.ids import example_ids, id_texts
from tamis.data.scratch import Filling, roomy
from tamis.errors import DataError, SettingError, did_you_mean
from tamis.kernels import clusters, minhash
from tamis.kernels.characters import character_table, may_not_be_nfc
from tamis.kernels.ordering import blocks, descending, id_keys, ordered
from tamis.kernels.threads import spread
from tamis.models.base import Embedder
from tamis.selectors.base import Selector
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept
from tamis.selectors.semantic import semantic_copies

__all__ = ["Deduplicate"]

_CROWD = 100
_KEEP = ("best", "longest", "first")
_GROUPS = ("pairwise", "components")


@dataclass(kw_only=True, repr=False)
class Deduplicate(Selector):
    """Keep one example of each group of exact and near copies, the best one.

    Two examples are *exact* copies if their texts (prompt and response, or the text) are
    equal in Unicode's normal form C and lower case, runs of white space taken as one space.
    They are *near* copies if the sets of their word `ngram`-grams have a Jaccard similarity
    of at least `near`. Candidates are found by MinHash, and each is verified on the sets
    themselves, so that no pair below `near` counts; a pair at `near` is found with
    probability `recall`, a closer one with more. Of the words see `tamis.kernels.minhash`.
    With `semantic`, what is left is compared by meaning too: two examples are *semantic*
    copies if the cosine of their vectors is at least that.

    An example's score is 1 minus its similarity to the nearest example kept before it that
    it was compared with: 0 for an exact copy, 1 where it met none. (Pairs well below `near`
    mostly are not compared.) With `k`, the highest scores are kept of those that would be
    kept without; ties go to the lowest id.

    Parameters
    ----------
    near : float or None
        Jaccard similarity from which two are copies, above 0, up to 1. None: exact only.
    semantic : float or None
        Cosine from which two are copies, up to 1; 0.95 is SemDeDup's ε of 0.05.
    embedder : Embedder or str
        Whose vectors `semantic` compares.
    clusters : int, optional
        Of k-means; vectors are compared within their cluster alone. By default one for each
        10,000 rows. SemDeDup's are of 9,000 to 33,000.
    reference : bool
        Compare vectors as SemDeDup does: go through a cluster from its edge to its centre,
        whatever `keep` says, and drop a row for being like any before it, dropped ones too.
    keep : {"best", "longest", "first"}
        Which one of a group to keep: the longest response ("longest"), the highest value in
        the column `by` and among equals the longest ("best"; without `by` the same as
        "longest"), or the lowest id ("first"). Ties go to the lowest id: the order of the
        rows never counts.
    by : str, optional
        A column of numbers, for `keep="best"`. A null is below any number.
    groups : {"pairwise", "components"}
        "pairwise": a row is dropped only for being near a *kept* one. "components": copies
        of copies are copies too (union-find); fewer are kept, and a dropped row may have
        little in common with the one that stands for it.
    ngram : int
        Words a shingle. A shorter text is one shingle, so it has no near copies but those
        that differ in case, punctuation and space.
    recall : float
        Chooses `bands` and `rows`, where they are not given.
    bands, rows : int, optional
        Groups of hashes, and hashes in each; give both.

    Notes
    -----
    Signals: `duplicate_of`, the id of the kept row that stands for a dropped one (null for
    kept rows); `jaccard`, the similarity to it, or to the nearest row kept before; `copies`,
    how many rows the group has; with `semantic`, `cosine`, as `jaccard`. A dropped row that
    is a copy of a row that was then dropped itself is *linked* to the one that stands for both,
    and its similarity is to the one between.

    Time is linear in the bytes, for a pool without many near copies; rows are read once,
    candidates twice. A row costs some 10 bytes of memory, a dropped one 200 more, for its
    reason; in files under TAMIS_HOME lie some 150 bytes a row, 8 a band, and the shingles of
    candidates, 4 a word. With less memory than these it goes on, slower. In a
    bucket of many rows that are alike but not copies (templates), a row is compared with the
    first 100 kept ones, so beyond that recall may fall.

    References
    ----------
    Lee et al., arXiv 2107.06499 (word 5-grams). Broder 1997 (MinHash). Penedo et al., arXiv
    2406.17557 (14 bands of 8, without verification). Abbas et al., arXiv 2303.09540 (SemDeDup).
    """

    name: ClassVar[str] = "deduplicate"
    needs_k: ClassVar[bool] = False
    near: float | None = 0.8
    semantic: float | None = None
    embedder: Embedder | str = "bundled"
    clusters: int | None = None
    reference: bool = False
    keep: Literal["best", "longest", "first"] = "best"
    by: str | None = None
    groups: Literal["pairwise", "components"] = "pairwise"
    ngram: int = 5
    recall: float = 0.99
    bands: int | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.near is not None and not 0 < self.near <= 1:
            raise SettingError(f"Deduplicate: near={self.near}; give one above 0, up to 1, or None")
        if self.semantic is not None and not -1 <= self.semantic <= 1:
            raise SettingError(
                f"Deduplicate: semantic={self.semantic}; give a cosine, up to 1, or None"
            )
        for setting, known in (("keep", _KEEP), ("groups", _GROUPS)):
            value = getattr(self, setting)
            if value not in known:
                raise SettingError(
                    f"Deduplicate: {setting}='{value}'; {did_you_mean(value, known)}"
                )
        if self.by is not None and self.keep != "best":
            raise SettingError(f"Deduplicate: by='{self.by}' needs keep='best'; leave one out")
        for setting in ("ngram", "clusters", "bands", "rows"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise SettingError(f"Deduplicate: {setting}={value}; give at least 1")
        if not 0 < self.recall < 1:
            raise SettingError(f"Deduplicate: recall={self.recall}; give one between 0 and 1")
        if (self.bands is None) != (self.rows is None):
            raise SettingError("Deduplicate: one of bands and rows alone; give both, or neither")

    @property
    def asks_models(self) -> bool:
        """Whether rows that mean the same are looked for: copies are found without a model."""
        return self.semantic is not None

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        ids = example_ids(pool)
        with self._read(pool) as read:
            order = _preference(ids, read)
            first = clusters.first_of_equals(read.text_keys, order, roomy)
            links = _Links.none(len(pool))
            firsts = _those(order, lambda rows: first[rows] == rows)
            rows, buckets = read.keys.buckets(
                _those(firsts, lambda rows: read.n_shingles[rows] > 0)
            )
            if len(rows):
                near, links.jaccard[rows] = self._near(pool, rows, buckets, read.n_shingles)
                links.leader[rows] = rows[near]
        if self.semantic is not None:
            left = _those(firsts, lambda rows: links.leader[rows] == rows)
            self._compare_meaning(pool, left, links)
        links.share(first)
        return self._selection(ids, links, k)

    @contextmanager
    def _read(self, pool: Dataset) -> Iterator["_Read"]:
        """Read every row once, for what is small of it; the engine keeps the band keys."""
        n = len(pool)
        columns = {
            "text_keys": Filling((n, 2), np.uint64),
            "values": Filling((n,), np.float64),
            "lengths": Filling((n,), np.float64),
            "n_shingles": Filling((n,), np.int32),
        }
        label = f"{self.name}: read"
        with current_engine().keyed(pool, self._keyed, self._shape()[0], label) as (parts, keys):
            for part in parts:
                for name, column in columns.items():
                    column.add(getattr(part, name))
            yield _Read(**{name: column.whole() for name, column in columns.items()}, keys=keys)

    def _keyed(self, batch: pa.Table) -> "tuple[_Part, npt.NDArray[np.uint64]]":
        offsets, data = formats.buffers(_normal_form(formats.fields(batch).text))
        table, bands = character_table(), self._shape()
        n_shingles = np.zeros(batch.num_rows, np.int32)
        keys = np.empty((0, batch.num_rows), np.uint64)
        if self.near is not None:
            permutations = minhash.permutations(bands[0] * bands[1])
            signed, n_shingles = minhash.signatures(offsets, data, table, self.ngram, permutations)
            keys = minhash.band_keys(signed, bands[0])
        part = _Part(
            minhash.text_keys(offsets, data, table),
            self._values(batch),
            np.zeros(batch.num_rows) if self.keep == "first" else _lengths(batch),
            n_shingles,
        )
        return part, keys

    def _shape(self) -> tuple[int, int]:
        """Return how many bands there are, and the rows of each."""
        if self.near is None:
            return 0, 0
        if self.bands is not None and self.rows is not None:
            return self.bands, self.rows
        return minhash.bands_for(self.near, self.recall)

    def _values(self, batch: pa.Table) -> npt.NDArray[np.float64]:
        """Return the column `by`; the same number for all where it does not count."""
        if self.by is None:
            return np.zeros(batch.num_rows)
        if self.by not in batch.column_names:
            raise DataError(
                f"Deduplicate: no column '{self.by}'; {did_you_mean(self.by, batch.column_names)}"
            )
        try:
            column = batch[self.by].cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"Deduplicate: by='{self.by}' is {batch[self.by].type}; name a column of numbers"
            ) from error
        values: npt.NDArray[np.float64] = column.to_numpy()
        return np.where(np.isnan(values), -np.inf, values)

    def _near(
        self,
        pool: Dataset,
        rows: npt.NDArray[np.int64],
        buckets: npt.NDArray[np.int32],
        n_shingles: npt.NDArray[np.int32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Compare candidates, best first; return for each which one stands for it, and how near."""
        assert self.near is not None
        inside = np.sort(rows)  # a file is read from front to back
        place = np.searchsorted(inside, rows)
        ends, hashes = (
            Filling((len(rows) + 1,), np.int64),
            Filling((int(n_shingles[rows].sum()),), np.uint32),
        )
        ends.add([0])
        end = 0
        sets = map_batches(rows_of(pool, inside), self._sets, label=f"{self.name}: compare")
        for bounds, part in sets:
            ends.add(end + bounds[1:])
            hashes.add(part)
            end += len(part)
        bounds = ends.whole()
        group = clusters.leaders if self.groups == "pairwise" else clusters.components
        return group(
            buckets,
            bounds[place],
            bounds[place + 1],
            hashes.whole(leaping=True),
            self.near,
            _CROWD,
            roomy,
        )

    def _sets(self, batch: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        offsets, data = formats.buffers(_normal_form(formats.fields(batch).text))
        return minhash.shingle_sets(  # type: ignore[no-any-return]
            offsets, data, character_table(), self.ngram
        )

    def _compare_meaning(self, pool: Dataset, rows: npt.NDArray[np.int64], links: "_Links") -> None:
        """Link those of `rows` that are semantic copies of one before them."""
        assert self.semantic is not None
        leader, links.cosine[:] = semantic_copies(
            pool,
            rows,
            self.embedder,
            self.semantic,
            clusters=self.clusters,
            reference=self.reference,
        )
        links.by_meaning[:] = leader != np.arange(len(pool))
        links.leader[links.by_meaning] = leader[links.by_meaning]

    def _selection(self, ids: npt.NDArray[np.void], links: "_Links", k: int | None) -> Selection:
        n = len(ids)
        ends, copies = links.ends(), roomy((n,), np.int64)
        scores, stands = roomy((n,), np.float64), np.zeros(n, bool)
        reasons = one_reason(n, "score below that of the kept")
        sizes = roomy((n,), np.int64)
        for rows in blocks(n):
            np.add.at(sizes, ends[rows], 1)

        def tell(rows: slice) -> None:
            """Fill in what is known of some rows."""
            copies[rows] = sizes[ends[rows]]
            scores[rows] = 1 - np.fmax(links.jaccard[rows], links.cosine[rows])
            stands[rows] = ends[rows] == np.arange(rows.start, rows.stop)
            copied = rows.start + np.flatnonzero(~stands[rows])
            others = pc.utf8_slice_codeunits(id_texts(ids[ends[copied]]), 0, 8).to_pylist()
            linked = (ends[copied] != links.leader[copied]).tolist()
            told = map(self._reason, others, linked, *links.of(copied))
            reasons[copied] = np.fromiter(told, object, len(copied))

        for _ in spread(tell, blocks(n)):
            pass
        indices = top_k(scores, ids, n if k is None else k, among=stands)
        say_kept(reasons, indices)
        signals = {
            "duplicate_of": _names(ids, ends, ~stands),
            "jaccard": links.jaccard,
            "copies": copies,
        }
        if self.semantic is not None:
            signals["cosine"] = links.cosine
        return Selection(indices, scores, reasons, pa.table(signals))

    def _reason(
        self, other: str, linked: bool, jaccard: float, cosine: float, by_meaning: bool, exact: bool
    ) -> str:
        if exact:
            return f"exact duplicate of {other}…"
        if by_meaning:
            if linked:
                return f"linked to {other}… by semantic duplicates (cosine {cosine:.2f})"
            return f"semantic duplicate of {other}… (cosine {cosine:.2f})"
        if not linked and self.near is not None and jaccard >= self.near:
            return f"near-duplicate of {other}… (Jaccard {jaccard:.2f})"
        return f"linked to {other}… by near-duplicates (Jaccard {jaccard:.2f})"


@dataclass
class _Links:
    """Which row each was found to be a copy of, in the pool's order.

    Attributes
    ----------
    leader : int64 array of shape (n,)
        That row, which may have been dropped itself; a row's own position where there is none.
    jaccard, cosine : float64 arrays of shape (n,)
        Similarities; `cosine` is NaN where no vectors were compared.
    by_meaning, exact : bool arrays of shape (n,)
        How it was found.
    """

    leader: npt.NDArray[np.int64]
    jaccard: npt.NDArray[np.float64]
    cosine: npt.NDArray[np.float64]
    by_meaning: npt.NDArray[np.bool_]
    exact: npt.NDArray[np.bool_]

    @classmethod
    def none(cls, n: int) -> "_Links":
        leader, cosine = roomy((n,), np.int64), roomy((n,), np.float64)
        for rows in blocks(n):
            leader[rows] = np.arange(rows.start, rows.stop)
            cosine[rows] = np.nan
        return cls(leader, roomy((n,), np.float64), cosine, np.zeros(n, bool), np.zeros(n, bool))

    def share(self, first: npt.NDArray[np.int64]) -> None:
        """Give rows of equal text what their first one has, or that one where it stands."""
        for rows in blocks(len(first)):
            here = first[rows]
            exact = here != np.arange(rows.start, rows.stop)
            exact &= self.leader[here] == here
            self.leader[rows] = self.leader[here]
            self.jaccard[rows] = np.where(exact, 1.0, self.jaccard[here])
            self.cosine[rows] = np.where(exact, np.nan, self.cosine[here])
            self.by_meaning[rows] = self.by_meaning[here]
            self.exact[rows] = exact

    def of(self, rows: npt.NDArray[np.int64]) -> tuple[list[Any], ...]:
        """Return jaccard, cosine, by_meaning and exact of some rows."""
        figures = self.jaccard, self.cosine, self.by_meaning, self.exact
        return tuple(figure[rows].tolist() for figure in figures)

    def ends(self) -> npt.NDArray[np.int64]:
        """Return for each row the one that stands for it: where its links end."""
        ends = roomy((len(self.leader),), np.int64)
        ends[:] = self.leader
        further = True
        while further:
            further = False
            for rows in blocks(len(ends)):
                beyond = ends[ends[rows]]
                further |= bool((beyond != ends[rows]).any())
                ends[rows] = beyond
        return ends


@dataclass
class _Part:
    """What is kept of the rows that were read, in the pool's order.

    Attributes
    ----------
    text_keys : uint64 array of shape (n, 2)
    values : float64 array of shape (n,)
        The column `by`.
    lengths : float64 array of shape (n,)
        Characters of the response, or of plain text.
    n_shingles : int32 array of shape (n,)
        0 where a row takes no part in the search for near copies.
    """

    text_keys: npt.NDArray[np.uint64]
    values: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]
    n_shingles: npt.NDArray[np.int32]


@dataclass
class _Read(_Part):
    """That of all rows, and their band keys, where the engine has them."""

    keys: Keys


def _normal_form(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return texts in Unicode's normal form C; few need anything done."""
    changes = pa.array(may_not_be_nfc(*formats.buffers(texts), character_table()))
    if not changes.true_count:
        return texts
    composed = pc.utf8_normalize(texts.filter(changes), form="NFC")
    return pc.replace_with_mask(texts, changes, composed)


def _lengths(batch: pa.Table) -> npt.NDArray[np.float64]:
    """Return the number of characters of each response, or plain text, less space at its ends."""
    plain = formats.of(batch).name == "text"
    text = formats.fields(batch).text if plain else formats.exchange(batch)[1]
    return np.asarray(pc.utf8_length(pc.utf8_trim_whitespace(text)), np.float64)


def _preference(ids: npt.NDArray[np.void], read: _Part) -> npt.NDArray[np.int64]:
    """Return all positions, the one to keep first: by value, by length, by id."""

    def keys(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        figures = [descending(read.values[rows]), descending(read.lengths[rows])]
        return np.vstack([*figures, id_keys(ids[rows])])

    return ordered(np.ones(len(ids), bool), keys, roomy)


def _those(
    rows: npt.NDArray[np.int64], test: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]]
) -> npt.NDArray[np.int64]:
    """Return those of `rows` that pass the test, in their order."""
    passed = Filling((len(rows),), np.int64)
    for places in blocks(len(rows)):
        some = rows[places]
        passed.add(some[test(some)])
    return passed.whole()


def _names(
    ids: npt.NDArray[np.void], ends: npt.NDArray[np.int64], copied: npt.NDArray[np.bool_]
) -> pa.LargeStringArray:
    """Return the id of the row that stands for each copy, as text; null for other rows."""
    n, count = len(copied), int(np.count_nonzero(copied))
    offsets, digits = roomy((n + 1,), np.int64), roomy((32 * count,), np.uint8)
    named = 0
    for rows in blocks(n):
        names = id_texts(ids[ends[rows][copied[rows]]])
        digits[32 * named : 32 * (named + len(names))] = np.frombuffer(names.buffers()[2], np.uint8)
        offsets[rows.start + 1 : rows.stop + 1] = 32 * (named + np.cumsum(copied[rows]))
        named += len(names)
    valid = np.packbits(copied, bitorder="little")
    return pa.LargeStringArray.from_buffers(n, *map(pa.py_buffer, (offsets, digits, valid)))
