"""New tokens for a frozen model: learnt as embeddings that stand before a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, SettingError
from tamis.models.base import Prompt
from tamis.models.tokens import TextTokenizer
from tamis.models.transformers import TransformersLM

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "models") from error

__all__ = ["ConceptTokens"]

_TOGETHER = 16
_LONGEST = 512  # tokens of an example; its end is kept

Pair = tuple[Prompt, str]


@dataclass(eq=False)
class ConceptTokens:
    """The tokens of each task, as embeddings of a model that is not changed.

    Attributes
    ----------
    lm : TransformersLM
    vectors : float tensor of shape (tasks, tokens, hidden)
        The only ones that are learnt: a vocabulary's own embeddings get no gradient.
    """

    lm: TransformersLM
    vectors: torch.Tensor

    @classmethod
    def of(cls, lm: object, tasks: int, tokens: int) -> "ConceptTokens":
        """Start every task's tokens at the embeddings of the first words of the vocabulary.

        Raises
        ------
        SettingError
            If the model's embeddings cannot be had.
        """
        lm = getattr(lm, "lm", lm)  # a cached model
        if not isinstance(lm, TransformersLM):
            raise SettingError(
                f"LatentConcept: {lm!r} has no embeddings to learn; give one of the "
                "transformers backend"
            )
        first = lm.module.get_input_embeddings().weight.detach()[:tokens].float()
        return cls(lm, first.repeat(tasks, 1, 1).clone())

    def train(
        self,
        texts: Sequence[Pair],
        tasks: npt.NDArray[np.int64],
        *,
        steps: int,
        batch: int,
        learning_rate: float,
        seed: int,
    ) -> list[float]:
        """Learn −Σ ln p(response | concept, prompt); return the loss of each step."""
        encoded = self._encoded(texts)
        rng = np.random.default_rng(seed)
        self.vectors.requires_grad_(True)
        optimizer = torch.optim.Adam([self.vectors], lr=learning_rate)
        losses = []
        for _ in range(steps):
            some = rng.integers(len(texts), size=min(batch, len(texts)))
            loss = self._loss([encoded[i] for i in some], tasks[some])
            optimizer.zero_grad()
            (gradient,) = torch.autograd.grad(loss, [self.vectors])  # of these alone
            self.vectors.grad = gradient
            optimizer.step()
            losses.append(float(loss.detach()))
        self.vectors = self.vectors.detach()
        return losses

    def told(self, texts: Sequence[Pair]) -> npt.NDArray[np.float64]:
        """Return how likely each task's tokens are after each text.

        Returns
        -------
        float64 array of shape (texts, tasks)
            Sum of the tokens' log-probabilities, among all words and all tasks' tokens. The
            tokens' output rows are their embeddings, as where the two are tied.
        """
        encoded = [np.concatenate(pair) for pair in self._encoded(texts)]
        tasks, tokens, hidden = self.vectors.shape
        scores = np.empty((len(encoded), tasks))
        with torch.inference_mode():
            for row, ids in enumerate(encoded):
                words = self._words(ids).expand(tasks, -1, -1)
                given = torch.cat([words, self.vectors[:, :-1].to(words)], dim=1)
                state = self.lm.module.base_model(inputs_embeds=given, use_cache=False)[0]
                last = state[:, -tokens:]
                own = last.float() @ self.vectors.reshape(-1, hidden).T
                head = self.lm.module.get_output_embeddings()(last).float()
                every = torch.cat([head, own], dim=2).log_softmax(dim=2)
                places = torch.arange(tasks * tokens).reshape(tasks, tokens, 1) + head.shape[2]
                scores[row] = every.gather(2, places.to(every.device))[..., 0].sum(1).cpu()
        return scores

    def _loss(
        self, examples: Sequence[tuple[Any, Any]], tasks: npt.NDArray[np.int64]
    ) -> torch.Tensor:
        """Return the mean loss of a token of the responses, each after its concept and prompt."""
        device = self.lm.module.device
        given = [
            torch.cat([self.vectors[task], self._words(np.concatenate(pair))[0]])
            for pair, task in zip(examples, tasks, strict=True)
        ]
        padded = torch.nn.utils.rnn.pad_sequence(given, batch_first=True).to(self.lm.module.dtype)
        lengths = torch.tensor([len(one) for one in given])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long().to(device)
        answers = torch.full(padded.shape[:2], -100)
        for row, (prompt, response) in enumerate(examples):
            start = self.vectors.shape[1] + len(prompt)
            answers[row, start : start + len(response)] = torch.from_numpy(response)
        logits = self.lm.module(inputs_embeds=padded, attention_mask=mask, use_cache=False).logits[
            :, :-1
        ]
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), answers[:, 1:].flatten().to(device)
        )

    def _words(self, ids: npt.NDArray[np.int64]) -> torch.Tensor:
        with torch.no_grad():
            row = torch.from_numpy(ids)[None].to(self.lm.module.device)
            return self.lm.module.get_input_embeddings()(row)

    def _encoded(
        self, texts: Sequence[Pair]
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Return the tokens of each prompt and of its response, cut at the front."""
        reader = TextTokenizer(self.lm.tokenizer, self.lm.name)
        whole = reader.encode([prompt for prompt, _ in texts], [said for _, said in texts])
        room = min(_LONGEST, self.lm.context - self.vectors.shape[1])
        return [(one.ids[: one.start][-room:], one.ids[one.start :][: room // 2]) for one in whole]
