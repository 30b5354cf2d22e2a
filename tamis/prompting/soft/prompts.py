"""Compressors whose vectors stand before a prompt as embeddings: encode, generate, score."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, SettingError
from tamis.models.base import Generation, LanguageModel, Prompt
from tamis.models.tokens import TextTokenizer
from tamis.models.transformers import TransformersLM
from tamis.prompting.soft.base import Ids, following
from tamis.prompting.soft.texts import TextCompressor

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "models") from error

__all__ = ["SoftPrompts"]

Vectors = npt.NDArray[np.float32]


class SoftPrompts(TextCompressor):
    """A compressor of text into vectors that a language model reads as embeddings."""

    @property
    @abstractmethod
    def reader(self) -> TransformersLM:
        """The language model that reads the vectors."""

    @abstractmethod
    def encode(self, text: str | Iterable[str]) -> Vectors:
        """Return a text as vectors: float32 of shape (k, hidden)."""

    def generate(
        self,
        vectors: Vectors,
        prompt: Prompt,
        *,
        lm: LanguageModel | None = None,
        **how: Any,  # noqa: ANN401 - the backend's own
    ) -> Generation:
        """Answer a prompt that follows the text of the vectors.

        Parameters
        ----------
        vectors : float array of shape (k, hidden)
            What `encode` gave; several texts' may be joined.
        prompt : str or messages
        lm : LanguageModel, optional
            What runs the reader: by default transformers, in this process. A vLLM engine of
            what `save_reader` wrote, loaded with `enable_prompt_embeds=True`, gives the same.
        **how
            As for `LanguageModel.generate`: `max_tokens`, `temperature`, `n`, ….
        """
        soft: Any = [self.prompt_embeddings(vectors, prompt)]
        return (lm or self.reader).generate(soft, **how)[0]

    def prompt_embeddings(self, vectors: Vectors, prompt: Prompt) -> Vectors:
        """Return what stands for text and prompt: float32 of shape (k + t, hidden).

        Any server that takes prompt embeddings, and runs the reader, takes it.
        """
        return self._given(vectors, self._ids(vectors, prompt))

    def logprobs(self, vectors: Vectors, text: str) -> npt.NDArray[np.float32]:
        """Return the natural log-probability of each token of a text that follows the vectors.

        Returns
        -------
        float32 array of shape (t,)

        Notes
        -----
        With no vectors the text stands alone: its first token then has a probability only
        where the tokenizer puts another before it.
        """
        return self.logprobs_of(vectors, self._ids(vectors, text))

    def logprobs_of(self, vectors: Vectors, ids: Ids) -> npt.NDArray[np.float32]:
        """Return the log-probability of each token that follows the vectors; as `logprobs`."""
        given = self._given(vectors, ids)
        before = len(given) - len(ids)
        first = max(before, 1)  # the first of all is foretold by nothing
        module = self.reader.module
        with self.reader.inference():
            soft = torch.from_numpy(given).to(module.device, module.dtype)
            states = module.base_model(inputs_embeds=soft[None], use_cache=False)[0][0]
            logits = module.get_output_embeddings()(states[first - 1 : -1]).float()
            right = torch.from_numpy(ids[first - before :]).to(logits.device)
            told = logits.log_softmax(-1).gather(1, right[:, None])[:, 0]
        found: npt.NDArray[np.float32] = told.cpu().numpy()
        return found

    def _given(self, vectors: Vectors, ids: Ids) -> Vectors:
        rows = self._embedded(torch.from_numpy(ids).to(self.base.module.device))
        words = rows.float().cpu().numpy()
        return np.concatenate([self._checked(vectors), *self._before_prompt(), words])

    def _before_prompt(self) -> list[Vectors]:
        """Return the embeddings that part the vectors from the prompt."""
        return []

    def _ids(self, vectors: Vectors, prompt: Prompt) -> Ids:
        """Return a prompt's tokens, begun as a text where there are no vectors."""
        if len(vectors):
            return following(self.base, prompt)
        return TextTokenizer(self.base.tokenizer, self.base.name).encode([prompt])[0].ids

    def _checked(self, vectors: Vectors) -> Vectors:
        width = int(self.base.module.config.hidden_size)
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != width:
            raise SettingError(
                f"{self.name}: vectors of shape {vectors.shape}; give what encode returned, "
                f"of shape (k, {width})"
            )
        return vectors
