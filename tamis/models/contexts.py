"""Which requests fit a model's context, so that one that does not is named and stops no other."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tamis.models.base import LanguageModel, Prompt
from tamis.models.tokens import TextTokenizer

__all__ = ["fits"]

_TEMPLATE_BYTES = 512  # what a chat template adds, at most; a token has a byte at least


def fits(
    lm: LanguageModel,
    prompts: Sequence[Prompt],
    continuations: Sequence[str] | None = None,
    *,
    room: int = 0,
) -> npt.NDArray[np.bool_]:
    """Return which prompts, with their continuations, fit the model's context: shape (n,).

    Parameters
    ----------
    lm : LanguageModel
        One that does not state its `context` and its `tokenizer` (a server) takes all.
    prompts, continuations
        As `LanguageModel.logprobs` takes them.
    room : int
        Tokens to be left for an answer.

    Notes
    -----
    Only texts that have more bytes than the context has tokens are tokenised.
    """
    fit = np.ones(len(prompts), bool)
    context, words = getattr(lm, "context", None), getattr(lm, "tokenizer", None)
    if context is None or words is None:
        return fit
    after = continuations or [""] * len(prompts)
    most = context - room - _TEMPLATE_BYTES
    pairs = zip(prompts, after, strict=True)
    long = [i for i, (prompt, text) in enumerate(pairs) if _bytes(prompt) + _bytes(text) > most]
    if long:
        reader = TextTokenizer(words, repr(lm))
        found = reader.encode([prompts[i] for i in long], [after[i] for i in long])
        fit[long] = [len(text.ids) + room <= context for text in found]
    return fit


def _bytes(prompt: Prompt) -> int:
    texts = [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
