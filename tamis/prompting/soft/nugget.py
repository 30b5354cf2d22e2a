"""Nuggets: a share of a text's tokens, chosen by a scorer, whose states stand for all of it.

    s = scorer(states after layer λ);  nuggets = the k = ceil(r · n) highest, and the last token
    attention of later tokens to nugget j  +=  s_j − stopgrad(s_j)

Qin, Rosset, Chau, Rao and Van Durme, arXiv 2310.02409 (Nugget 2D: states of all layers). The
added term is 0, and carries the gradient that teaches the scorer. The encoder (φ) has low-rank
additions; the decoder (θ) is the base model, frozen. What is decoded sees the nuggets and its
own tokens.
"""

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, SettingError
from tamis.models.base import LanguageModel, Prompt
from tamis.prompting.soft.base import Ids, Loss
from tamis.prompting.soft.states import KeptStates, answer, cache_of, kept, logprobs_after
from tamis.prompting.soft.texts import TextCompressor, tokens_of

try:
    import torch
    from transformers import DynamicCache

    from tamis.models.lora import frozen
    from tamis.models.passes import computing, token_loss
    from tamis.models.tuning import trainable
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["Nugget"]

_LEAST = 4  # tokens of a window


class Nugget(TextCompressor):
    """Compress a text to the states of some of its own tokens.

    Parameters
    ----------
    base : LanguageModel or str
        Of the transformers backend.
    share : float
        Of the tokens that are kept: k = ceil(share · n).
    layer : int
        The scorer reads the states after this one. The paper takes 3, of 32.
    lm_ratio : float
        Share of the batches of `train` that go on from the nuggets of a text's first half; the
        rest give a text back.
    lora : int
        Rank of the encoder's additions.
    seed : int
        Of the first weights.

    See Also
    --------
    Gist : the same number of states for any instruction.

    References
    ----------
    Qin et al., arXiv 2310.02409.
    """

    name: ClassVar[str] = "nugget"

    def __init__(
        self,
        base: LanguageModel | str = "bundled",
        *,
        share: float = 0.1,
        layer: int = 1,
        lm_ratio: float = 0.5,
        lora: int = 32,
        seed: int = 0,
    ) -> None:
        lm = trainable(base, self.name)
        layers, width = lm.module.config.num_hidden_layers, lm.module.config.hidden_size
        if not 0 < share <= 1 or layer > layers:
            raise SettingError(
                f"{self.name}: share={share}, layer={layer}; "
                f"give a share of up to 1, and a layer of up to {layers}"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            scorer = torch.nn.Sequential(
                torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.Linear(width, 1)
            )
        super().__init__(
            base, scorer, lora=lora, seed=seed, share=share, layer=layer, lm_ratio=lm_ratio
        )
        self.decoder = frozen(self.base)

    @property
    def window(self) -> tuple[int, int]:
        """Half a context: what is given back has positions after those of the text."""
        return self.base.context // 2, _LEAST

    def compress(self, text: str) -> KeptStates:
        """Return the states of a text's nuggets; `positions` says which tokens they are."""
        ids = np.concatenate([np.empty(0, np.int64), *tokens_of(self.base, text)])
        if len(ids) > self.base.context:
            raise SettingError(
                f"{self.name}: the text has {len(ids)} tokens, but {self.base.name} reads "
                f"{self.base.context}; give it in parts"
            )
        with self.lm.inference():
            cache, rows, _ = self._read(torch.from_numpy(ids)[None].to(self.base.module.device))
            return kept(cache, rows, len(ids))

    def generate(self, states: KeptStates, prompt: Prompt, *, max_tokens: int = 64) -> str:
        """Return the likeliest answer to a prompt that follows the text."""
        return answer(self.decoder, states, prompt, max_tokens)

    def logprobs(self, states: KeptStates, text: str) -> npt.NDArray[np.float32]:
        """Return the log-probabilities of a text's tokens, but the first, after the nuggets.

        Returns
        -------
        float32 array of shape (t − 1,)
        """
        return logprobs_after(self.decoder, states, text)

    def losses(self, rows: Sequence[Ids], draw: np.random.Generator) -> Iterator[Loss]:
        """Yield the loss of giving windows back, or of going on from their first halves."""
        ids = self._batch(rows)
        half = ids.shape[1] // 2
        goes_on = draw.random() < self.settings["lm_ratio"]
        yield self._loss(*((ids[:, :half], ids[:, half:]) if goes_on else (ids, ids)))

    def _loss(self, text: torch.Tensor, told: torch.Tensor) -> Loss:
        """Return the frozen model's loss of tokens that follow the nuggets of a text."""
        cache, rows, scores = self._read(text)
        states = self._decoded(cache_of(cache, rows), scores, told[:, :-1], text.shape[1])
        targets = told[:, 1:].flatten()
        return token_loss(self.decoder, states.flatten(0, 1), targets), len(targets)

    def _read(self, ids: torch.Tensor) -> tuple[DynamicCache, torch.Tensor, torch.Tensor]:
        """Return the states of all tokens, the nuggets' places, in order, and their scores."""
        with computing(self.lm):
            read = self.lm.module.base_model(
                input_ids=ids, use_cache=True, output_hidden_states=True
            )
            scores = self.own(read.hidden_states[self.settings["layer"]])[..., 0].float()
        count = math.ceil(self.settings["share"] * ids.shape[1])
        ranked = scores.detach().clone()
        ranked[:, -1] = torch.inf  # the last token is always one
        rows = ranked.topk(count, dim=1).indices.sort(dim=1).values
        return read.past_key_values, rows, scores.gather(1, rows)

    def _decoded(
        self,
        nuggets: DynamicCache,
        scores: torch.Tensor,
        ids: torch.Tensor,
        length: int,
    ) -> torch.Tensor:
        """Return the frozen model's states of tokens that see the nuggets and each other."""
        batch, size = ids.shape
        through = (scores - scores.detach())[:, None, :].expand(-1, size, -1)
        own = torch.full((size, size), torch.finfo(torch.float32).min, device=ids.device).triu(1)
        bias = torch.cat([through, own.expand(batch, -1, -1)], dim=2)[:, None]
        positions = torch.arange(length, length + size, device=ids.device)[None]
        with computing(self.decoder):
            output = self.decoder.module.base_model(
                input_ids=ids,
                attention_mask=bias.to(self.decoder.module.dtype),
                position_ids=positions,
                past_key_values=nuggets,
                use_cache=True,
            )
        states: torch.Tensor = output.last_hidden_state
        return states
