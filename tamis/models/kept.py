"""What models said of rows that are to be forgotten leaves the feature store."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tamis.data.features import FeatureStore
from tamis.data.forgotten import Ids, is_among
from tamis.models.cached import request_ids

__all__ = ["forget_words"]

_TELLING = 20  # characters of a row that an answer must hold to be about it: "yes" tells nothing


def forget_words(
    ids: Ids, words: Collection[str], text: str | None = None, store: FeatureStore | None = None
) -> int:
    """Remove what is kept of rows, by their ids and by their words; return how many values.

    Values are known by the row's id, by a request that was just its words, or by holding
    them: an answer that repeats 20 or more characters of the row.

    Parameters
    ----------
    ids : V16 array
        Of the rows, ascending.
    words : collection of str
        Prompt, response and text of each.
    text : str, optional
        Answers that hold this go too.
    store : FeatureStore, optional
        By default that of `TAMIS_HOME`.
    """
    asked = [*words]
    requests = [
        request_ids(asked, None),
        *(request_ids([prompt] * len(asked), asked) for prompt in ["", *asked]),
    ]
    every = np.unique(np.concatenate([ids, *requests])) if asked else ids
    telling = [word for word in words if len(word) >= _TELLING] + ([text] if text else [])

    def unwanted(there: Ids, values: pa.Array) -> npt.NDArray[np.bool_]:
        return is_among(there, every) | _hold(values, telling)

    return sum(shelf.drop(unwanted) for shelf in (store or FeatureStore()).shelves())


def _hold(values: pa.Array, words: Collection[str]) -> npt.NDArray[np.bool_]:
    """Return which values hold one of the words, as text, in a list or in an object."""
    kind = values.type
    holds = np.zeros(len(values), bool)
    if pa.types.is_large_string(kind):
        for word in words:
            holds |= np.asarray(pc.match_substring(values, word))
    elif pa.types.is_large_list(kind):
        parents = np.asarray(pc.list_parent_indices(values))
        inner = _hold(pc.list_flatten(values), words)
        holds[parents[inner]] = True
    elif pa.types.is_struct(kind):
        for part in values.flatten():
            holds |= _hold(part, words)
    return holds
