"""Proof for compressed prompts: whether the answer is still there, and still probable.

Beside the method stand what it must beat, the first words and random words at the same
rate, and what frames it: the whole prompt, and none at all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import DataError
from tamis.kernels.intervals import Gain, t_quantile
from tamis.models.base import LanguageModel
from tamis.prompting.compression.press import compress
from tamis.prompting.compression.result import Compressed

__all__ = ["Evaluation", "evaluate_compression"]

Floats = npt.NDArray[np.float64]
Document = str | Sequence[str]

WHOLE, NOTHING = "whole", "nothing"
_BASELINES = ("truncate", "random")
_BEFORE_ANSWER = "\n\n"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What became of the answers, by method and example.

    Attributes
    ----------
    methods : tuple of str
        'whole' is the prompt as it is, 'nothing' the question alone.
    tokens : int64 array of shape (m, n)
    logprobs : float64 array of shape (m, n)
        Of the answer given the prompt: nats a token, the likeliest of the right answers;
        NaN where there is none.
    survived : float64 array of shape (m, n)
        1 where an answer is still in the prompt, 0 where none is; NaN where none was.
    """

    methods: tuple[str, ...]
    tokens: npt.NDArray[np.int64]
    logprobs: Floats
    survived: Floats

    @property
    def rates(self) -> Floats:
        """Tokens left of each token, by method."""
        whole = self.tokens[self.methods.index(WHOLE)].sum()
        rates: Floats = self.tokens.sum(axis=1) / max(1, whole)
        return rates

    def logprob(self, method: str) -> float:
        """Return the mean log-probability of an answer's token."""
        return _mean(self.logprobs[self.methods.index(method)])

    def survival(self, method: str) -> float:
        """Return the share of the answers that a prompt held, and still holds."""
        return _mean(self.survived[self.methods.index(method)])

    def gain(self, method: str, over: str) -> Gain:
        """Return by how much answers are likelier than after another method, with its interval.

        95 %, by Student's t over the examples' differences.
        """
        ours, theirs = (self.logprobs[self.methods.index(name)] for name in (method, over))
        differences = (ours - theirs)[~np.isnan(ours - theirs)]
        n = len(differences)
        if n < 2:
            return Gain(_mean(differences), float("nan"))
        error = float(differences.std(ddof=1)) / np.sqrt(n)
        return Gain(float(differences.mean()), float(t_quantile(0.975, n - 1) * error))

    def rows(self) -> list[dict[str, Any]]:
        """Return a mapping for each method: what a table would show."""
        chosen = next(name for name in self.methods if name not in (WHOLE, NOTHING))
        return [
            {
                "method": name,
                "tokens": float(self.tokens[i].mean()),
                "rate": float(self.rates[i]),
                "answer_logprob": self.logprob(name),
                "answer_survival": self.survival(name),
                "gain_over_it": self.gain(chosen, name).mean,
                "half_width": self.gain(chosen, name).half_width,
            }
            for i, name in enumerate(self.methods)
        ]


def evaluate_compression(
    prompts: Sequence[Document],
    answers: Sequence[str | Sequence[str]],
    *,
    questions: Sequence[str] | None = None,
    rate: float | None = None,
    target_tokens: int | None = None,
    method: str = "llmlingua",
    reader: str | LanguageModel = "bundled",
    against: Sequence[str] = _BASELINES,
    **how: Any,  # noqa: ANN401 - those of `compress`
) -> Evaluation:
    """Compress prompts; see whether their answers are still there, and still probable.

    Parameters
    ----------
    prompts : sequence of str, or of sequences of str
        A sequence is one prompt's documents.
    answers : sequence of str, or of sequences of str
        Any of several is right.
    questions : sequence of str, optional
        One a prompt; stays whole.
    rate, target_tokens, method, **how
        As for `compress`. Settings of the method are not the baselines'; `keep`,
        `structure`, `tokenizer`, `lm` and `seed` are.
    reader : str or LanguageModel
        Whose log-probabilities judge: at best the model that will read the prompts.
    against : sequence of str
        Methods at the same rate.

    Raises
    ------
    DataError
        If there are no prompts, or not as many answers.
    """
    right = [[answer] if isinstance(answer, str) else list(answer) for answer in answers]
    asked = [""] * len(prompts) if questions is None else list(questions)
    if not prompts or not len(prompts) == len(right) == len(asked):
        raise DataError(
            f"evaluate_compression: {len(prompts)} prompts, {len(right)} answers, {len(asked)} "
            "questions; give one of each for every prompt, at least one"
        )
    budget = {"rate": rate, "target_tokens": target_tokens}
    shared = {name: how[name] for name in _SHARED if name in how}
    plain = {"method": "truncate", **shared}
    ways: dict[str, dict[str, Any]] = {method: budget | {"method": method} | how}
    ways |= {name: budget | {"method": name} | shared for name in against if name != method}
    ways |= {WHOLE: {"rate": 1.0} | plain, NOTHING: {"rate": 0.0} | plain | _UNPROTECTED}
    done = {name: _compressed(prompts, asked, settings) for name, settings in ways.items()}
    model = _loaded(reader)
    present = np.array([_holds(one.text, right[i]) for i, one in enumerate(done[WHOLE])])
    return Evaluation(
        tuple(done),
        np.array([[one.tokens for one in some] for some in done.values()]),
        np.array([_logprobs(model, some, right) for some in done.values()]),
        np.array([_survived(some, right, present) for some in done.values()]),
    )


_SHARED = ("keep", "structure", "tokenizer", "lm", "seed", "cache", "progress")
_UNPROTECTED: dict[str, Any] = {"keep": (), "structure": False}


def _compressed(
    prompts: Sequence[Document], questions: list[str], settings: dict[str, Any]
) -> list[Compressed]:
    """Compress all; in one batch where there are no questions and no documents."""
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    if not any(questions) and len(texts) == len(prompts):
        return compress(texts, **settings)
    return [
        compress(prompt, question=question, **settings)
        if isinstance(prompt, str)
        else compress(contexts=list(prompt), question=question, **settings)
        for prompt, question in zip(prompts, questions, strict=True)
    ]


def _logprobs(
    model: LanguageModel, done: list[Compressed], answers: list[list[str]]
) -> list[float]:
    pairs = [
        (i, one.text + _BEFORE_ANSWER, answer)
        for i, one in enumerate(done)
        for answer in answers[i]
        if answer
    ]
    said = model.logprobs([text for _, text, _ in pairs], [answer for _, _, answer in pairs])
    best = [float("nan")] * len(done)
    for (i, _, _), scored in zip(pairs, said, strict=True):
        best[i] = float(np.fmax(best[i], scored.mean))
    return best


def _survived(
    done: list[Compressed], answers: list[list[str]], present: npt.NDArray[np.bool_]
) -> list[float]:
    return [
        float(_holds(one.text, answers[i])) if present[i] else float("nan")
        for i, one in enumerate(done)
    ]


def _holds(text: str, answers: Sequence[str]) -> bool:
    r"""Whether one of the answers is in a text, but for case, marks and spaces.

    >>> _holds("It was RÖNTGEN,\nin 1901.", ["Curie", "Röntgen in 1901"]), _holds("party", ["art"])
    (True, False)
    """
    words = f" {_bare(text)} "
    return any(f" {bare} " in words for answer in answers if (bare := _bare(answer)))


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _loaded(reader: str | LanguageModel) -> LanguageModel:
    if not isinstance(reader, str):
        return reader
    from tamis.models import load as load_model

    return load_model(reader)
