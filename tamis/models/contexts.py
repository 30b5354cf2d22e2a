"""What a model cannot be asked: it is named, and stops nothing else.

A local model states its context; a server refuses a request when it sees it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tamis.models.base import IncompleteError, LanguageModel, Prompt
from tamis.models.tokens import TextTokenizer

__all__ = ["answered", "fits"]

T = TypeVar("T")

_TEMPLATE_BYTES = 512  # what a chat template adds, at most; a token has a byte at least
_REFUSED = ("HTTP 400", "HTTP 413", "HTTP 422", "refused: ")  # for what is in the request


def answered(
    requests: Iterable[int], ask: Callable[[list[int]], Iterable[T]]
) -> tuple[dict[int, T], dict[int, str]]:
    """Ask for all but what a server refuses for what is in it.

    Parameters
    ----------
    requests : iterable of int
    ask : function of a list of requests
        Returns an answer to each. What it has answered once must cost it nothing.

    Returns
    -------
    answers : dict of int to answer
    refused : dict of int to str
        Why the others have none.

    Raises
    ------
    IncompleteError
        If a request got no answer for a reason that may pass.
    """
    left = list(requests)
    refused: dict[int, str] = {}
    while True:
        try:
            return dict(zip(left, ask(left), strict=True)), refused
        except IncompleteError as error:
            if not all(why.startswith(_REFUSED) for why in error.reasons.values()):
                raise
            refused |= {left[i]: why for i, why in error.reasons.items()}
            left = [request for request in left if request not in refused]


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
