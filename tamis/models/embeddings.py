"""The embeddings of a pool's examples: each computed once, and kept in the feature store."""

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.data.features import FeatureStore
from tamis.data.ids import example_ids
from tamis.errors import DataError
from tamis.models import load_embedder
from tamis.models.base import Embedder

__all__ = ["Part", "embedder_of", "embeddings", "points_by_id"]

Part = Literal["text", "prompt"]

_TOGETHER = 1024  # texts an embedder gets at once; it sorts them by length as it sees fit


def embeddings(
    pool: Dataset,
    embedder: Embedder | str,
    rows: npt.NDArray[np.int64] | None = None,
    *,
    part: Part = "text",
) -> npt.NDArray[np.float32]:
    """Return the vector of each example.

    Vectors are kept by example id, under the fingerprint of the embedder; only what is
    missing is computed.

    Parameters
    ----------
    pool : Dataset
    embedder : Embedder, or the name of one
    rows : int64 array of shape (m,), optional
        Which rows, in the order wanted. By default all, in the pool's order.
    part : {"text", "prompt"}
        What is embedded: the whole example, or its prompt (plain text, where it has none).

    Returns
    -------
    float32 array of shape (m, d)
        A row of NaN where there is nothing to embed.

    Notes
    -----
    Memory beside the result is one row group of the store.
    """
    model = embedder_of(embedder)
    shelf = FeatureStore().open(f"embedding-of-{part}", model.fingerprint)
    ids = example_ids(pool)

    def compute(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        batch = pool.with_format("arrow")[positions]
        prompt, _, text = formats.fields(batch)
        said = pc.if_else(pc.equal(prompt, ""), text, prompt) if part == "prompt" else text
        return np.asarray(model.embed(said.to_pylist()), np.float32)

    shelf.fill(ids, compute, batch_rows=_TOGETHER)
    vectors: npt.NDArray[np.float32] = shelf.numbers(ids if rows is None else ids[rows])
    return vectors


def points_by_id(
    pool: Dataset, embedder: Embedder | str, *, part: Part = "text"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the rows that have a vector, in the order of their ids, and their vectors.

    A kernel that is given them breaks ties by id, and knows nothing of the file's order.

    Returns
    -------
    rows : int64 array of shape (m,)
        Positions in the pool.
    points : float32 array of shape (m, d)

    Raises
    ------
    DataError
        If no row has a vector.
    """
    rows = np.argsort(example_ids(pool), kind="stable")
    points = embeddings(pool, embedder, rows, part=part)
    able = np.isfinite(points).all(axis=1)
    if not able.any():
        raise DataError(
            f"embeddings: none of {len(pool)} examples has a vector; give some that have text"
        )
    return (rows, points) if able.all() else (rows[able], points[able])


def embedder_of(embedder: Embedder | str) -> Embedder:
    """Return the embedder itself, or load the one of that name; the last two are remembered."""
    return _loaded(embedder) if isinstance(embedder, str) else embedder


@lru_cache(maxsize=2)
def _loaded(name: str) -> Embedder:
    return load_embedder(name)
