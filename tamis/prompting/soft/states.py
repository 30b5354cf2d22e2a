"""Keys and values that are kept of a text, in every layer, and writing on from them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, ModelError
from tamis.models.base import Prompt
from tamis.models.tokens import TextTokenizer
from tamis.models.transformers import TransformersLM
from tamis.prompting.soft.base import Ids, following

try:
    import torch
    from transformers import DynamicCache
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["KeptStates", "answer", "cache_of", "kept", "logprobs_after"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class KeptStates:
    """What is kept of a text.

    Attributes
    ----------
    keys, values : float32 arrays of shape (layers, heads, k, d)
        Keys carry the positions that their tokens had.
    positions : int64 array of shape (k,)
        Which tokens of the text they are of.
    length : int
        How many tokens the text had: what follows goes on from that position.
    """

    keys: Floats
    values: Floats
    positions: Ids
    length: int

    @property
    def nbytes(self) -> int:
        """Size of keys and values."""
        return self.keys.nbytes + self.values.nbytes


def cache_of(cache: DynamicCache, rows: torch.Tensor) -> DynamicCache:
    """Return a cache of the chosen rows alone; gradients go through.

    Parameters
    ----------
    cache : DynamicCache
        Of a batch of b texts.
    rows : int64 tensor of shape (b, k)
    """
    chosen = DynamicCache()
    for number, layer in enumerate(cache.layers):
        _, heads, _, d = layer.keys.shape
        at = rows[:, None, :, None].expand(-1, heads, -1, d)
        chosen.update(layer.keys.gather(2, at), layer.values.gather(2, at), number)
    return chosen


def kept(cache: DynamicCache, rows: torch.Tensor, length: int) -> KeptStates:
    """Return the chosen rows, of shape (1, k), of a text's cache."""
    layers = cache_of(cache, rows).layers
    return KeptStates(
        torch.cat([layer.keys for layer in layers]).float().cpu().numpy(),
        torch.cat([layer.values for layer in layers]).float().cpu().numpy(),
        rows[0].cpu().numpy(),
        length,
    )


def answer(lm: TransformersLM, states: KeptStates, prompt: Prompt, max_tokens: int) -> str:
    """Return what the model finds likeliest after the text of the states, and a prompt.

    Raises
    ------
    ModelError
        If the prompt has no token, or all together pass the model's context.
    """
    ids = following(lm, prompt)
    if not len(ids):
        raise ModelError(f"{lm.name}: an empty prompt after kept states; give a few words")
    TextTokenizer(lm.tokenizer, lm.name).check_fits(
        0, states.length + len(ids), max_tokens, lm.context
    )
    ends = lm.module.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    cache, written = _filled(lm, states), list[int]()
    with lm.inference():
        while len(written) < max_tokens:
            logits = _onward(lm, cache, ids, states.length, len(states.positions))[-1]
            token = int(logits.argmax())
            if token in ends:
                break
            written.append(token)
            ids = np.array([token])
    return str(lm.tokenizer.decode(written, skip_special_tokens=True))


def logprobs_after(lm: TransformersLM, states: KeptStates, text: str) -> Floats:
    """Return the natural log-probability of each token of a text, but the first, after states.

    Returns
    -------
    float32 array of shape (t − 1,)
        What foretells the first token is not kept.
    """
    ids = following(lm, text)
    with lm.inference():
        cache = _filled(lm, states)
        logits = _onward(lm, cache, ids, states.length, len(states.positions))[:-1]
        right = torch.from_numpy(ids[1:]).to(logits.device)
        told = logits.float().log_softmax(-1).gather(1, right[:, None])[:, 0]
    found: Floats = told.cpu().numpy()
    return found


def _filled(lm: TransformersLM, states: KeptStates) -> DynamicCache:
    cache = DynamicCache()
    device, dtype = lm.module.device, lm.module.dtype
    for number, (keys, values) in enumerate(zip(states.keys, states.values, strict=True)):
        cache.update(
            torch.from_numpy(keys)[None].to(device, dtype),
            torch.from_numpy(values)[None].to(device, dtype),
            number,
        )
    return cache


def _onward(
    lm: TransformersLM, cache: DynamicCache, ids: Ids, length: int, count: int
) -> torch.Tensor:
    """Return the logits after each token, of shape (t, words); the cache grows by them."""
    begin = length + cache.get_seq_length() - count
    positions = torch.arange(begin, begin + len(ids), device=lm.module.device)[None]
    output = lm.module(
        input_ids=torch.from_numpy(ids)[None].to(lm.module.device),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
    logits: torch.Tensor = output.logits[0]
    return logits
