"""ICAE: an encoder with low-rank additions writes a context into slots; the frozen model reads.

    slots = states at the m memory tokens of [context ; m memory tokens]     the encoder
    loss  = −Σ_t ln p(x_t | slots, marker, x_<t)                            the frozen model

Ge et al., arXiv 2307.06945. The marker says what follows: [AE] the context again, [LM] what
comes after it, [FT] a prompt and its response. As in the released code, a context of more than
m · ratio tokens is cut into spans of equal length, each of which gives m slots; the loss of a
continuation leaves out its first tokens, and only the other two end with the end token.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from tamis.errors import DataError, MissingExtraError, SettingError
from tamis.models.base import Generation, LanguageModel, Prompt
from tamis.models.transformers import TransformersLM
from tamis.prompting.soft.base import Ids, Loss, last_states
from tamis.prompting.soft.prompts import SoftPrompts, Vectors
from tamis.prompting.soft.rows import Row, rows_of
from tamis.prompting.soft.texts import tokens_of
from tamis.prompting.soft.training import fit

try:
    import torch

    from tamis.models.lora import frozen
    from tamis.models.passes import token_loss
    from tamis.models.tuning import trainable
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["ICAE", "spans_of"]

_CONTINUED = 64  # tokens: a shorter continuation teaches nothing
_SKIPPED = 8  # of its tokens: they hang on what stands right before
_LEAST = 2  # tokens of a window


class ICAE(SoftPrompts):
    """Compress a context into memory slots that the base model reads as it is.

    Parameters
    ----------
    base : LanguageModel or str
        Of the transformers backend.
    slots : int
        Slots a span.
    ratio : int
        Tokens a slot: a span has up to `slots · ratio`.
    lm_ratio : float
        Share of the batches of `train` that go on from the slots of a text's first half; the
        rest give a text back. The released code's default is 0.
    lora : int
        Rank of the encoder's additions.
    seed : int
        Of the first weights.

    See Also
    --------
    SummaryVectors : reads texts of any length into a bounded number of vectors.

    References
    ----------
    Ge et al., arXiv 2307.06945; the spans are the released code's, version 2.
    """

    name: ClassVar[str] = "icae"

    def __init__(
        self,
        base: LanguageModel | str = "bundled",
        *,
        slots: int = 128,
        ratio: int = 4,
        lm_ratio: float = 0.4,
        lora: int = 128,
        seed: int = 0,
    ) -> None:
        lm = trainable(base, self.name)
        table = lm.module.get_input_embeddings().weight.detach().float()
        noise = torch.Generator().manual_seed(seed)
        drawn = torch.randn(slots + 3, table.shape[1], generator=noise).to(table.device)
        drawn = table.mean(0) + table.std(0) * drawn
        own = torch.nn.ParameterDict(
            {"memory": drawn[3:], "ae": drawn[:1], "lm": drawn[1:2], "ft": drawn[2:3]}
        )
        super().__init__(
            base, own, lora=lora, seed=seed, slots=slots, ratio=ratio, lm_ratio=lm_ratio
        )
        self.decoder = frozen(self.base)
        if slots * (ratio + 1) > lm.context:
            raise SettingError(
                f"{self.name}: slots={slots}, ratio={ratio}: a span and its slots are "
                f"{slots * (ratio + 1)} tokens, but the context is {lm.context}; give fewer"
            )

    @property
    def reader(self) -> TransformersLM:
        """The base model: it reads the slots without ever having been trained."""
        return self.decoder

    @property
    def window(self) -> tuple[int, int]:
        """Half a context at most: the decoder reads slots, a marker, and the window again."""
        span = self.settings["slots"] * self.settings["ratio"]
        return min(span, self.base.context // 2), _LEAST

    def tune(
        self,
        contexts: Sequence[str],
        prompts: Sequence[str],
        responses: Sequence[str],
        *,
        epochs: int = 1,
        learning_rate: float | None = None,
        batch_tokens: int | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Go on training, on responses to prompts about contexts that are read from slots.

        Parameters
        ----------
        contexts, prompts, responses : sequences of str
            One each; the loss is on the responses.
        epochs, learning_rate, batch_tokens, seed, progress
            As for `tamis.models.tuning.tune`.
        """
        fit(
            self, rows_of(self.base, contexts, prompts, responses), epochs=epochs, seed=seed,
            learning_rate=learning_rate, batch_tokens=batch_tokens, progress=progress,
        )  # fmt: skip

    def encode(self, text: str | Iterable[str]) -> Vectors:
        """Return a text's slots, in the order of its spans.

        Returns
        -------
        float32 array of shape (slots · spans, hidden)
        """
        ids = np.concatenate([np.empty(0, np.int64), *tokens_of(self.base, text)])
        if not len(ids):
            return np.empty((0, self.own["memory"].shape[1]), np.float32)
        with self.lm.inference():
            given = torch.from_numpy(ids)[None].to(self.base.module.device)
            slots: Vectors = self._written(given)[0].float().cpu().numpy()
        return slots

    def restore(self, vectors: Vectors, **how: Any) -> Generation:  # noqa: ANN401
        """Return the text that the slots stand for, as the frozen model reads it off them.

        Parameters
        ----------
        vectors : float array of shape (k, hidden)
        **how
            As for `LanguageModel.generate`.
        """
        marker = self.own["ae"].detach().cpu().numpy()
        soft: Any = [np.concatenate([self._checked(vectors), marker])]
        return self.reader.generate(soft, **how)[0]

    def prompt_embeddings(self, vectors: Vectors, prompt: Prompt) -> Vectors:
        """Return what stands for text, the marker [FT] and prompt: float32, (k + 1 + t, hidden)."""
        return super().prompt_embeddings(vectors, prompt)

    def losses(self, rows: Sequence[Ids | Row], draw: np.random.Generator) -> Iterator[Loss]:
        """Yield the loss of a batch of windows, or of rows one by one."""
        yield from (self._answer_loss(row) for row in rows if isinstance(row, Row))
        texts = [row for row in rows if not isinstance(row, Row)]
        if texts:
            yield self._text_loss(self._batch(texts), draw)

    def _text_loss(self, ids: torch.Tensor, draw: np.random.Generator) -> Loss:
        half = ids.shape[1] // 2
        if half > _CONTINUED and draw.random() < self.settings["lm_ratio"]:
            return self._loss(self._written(ids[:, :half]), "lm", ids[:, half:], _SKIPPED)
        end = torch.full_like(ids[:, :1], self._end())
        return self._loss(self._written(ids), "ae", torch.cat([ids, end], dim=1), 0)

    def _answer_loss(self, row: Row) -> Loss:
        device = self.base.module.device
        slots = self._written(torch.from_numpy(row.context)[None].to(device))
        told = torch.from_numpy(np.append(row.rest, self._end()))[None].to(device)
        return self._loss(slots, "ft", told, row.first)

    def _loss(self, slots: torch.Tensor, marker: str, ids: torch.Tensor, first: int) -> Loss:
        """Return the frozen model's loss of tokens from `first` on, after slots and marker."""
        before = self.own[marker].expand(len(ids), -1, -1)
        words = self._embedded(ids[:, :-1])
        states = last_states(self.decoder, torch.cat([slots.float(), before, words.float()], dim=1))
        scored = states[:, slots.shape[1] + first :]
        targets = ids[:, first:].flatten()
        return token_loss(self.decoder, scored.flatten(0, 1), targets), len(targets)

    def _written(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the slots of contexts of shape (b, n): (b, slots · spans, hidden)."""
        count = self.settings["slots"]
        memory = self.own["memory"].expand(len(ids), -1, -1)
        return torch.cat(
            [
                last_states(self.lm, torch.cat([self._embedded(ids[:, a:b]), memory], dim=1))[
                    :, -count:
                ]
                for a, b in spans_of(ids.shape[1], count * self.settings["ratio"])
            ],
            dim=1,
        )

    def _before_prompt(self) -> list[Vectors]:
        return [self.own["ft"].detach().cpu().numpy()]

    def _end(self) -> int:
        end = self.base.tokenizer.eos_token_id
        if end is None:
            raise DataError(f"{self.name}: {self.base.name} has no end token; give it one")
        return int(end)


def spans_of(length: int, longest: int) -> list[tuple[int, int]]:
    """Cut `length` tokens into as few spans as `longest` allows, all but the last equally long.

    >>> spans_of(1000, 512)
    [(0, 500), (500, 1000)]
    """
    step = -(-length // -(-length // longest))
    return [(begin, min(begin + step, length)) for begin in range(0, length, step)]
