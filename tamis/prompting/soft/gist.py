"""Gist tokens: an instruction becomes the keys and values of a few tokens, by a mask alone.

    tokens after the gist do not see what stands before it

Mu, Li and Goodman, arXiv 2304.08467. Training is ordinary instruction tuning under that mask;
afterwards the gist's states are kept, and the instruction is dropped. What follows keeps the
positions it had in the whole text, which rotary models need.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError
from tamis.models.base import LanguageModel, Prompt
from tamis.prompting.soft.base import Ids, Loss, SoftCompressor
from tamis.prompting.soft.rows import Row, rows_of
from tamis.prompting.soft.states import KeptStates, answer, kept, logprobs_after
from tamis.prompting.soft.texts import tokens_of
from tamis.prompting.soft.training import fit

try:
    import torch

    from tamis.models.passes import computing, token_loss
    from tamis.models.tuning import trainable
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["Gist", "gist_mask"]

Control = Literal["none", "negative", "positive"]


class Gist(SoftCompressor):
    """Compress an instruction into a few tokens' states.

    Parameters
    ----------
    base : LanguageModel or str
        Of the transformers backend.
    tokens : int
        Gist tokens, all with one embedding, which starts as the vocabulary's mean.
    lora : int
        Rank of what is learnt beside that embedding. The paper tunes every weight.
    seed : int
        Of the first weights.

    See Also
    --------
    Nugget : as many states as the text's length asks for.
    SummaryVectors : embeddings, which servers take.

    References
    ----------
    Mu, Li and Goodman, arXiv 2304.08467.
    """

    name: ClassVar[str] = "gist"

    def __init__(
        self,
        base: LanguageModel | str = "bundled",
        *,
        tokens: int = 1,
        lora: int = 16,
        seed: int = 0,
    ) -> None:
        lm = trainable(base, self.name)
        mean = lm.module.get_input_embeddings().weight.detach().float().mean(0, keepdim=True)
        super().__init__(
            base, torch.nn.ParameterDict({"gist": mean}), lora=lora, seed=seed, tokens=tokens
        )
        self.token = len(lm.module.get_input_embeddings().weight)  # one more than it knows

    @classmethod
    def train(
        cls,
        base: LanguageModel | str,
        instructions: Sequence[str],
        prompts: Sequence[str],
        responses: Sequence[str],
        output_dir: str | Path,
        *,
        epochs: int = 3,
        learning_rate: float | None = None,
        batch_tokens: int | None = None,
        progress: bool = True,
        **settings: Any,  # noqa: ANN401 - of the class
    ) -> Self:
        """Train on instructions with their inputs and responses, and save in `output_dir`.

        Parameters
        ----------
        base : LanguageModel or str
            Left as it is.
        instructions : sequence of str
            Compressed.
        prompts : sequence of str
            What follows the gist as it is: an input, a question, a heading.
        responses : sequence of str
            The loss is on these, and on the end token.
        output_dir, epochs, learning_rate, batch_tokens, progress, **settings
            As for `SummaryVectors.train`.
        """
        made = cls(base, **settings)
        fit(
            made, rows_of(made.base, instructions, prompts, responses), epochs=epochs,
            learning_rate=learning_rate, batch_tokens=batch_tokens, progress=progress,
            seed=made.settings["seed"],
        )  # fmt: skip
        made.save(output_dir)
        return made

    def compress(self, instruction: str) -> KeptStates:
        """Return the states of the gist of an instruction."""
        ids = np.append(
            np.concatenate([np.empty(0, np.int64), *tokens_of(self.base, instruction)]),
            np.full(self.settings["tokens"], self.token),
        )
        with self.lm.inference():
            given = self._gisted(torch.from_numpy(ids)[None].to(self.base.module.device))
            read = self.lm.module.base_model(inputs_embeds=given, use_cache=True)
            at = torch.arange(len(ids) - self.settings["tokens"], len(ids), device=given.device)
            return kept(read.past_key_values, at[None], len(ids))

    def generate(self, states: KeptStates, prompt: Prompt, *, max_tokens: int = 64) -> str:
        """Return the likeliest answer to a prompt that follows the instruction."""
        return answer(self.lm, states, prompt, max_tokens)

    def logprobs(self, states: KeptStates, text: str) -> npt.NDArray[np.float32]:
        """Return the log-probabilities of a text's tokens, but the first, after an instruction.

        Returns
        -------
        float32 array of shape (t − 1,)
        """
        return logprobs_after(self.lm, states, text)

    def losses(self, rows: Sequence[Row], draw: np.random.Generator) -> Iterator[Loss]:
        """Yield the loss of the responses, which see instructions through the gist alone."""
        end = self.base.tokenizer.eos_token_id
        gist = np.full(self.settings["tokens"], self.token)
        after = np.array([] if end is None else [end], np.int64)
        laid = [np.concatenate([row.context, gist, row.rest, after]) for row in rows]
        ids = np.full((len(rows), max(map(len, laid))), self.token + 1)  # padding
        scored = np.zeros(ids.shape, bool)
        for i, (row, one) in enumerate(zip(rows, laid, strict=True)):
            ids[i, : len(one)] = one
            scored[i, len(row.context) + len(gist) + row.first : len(one)] = True
        states = self._masked(ids)
        device = states.device
        told = states[:, :-1][torch.from_numpy(scored[:, 1:]).to(device)]
        yield token_loss(self.lm, told, torch.from_numpy(ids[scored]).to(device)), len(told)

    def _masked(self, ids: Ids) -> torch.Tensor:
        """Return the last states of rows of tokens under the gist mask: (b, t, hidden)."""
        seen = gist_mask(ids, self.token, self.token + 1) & np.tri(ids.shape[1], dtype=bool)
        # A row of padding sees itself, so that its softmax is over something.
        mask = torch.from_numpy(seen | np.eye(ids.shape[1], dtype=bool))[:, None]
        words = self._gisted(torch.from_numpy(ids).to(self.base.module.device))
        with computing(self.lm):
            output = self.lm.module.base_model(
                inputs_embeds=words.to(self.lm.module.dtype),
                attention_mask=mask.to(words.device),
                use_cache=False,
            )
        states: torch.Tensor = output.last_hidden_state
        return states

    def _gisted(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of tokens, gist tokens among them."""
        words = self._embedded(ids.clamp(max=self.token - 1))
        return torch.where((ids == self.token)[..., None], self.own["gist"].to(words.dtype), words)


def gist_mask(
    ids: Ids, gist: int, padding: int | None = None, *, control: Control = "none"
) -> npt.NDArray[np.bool_]:
    """Return which tokens each token may see, causality aside.

    Parameters
    ----------
    ids : int64 array of shape (b, t)
        The gist tokens of a row stand together; a row without any is not masked.
    gist : int
        The gist token.
    padding : int, optional
        A token that none sees.
    control : 'none', 'negative' or 'positive'
        The paper's controls: nothing sees even the gist; everything sees everything.

    Returns
    -------
    bool array of shape (b, t, t)
        Rows see columns.

    Examples
    --------
    >>> gist_mask(np.array([[1, 2, 99, 3]]), 99).astype(int)
    array([[[1, 1, 1, 0],
            [1, 1, 1, 0],
            [1, 1, 1, 0],
            [0, 0, 1, 1]]])
    """
    is_gist = ids == gist
    # How many gist tokens stand before a token, and how many from it on.
    begun = is_gist.cumsum(1) - is_gist > 0
    ahead = is_gist[:, ::-1].cumsum(1)[:, ::-1] > 0
    after = ~ahead  # behind the last gist token, where there is one
    front = after if control == "negative" else is_gist | begun
    seen: npt.NDArray[np.bool_] = np.where(after[:, :, None], front[:, None, :], ahead[:, None, :])
    free = np.full(len(ids), control == "positive") | ~is_gist.any(1)
    seen[free] = True
    if padding is not None:
        seen &= (ids != padding)[:, None, :]
    return seen
