"""The vectors of a pool's examples, as kernels take them: in the order of ids, none missing."""

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data import formats
from tamis.data.ids import example_ids
from tamis.errors import DataError
from tamis.models import load_embedder
from tamis.models.base import Embedder
from tamis.models.cached import embeddings

__all__ = ["Part", "embedder_of", "points_by_id"]

Part = Literal["text", "prompt"]
"""What is embedded: the whole example, or its prompt (plain text, where it has none)."""


def points_by_id(
    pool: Dataset,
    embedder: Embedder | str,
    among: npt.NDArray[np.int64] | None = None,
    *,
    part: Part = "text",
    who: str = "the pool",
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the rows that have a vector, in the order of their ids, and their vectors.

    A kernel that is given them breaks ties by id, and knows nothing of the file's order.
    Vectors come from the feature store; what is not there is computed.

    Parameters
    ----------
    pool : Dataset
    embedder : Embedder, or the name of one
    among : int64 array, optional
        Positions of the rows to look at, those of one id in an order of their own. By
        default all.
    part : {"text", "prompt"}
    who : str
        Has the examples, as the error says it.

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
    rows = np.arange(len(pool)) if among is None else among
    rows = rows[np.argsort(example_ids(pool)[rows], kind="stable")]
    field = "text" if formats.of(pool).name == "text" else part
    points = embeddings(pool, embedder_of(embedder), rows, field=field)
    able = np.isfinite(points).all(axis=1)
    if not able.any():
        raise DataError(
            f"{who}: none of {len(rows)} examples has a vector; give some that have text"
        )
    return (rows, points) if able.all() else (rows[able], points[able])


def embedder_of(embedder: Embedder | str) -> Embedder:
    """Return the embedder itself, or load the one of that name; the last two are remembered."""
    return _loaded(embedder) if isinstance(embedder, str) else embedder


@lru_cache(maxsize=2)
def _loaded(name: str) -> Embedder:
    return load_embedder(name)
