"""A map of a run's pool: rows that mean the same lie together, kept and dropped."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tamis.data import formats
from tamis.data.ids import id_texts
from tamis.kernels.plane import principal_plane
from tamis.models.embeddings import embedder_of
from tamis.pipelines.runs import Run
from tamis.report.wording import number, shown

__all__ = ["HEIGHT", "WIDTH", "Mark", "PoolMap", "pool_map"]

EACH = 1_500  # rows of the kept, and of the dropped: a page of a megabyte
WIDTH, HEIGHT = 1000, 640
_EDGE = 12


@dataclass(frozen=True)
class Mark:
    """One row on the map."""

    id: str
    kept: bool
    x: float
    y: float
    told: str


@dataclass(frozen=True)
class PoolMap:
    """Marks, and how much of the rows and of their differences they show.

    Attributes
    ----------
    marks : list of Mark
        The dropped first, so that the kept are drawn above them.
    kept, dropped : int
        Rows in the pool.
    shares : float64 array of shape (2,)
        Of the variance of the vectors along each axis.
    """

    marks: list[Mark]
    kept: int
    dropped: int
    shares: npt.NDArray[np.float64]

    def count(self, *, kept: bool) -> int:
        """Return how many rows of one kind are drawn."""
        return sum(mark.kept == kept for mark in self.marks)


def pool_map(run: Run) -> PoolMap:
    """Return the plane in which the vectors of a run's rows differ most (PCA).

    Vectors are the bundled embedder's. Where there are many rows, those with the lowest ids
    are drawn, as many of the kept as of the dropped: ids are digests, so that is a fair draw
    of each. Rows without words have no vector and no place.

    Raises
    ------
    RunError
        If no step of the run is done.
    """
    selection = run.selection
    order = np.argsort(selection.ids, kind="stable")
    kept = selection.kept[order]
    rows = np.concatenate([order[~kept][:EACH], order[kept][:EACH]])
    said = formats.fields(run.pool.select(rows).with_format("arrow")[:])
    points = embedder_of("bundled").embed(said.text)
    able = np.isfinite(points).all(axis=1)
    places, shares = principal_plane(points[able]) if able.any() else (np.empty((0, 2)), [0, 0])
    marks = []
    for row, (x, y), text in zip(
        rows[able], _on_paper(places), said.text.filter(able).to_pylist(), strict=True
    ):
        rank, score = int(selection.ranks[row]), number(selection.scores[row])
        verdict = f"kept, #{rank:,}" if rank else selection.reasons[row]
        told = f"{shown(verdict, 200).text} · score {score}\n{shown(text, 300).text}"
        name = id_texts(selection.ids[[row]])[0].as_py()
        marks.append(Mark(name, rank > 0, round(float(x), 1), round(float(y), 1), told))
    return PoolMap(marks, int(kept.sum()), int((~kept).sum()), np.asarray(shares, float))


def _on_paper(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scale both axes alike, so that distances can be compared, and fill the paper."""
    if not len(places):
        return places
    low, high = places.min(axis=0), places.max(axis=0)
    room = np.array([WIDTH, HEIGHT]) - 2 * _EDGE
    scale = min(*(room / np.maximum(high - low, 1e-9)).tolist())
    return np.asarray((places - (low + high) / 2) * scale + np.array([WIDTH, HEIGHT]) / 2)
