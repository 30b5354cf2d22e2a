"""What goes to another process, and what comes back.

A function goes with all that it holds. A model in it that was loaded by a name goes as that
name, and is loaded once where it arrives: weights do not travel. What comes back is an answer,
or the error that there was instead, and the tokens that models read for it.
"""

import io
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from ray.cloudpickle import CloudPickler

from tamis.errors import ModelError
from tamis.models.account import counting, spend
from tamis.models.base import Embedder, LanguageModel
from tamis.models.judges import Judge

__all__ = ["Parcel", "answered", "packed", "worked"]


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
    return pickle.dumps((answer, met, account), protocol=5)


def answered(content: bytes | memoryview) -> Any:  # noqa: ANN401 - whatever the function returned
    """Return what `worked` brought, and enter what it cost here; raise the error that it met."""
    answer, error, account = pickle.loads(content)
    spend(account.tokens, account.money)
    if error is not None:
        raise error
    return answer


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
