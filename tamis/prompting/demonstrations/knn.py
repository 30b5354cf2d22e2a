"""KATE: the examples nearest to the query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError
from tamis.kernels.dpp import greedy_map, relevance_kernel
from tamis.kernels.neighbours import search
from tamis.models.base import Embedder
from tamis.models.embeddings import embedder_of, points_by_id
from tamis.prompting.demonstrations.base import Ranked, Retriever, Stock

__all__ = ["KNN"]


@dataclass(kw_only=True)
class KNN(Retriever):
    """Show the examples whose prompts are most similar to the query.

    The score is the cosine. A query that the embedder has no vector for gets no examples.

    Parameters
    ----------
    embedder : Embedder or str
    part : {'prompt', 'text'}
        What of an example is embedded: the prompt, or prompt and response together.
    diversity : float
        0 takes the nearest. Above, the examples are the likeliest subset of a determinantal
        point process (by greedy search) in which relevance counts the less, the larger
        this is; 0.1 is what the authors of `MDL` take.
    candidates : int
        How many of the nearest it chooses among.

    See Also
    --------
    BM25 : compares words, needs no embedder.
    UDR : learns what is near from a language model.

    References
    ----------
    Liu et al., arXiv 2101.06804 (KATE). Ye et al., arXiv 2302.05698 and Wu et al.,
    arXiv 2212.10375 for the subset.
    """

    name: ClassVar[str] = "knn"
    embedder: Embedder | str = "bundled"
    part: Literal["prompt", "text"] = "prompt"
    diversity: float = 0.0
    candidates: int = 30

    def __post_init__(self) -> None:
        if self.diversity < 0:
            raise SettingError(f"{type(self).__name__}: diversity={self.diversity}; give 0 or more")

    def _learn(self, stock: Stock) -> None:
        rows, points = points_by_id(stock.pool, self.embedder, stock.rows, part=self.part)
        place = dict(zip(stock.rows.tolist(), range(len(stock)), strict=True))
        self.places_ = np.array([place[row] for row in rows.tolist()], np.int64)
        self.points_ = points

    def _ranked(self, queries: Sequence[str], n: int) -> list[Ranked]:
        n = max(n, self.candidates + self.stock_.copies(queries)) if self.diversity else n
        asked = self._asked(queries)
        able = np.isfinite(asked.sum(axis=1))
        found, distance = search(self.points_, asked[able], min(n, len(self.points_)))
        ranked = iter(zip(found, distance, strict=True))
        nothing = np.empty(0, np.int64), np.empty(0)
        return [_by_cosine(self.places_, *next(ranked)) if there else nothing for there in able]

    def _asked(self, queries: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return where the queries lie among `points_`."""
        return embedder_of(self.embedder).embed(list(queries))

    def _spread(self, ranked: Ranked, n: int) -> Ranked:
        places, scores = ranked
        if not self.diversity or not len(places):
            return places[:n], scores[:n]
        points = self.points_[np.searchsorted(self.places_, places)].astype(np.float64)
        picks = greedy_map(relevance_kernel(scores, points @ points.T, self.diversity), n)
        return places[picks], scores[picks]


def _by_cosine(
    places: npt.NDArray[np.int64],
    found: npt.NDArray[np.int64],
    distance: npt.NDArray[np.float64],
) -> Ranked:
    return places[found], 1 - distance**2 / 2  # of vectors of length 1
