"""AutoCompressors: a model writes summary vectors after each segment of a text, and reads them.

    σ_i = states at the κ summary tokens of [σ_<i ; segment i ; κ summary tokens]
    loss = −Σ_i Σ_t ln p(x_t of segment i | its tokens before t, σ_<i)

Chevalier et al., arXiv 2305.14788. As in the released code, the last token of a segment
foretells the first of the next, and gradients cross one hand-over in every two. Departures:
vectors have positions like any embedding (the released code gives them none), so that servers
that take prompt embeddings read them as they are; they are as long as embeddings are in the mean
(states after the last norm are 8 times as long in the bundled model: beside them, what its layers
add to a vector counts for nothing); no more than `memory` segments' vectors are kept, so that a
text of any length is read in bounded memory; and the slots may be taught to copy as well
(`copying`, 0 in the paper): what follows alone teaches a small model for a long time only to do
without the vectors.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, SettingError
from tamis.models.base import LanguageModel
from tamis.models.transformers import TransformersLM
from tamis.prompting.soft.base import Ids, Loss, last_states
from tamis.prompting.soft.prompts import SoftPrompts, Vectors
from tamis.prompting.soft.texts import tokens_of

try:
    import torch

    from tamis.models.lora import merged
    from tamis.models.passes import token_loss
    from tamis.models.tuning import trainable
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["SummaryVectors", "segment_lengths"]

Told = tuple[torch.Tensor, torch.Tensor]  # states of shape (b, t, hidden), and the (b, t) tokens

_SUBSTEP = 2  # segments that a gradient crosses
_LEAST = 2  # tokens of a segment


class SummaryVectors(SoftPrompts):
    """Compress text of any length into summary vectors, after AutoCompressors.

    Parameters
    ----------
    base : LanguageModel or str
        Of the transformers backend.
    slots : int
        Vectors a segment.
    segment : int
        Tokens a segment.
    memory : int
        Segments whose vectors are kept. Those of older ones are dropped, when later segments
        have read them; 1 is a recurrent memory transformer.
    lora : int
        Rank of what is learnt beside the vectors' own embeddings.
    copying : float
        Weight, in training, of the loss of a segment's last tokens, one foretold by each slot.
        The bundled one learnt with 1 at first, and then with 0.3.
    seed : int
        Of the first weights.

    See Also
    --------
    ICAE : its vectors are read by the base model as it is.

    Examples
    --------
    >>> sv = SummaryVectors.from_pretrained("bundled")  # doctest: +SKIP
    >>> z = sv.encode(open("minutes.txt").read())       # doctest: +SKIP
    >>> sv.generate(z, "Question: …").text              # doctest: +SKIP

    References
    ----------
    Chevalier et al., arXiv 2305.14788; Bulatov et al., arXiv 2207.06881 (`memory=1`).
    """

    name: ClassVar[str] = "summary-vectors"

    def __init__(
        self,
        base: LanguageModel | str = "bundled",
        *,
        slots: int = 50,
        segment: int = 256,
        memory: int = 3,
        lora: int = 16,
        copying: float = 0.0,
        seed: int = 0,
    ) -> None:
        if copying < 0:
            raise SettingError(f"{self.name}: copying={copying}; give 0 or more")
        lm = trainable(base, self.name)
        end = lm.tokenizer.eos_token_id or 0
        written = lm.module.get_input_embeddings().weight[end].detach().float()
        own = torch.nn.ParameterDict({"summary": written.repeat(slots, 1)})
        super().__init__(
            base, own, lora=lora, seed=seed, slots=slots, segment=segment, memory=memory,
            copying=copying,
        )  # fmt: skip
        table = self.base.module.get_input_embeddings().weight.detach()
        self._length = table.float().norm(dim=1).mean()
        self._longest = lm.context - (memory + 1) * slots
        if segment > self._longest or segment <= _LEAST:
            raise SettingError(
                f"{self.name}: segment={segment}, slots={slots}, memory={memory}: a segment of "
                f"{_LEAST + 1} to {self._longest} tokens fits the context of {lm.context}"
            )

    @property
    def reader(self) -> TransformersLM:
        """The model that writes the vectors: the same reads them."""
        return self.lm

    @property
    def window(self) -> tuple[int, int]:
        """Of `memory + 1` segments, whose lengths are drawn anew each time; two at least."""
        return (self.settings["memory"] + 1) * self.settings["segment"], 2 * (_LEAST + 1)

    def encode(self, text: str | Iterable[str]) -> Vectors:
        """Return a text's summary vectors, the newest last.

        Parameters
        ----------
        text : str or iterable of str
            A text, or its parts one after the other: the cuts change nothing.

        Returns
        -------
        float32 array of shape (slots · min(segments, memory), hidden)
            Each as long as the model's embeddings are in the mean.
        """
        return self.encode_tokens(tokens_of(self.base, text))

    def encode_tokens(self, parts: Iterable[Ids]) -> Vectors:
        """Return the summary vectors of tokens, given in parts; as `encode`."""
        device, dtype = self.base.module.device, self.base.module.dtype
        soft = self.own["summary"].new_empty(1, 0, self.own["summary"].shape[1])
        with self.lm.inference():
            for ids in _cut(parts, self.settings["segment"]):
                words = self._embedded(torch.from_numpy(ids).to(device))
                read = torch.cat([soft, words[None], self._asked(1)], dim=1).to(dtype)
                states = self.lm.module.base_model(inputs_embeds=read, use_cache=False)[0]
                soft = self._kept(soft, self._sized(states[:, -self.settings["slots"] :]))
        vectors: Vectors = soft[0].cpu().numpy()
        return vectors

    def save_reader(self, folder: str | Path) -> None:
        """Write the language model that reads the vectors, for transformers and for vLLM.

        `tamis.models.load("vllm:FOLDER?enable_prompt_embeds=true")` is then an `lm=` for
        `generate`.
        """
        whole = merged(self.lm)
        whole.module.save_pretrained(folder)
        whole.tokenizer.save_pretrained(folder)

    def losses(self, rows: Sequence[Ids], draw: np.random.Generator) -> Iterator[Loss]:
        """Yield the loss of every two segments, whose lengths are drawn."""
        ids = self._batch(rows)
        count = min(self.settings["memory"] + 1, ids.shape[1] // (_LEAST + 1))
        lengths = segment_lengths(ids.shape[1], count, self._longest, draw)
        yield from self._substeps(ids, self._embedded(ids), lengths)

    def _substeps(
        self, ids: torch.Tensor, words: torch.Tensor, lengths: npt.NDArray[np.int64]
    ) -> Iterator[Loss]:
        soft, begin = words[:, :0].float(), 0
        for first in range(0, len(lengths), _SUBSTEP):
            soft, told, copied = soft.detach(), list[Told](), list[Told]()
            for number in range(first, min(first + _SUBSTEP, len(lengths))):
                end = begin + int(lengths[number])
                more = [self._asked(len(ids))] if end < ids.shape[1] else []
                states = last_states(self.lm, torch.cat([soft, words[:, begin:end], *more], dim=1))
                targets = ids[:, begin + 1 : end + 1]
                at = soft.shape[1]
                told.append((states[:, at : at + targets.shape[1]], targets))
                written = states[:, at + end - begin :]
                if more:
                    last = min(self.settings["slots"], end - begin)
                    copied.append((written[:, -last:], ids[:, end - last : end]))
                soft = self._kept(soft, self._sized(written))
                begin = end
            loss, count = self._loss(told)
            if self.settings["copying"] and copied:
                loss = loss + self.settings["copying"] * self._loss(copied)[0]
            yield loss, count

    def _loss(self, told: list[Told]) -> Loss:
        """Return the loss of tokens that states foretell."""
        states = torch.cat([some.flatten(0, 1) for some, _ in told])
        targets = torch.cat([some.flatten() for _, some in told])
        return token_loss(self.lm, states, targets), len(targets)

    def _asked(self, count: int) -> torch.Tensor:
        """Return the summary tokens' embeddings, for each of `count` rows."""
        asked: torch.Tensor = self.own["summary"].expand(count, -1, -1)
        return asked

    def _sized(self, states: torch.Tensor) -> torch.Tensor:
        """Return states as long as the model's embeddings are in the mean."""
        return self._length * torch.nn.functional.normalize(states.float(), dim=-1)

    def _kept(self, soft: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
        """Join what was written to what is remembered; the oldest goes when that is full."""
        room = self.settings["memory"] * self.settings["slots"]
        return torch.cat([soft, written], dim=1)[:, -room:]


def segment_lengths(
    total: int, count: int, longest: int, draw: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw the lengths of segments that make up `total` tokens.

    Parameters
    ----------
    total : int
    count : int
        Of segments; `total` is at least three times that.
    longest : int
        Tokens of one, at most; `total` is at most `count` times that.
    draw : numpy Generator

    Returns
    -------
    int64 array of shape (count,)
        Each at least `max(ceil((total − longest) / (count − 1)), 2)`: then no other is longer
        than `longest`.

    References
    ----------
    arXiv 2305.14788, the sampler of the released trainer.
    """
    if count <= 1:
        return np.array([total])
    least = max(math.ceil((total - longest) / (count - 1)), _LEAST)
    free = total - count * least
    if free < count - 1:
        return np.diff(np.arange(count + 1) * total // count)
    breaks = np.sort(draw.choice(free, count - 1, replace=False))
    lengths: npt.NDArray[np.int64] = np.diff([0, *breaks, free]) + least
    return lengths


def _cut(parts: Iterable[Ids], length: int) -> Iterator[Ids]:
    """Yield the tokens of all parts, `length` at a time; the last may be fewer."""
    held = np.empty(0, np.int64)
    for part in parts:
        held = np.concatenate([held, part])
        while len(held) >= length:
            yield held[:length]
            held = held[length:]
    if len(held):
        yield held
