"""What goes to another process, and what comes back.

A function goes with all that it holds. A model in it that was loaded by a name goes as that
name, and is loaded once where it arrives: weights do not travel. What comes back is an answer,
or the error that there was instead, and the tokens that models read for it.
"""

import io
import pickle
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from ray.cloudpickle import CloudPickler

from tamis.errors import ModelError
from tamis.models.account import counting, spend
from tamis.models.base import Embedder, LanguageModel
from tamis.models.judges import Judge

__all__ = ["Parcel", "answered", "cells", "packed", "worked"]


class Parcel(NamedTuple):
    """A function as it travels.

    Attributes
    ----------
    content : bytes
    models : list
        The models in it, which want to be kept where they are loaded.
    """

    content: bytes
    models: list[object]

    @property
    def stays(self) -> bool:
        """Whether one process asks for all: a server, which keeps one account, or Ray itself."""
        return any(hasattr(model, name) for model in self.models for name in ("usage", "together"))

    @property
    def together(self) -> int:
        """How many requests a model in it wants at once; 0 where none says."""
        return max((getattr(model, "together", 0) for model in self.models), default=0)

    @property
    def wants_card(self) -> bool:
        """Whether it runs a network, which a GPU is for."""
        return any(hasattr(model, name) for model in self.models for name in ("module", "llm"))


def packed(function: Callable[..., Any]) -> Parcel:
    """Make a parcel of a function.

    Raises
    ------
    ModelError
        If it holds something that cannot leave this process.
    """
    room = io.BytesIO()
    packer = _Packer(room)
    try:
        packer.dump(function)
    except (TypeError, pickle.PicklingError) as error:
        raise ModelError(
            f"{function}: cannot go to another process ({error}); give models by name, "
            "such as 'transformers:ID', or run with --engine local"
        ) from error
    return Parcel(room.getvalue(), packer.models)


def worked(function: Callable[[], Any]) -> bytes:
    """Call a function; return what came of it, to be opened by `answered`."""
    answer, met = None, None
    with counting() as account:
        try:
            answer = function()
        except Exception as error:
            met = error
    return _together((answer, met, account))


def answered(content: bytes | memoryview) -> Any:  # noqa: ANN401 - whatever the function returned
    """Return what `worked` brought, and enter what it cost here; raise the error that it met."""
    answer, error, account = _apart(memoryview(content))
    spend(account.tokens, account.money)
    if error is not None:
        raise error
    return answer


def cells(column: pa.ChunkedArray) -> Iterator[memoryview]:
    """Yield what a column of large binaries holds, where it lies: as scalars it would be copied."""
    for chunk in column.chunks:
        _, ends, content = chunk.buffers()
        bounds = np.frombuffer(ends, np.int64, len(chunk) + 1, 8 * chunk.offset).tolist()
        whole = memoryview(content or b"")
        yield from (whole[start:end] for start, end in pairwise(bounds))


def _together(thing: Any) -> bytes:  # noqa: ANN401 - any object
    """Pickle a thing; its arrays go behind it as they are, each copied once."""
    arrays: list[pickle.PickleBuffer] = []
    content = pickle.dumps(thing, protocol=5, buffer_callback=arrays.append)
    pieces = [memoryview(content), *(array.raw() for array in arrays)]
    sizes = [len(pieces), *(len(piece) for piece in pieces)]
    return b"".join([struct.pack(f"{len(sizes)}q", *sizes), *pieces])


def _apart(content: memoryview) -> Any:  # noqa: ANN401 - what was put together
    (count,) = struct.unpack_from("q", content)
    sizes = struct.unpack_from(f"{count}q", content, 8)
    ends = list(accumulate(sizes, initial=8 * (1 + count)))
    pieces = [content[start:end] for start, end in pairwise(ends)]
    return pickle.loads(pieces[0], buffers=map(bytearray, pieces[1:]))  # content is read-only


class _Packer(CloudPickler):  # type: ignore[misc]
    """Notes the models that it meets, and sends those that have a name by their name."""

    def __init__(self, room: io.BytesIO) -> None:
        super().__init__(room, protocol=5)
        self.models: list[object] = []

    def reducer_override(self, thing: Any) -> Any:  # noqa: ANN401 - any object, and pickle's answer
        if not isinstance(thing, type) and isinstance(thing, LanguageModel | Embedder | Judge):
            self.models.append(thing)
            if (call := getattr(thing, "loaded_by", None)) is not None:
                return _loaded_again, (pickle.dumps(call), thing.fingerprint)
        return super().reducer_override(thing)


@lru_cache(maxsize=2)
def _loaded_again(call: bytes, fingerprint: str) -> Any:  # noqa: ANN401 - a model
    model = pickle.loads(call)()
    if model.fingerprint != fingerprint:
        raise ModelError(
            f"{model!r}: another model here than where the run began, or one that was changed "
            "after it was loaded; give every machine the same files"
        )
    return model
