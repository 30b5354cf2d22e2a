"""LLMLingua's distribution alignment: teach the small model what the large one writes.

The compressing model is tuned on answers that the target model gives, so that what surprises
the one surprises the other (Jiang et al., arXiv 2310.05736, section 3.4).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tamis.errors import DataError
from tamis.models.base import LanguageModel, Prompt

if TYPE_CHECKING:
    from tamis.models.transformers import TransformersLM

__all__ = ["align"]


def align(
    lm: "TransformersLM",
    target: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    max_tokens: int = 256,
    epochs: int = 3,
    seed: int = 0,
    progress: bool = True,
) -> "TransformersLM":
    """Return a copy of `lm`, tuned on what `target` answers to the prompts.

    Parameters
    ----------
    lm : TransformersLM
        Reads prompts for `compress(lm=…)`.
    target : LanguageModel
        Will read the compressed prompts.
    prompts : sequence of str or of messages
        Instructions of the kind that will be compressed. The paper takes those of Alpaca.
    max_tokens : int
        Tokens an answer, at most.
    epochs : int
        Passes over the answers.
    seed : int
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    Raises
    ------
    DataError
        If the target answers nothing.
    """
    from tamis.models.tuning import tune

    answers = [one.text for one in target.generate(prompts, max_tokens=max_tokens)]
    said = [i for i, answer in enumerate(answers) if answer.strip()]
    if not said:
        raise DataError(
            f"align: {target!r} answered nothing to {len(answers)} prompts; give others"
        )
    return tune(
        lm,
        [prompts[i] for i in said],
        [answers[i] for i in said],
        epochs=epochs,
        seed=seed,
        progress=progress,
    )
