"""Read tokens bit by bit, keeping what was read in a key-value cache that can be cut.

For methods that work on a model's own tokens and reread a text of which parts were dropped.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tamis.errors import SettingError

__all__ = ["Reading", "TokenReader", "token_reader"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class Reading(Protocol):
    """A sequence, read so far."""

    @property
    def length(self) -> int:
        """Tokens in the cache."""
        ...

    def read(self, ids: Ids, end: int | None = None) -> Floats:
        """Read `ids[length:end]`; return the losses of all but the first of these.

        No more is read than the model's context beyond what the cache holds.
        """
        ...

    def crop(self, length: int) -> None:
        """Forget all but the first tokens (a negative number: all but so many last)."""
        ...

    def drop(self, start: int, count: int) -> None:
        """Forget `count` tokens from `start` on; what is left keeps its positions."""
        ...


@runtime_checkable
class TokenReader(Protocol):
    """A model that reads its own tokens."""

    context: int

    def encode(self, text: str) -> tuple[Ids, Ids]:
        """Return a text's tokens, and their spans: shapes (t,) and (t, 2)."""
        ...

    def framed(self, text: str) -> Ids:
        """Return a text's tokens with those that the tokenizer puts around it."""
        ...

    def open(self) -> Reading:
        """Return a reading that has read nothing."""
        ...


def token_reader(lm: object) -> TokenReader:
    """Return a reader of the model's tokens.

    Raises
    ------
    SettingError
        If it is no model of transformers.
    """
    inner = getattr(lm, "lm", lm)
    if isinstance(inner, TokenReader):
        return inner
    if not hasattr(inner, "module"):
        raise SettingError(
            f"{inner!r} does not show its key-value cache, which reference=True cuts; "
            "give a transformers: model"
        )
    return _Transformers(inner)


class _Transformers:
    """The tokens of a `TransformersLM`."""

    def __init__(self, lm: Any) -> None:  # noqa: ANN401 - importing it would import torch
        self.module, self.tokenizer, self.context = lm.module, lm.tokenizer, int(lm.context)

    def encode(self, text: str) -> tuple[Ids, Ids]:
        said = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        spans = np.array(said["offset_mapping"], np.int64).reshape(-1, 2)
        return np.array(said["input_ids"], np.int64), spans

    def framed(self, text: str) -> Ids:
        return np.array(self.tokenizer(text, verbose=False)["input_ids"], np.int64)

    def open(self) -> Reading:
        return _CachedReading(self.module, self.context)


class _CachedReading:
    """A reading whose cache is transformers' own."""

    def __init__(self, module: Any, context: int) -> None:  # noqa: ANN401
        from transformers import DynamicCache

        self.module, self.context = module, context
        self.cache: Any = DynamicCache()

    @property
    def length(self) -> int:
        return int(self.cache.get_seq_length())

    def read(self, ids: Ids, end: int | None = None) -> Floats:
        import torch

        from tamis.models.packed import OneDNN

        stop = min(len(ids) if end is None else end, self.length + self.context)
        some = torch.from_numpy(ids[self.length : stop])[None].to(self.module.device)
        if some.shape[1] == 0:
            return np.empty(0, np.float32)
        with torch.inference_mode(), OneDNN():
            logits = self.module(input_ids=some, past_key_values=self.cache, use_cache=True).logits[
                0, :-1
            ]
            chosen = logits.gather(1, some[0, 1:, None])[:, 0].float()
            losses: Floats = (logits.float().logsumexp(-1) - chosen).cpu().numpy()
        return losses

    def crop(self, length: int) -> None:
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[..., :length, :], layer.values[..., :length, :]

    def drop(self, start: int, count: int) -> None:
        import torch

        for layer in self.cache.layers:
            layer.keys, layer.values = (
                torch.cat([rows[..., :start, :], rows[..., start + count :, :]], dim=-2)
                for rows in (layer.keys, layer.values)
            )
