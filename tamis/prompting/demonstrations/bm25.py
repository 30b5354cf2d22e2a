"""BM25: the examples that share the query's rare words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tamis.data import formats
from tamis.kernels import bm25
from tamis.prompting.demonstrations.base import Ranked, Retriever, Stock

__all__ = ["BM25"]


@dataclass(kw_only=True)
class BM25(Retriever):
    """Show the examples that share the query's rare words; nothing is embedded.

    Examples that share no word are not shown, so there may be fewer than asked for.

    Parameters
    ----------
    part : {'prompt', 'response', 'text'}
        What of an example is compared with the query.
    k1, b : float
        How much a second mention of a word adds, and how much long texts are discounted.

    See Also
    --------
    KNN : compares what the words mean, as an embedder has it.

    References
    ----------
    Robertson et al., Okapi at TREC-3, 1994. A baseline of arXiv 2112.08633 and 2305.04320.
    """

    name: ClassVar[str] = "bm25"
    part: Literal["prompt", "response", "text"] = "prompt"
    k1: float = 1.5
    b: float = 0.75

    def _learn(self, stock: Stock) -> None:
        texts = {
            "prompt": lambda example: example.prompt,
            "response": lambda example: example.response,
            "text": "\n".join,
        }[self.part]
        self.index_ = bm25.index_of(*_buffers(map(texts, stock.examples)), k1=self.k1, b=self.b)

    def _ranked(self, queries: Sequence[str], n: int) -> list[Ranked]:
        rows, scores = bm25.best(self.index_, *_buffers(queries), n)
        return [(row[row >= 0], score[row >= 0]) for row, score in zip(rows, scores, strict=True)]


def _buffers(
    texts: Iterable[str],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    return formats.buffers(pa.array(list(texts), pa.large_string()))
