"""OPRO: a model improves an instruction by looking at earlier ones and their scores."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from tamis.data.load import Source
from tamis.errors import ModelError, SettingError
from tamis.models import load as load_lm
from tamis.models.base import LanguageModel
from tamis.models.cached import CachedLM
from tamis.models.fingerprint import digest, seed_of
from tamis.models.metered import LimitError, MeteredLM
from tamis.prompting.generation.execution import Execution, Pair, pairs_of
from tamis.prompting.generation.metrics import Metric
from tamis.prompting.generation.parsing import cleaned
from tamis.prompting.generation.search import Search, Trial, best_of
from tamis.prompting.generation.templates import as_prompt, template

__all__ = ["climb", "history", "optimize", "proposed"]

_PROPOSAL_TOKENS = 128
_LONGEST = 500
_BRACKETS = re.compile(r"\[([^\[\]]+)\]")

Propose = Callable[[int, Sequence[Trial]], Sequence[str]]
Score = Callable[[Sequence[str]], Sequence[float]]


def optimize(
    examples: Source,
    lm: LanguageModel | str,
    *,
    optimizer: LanguageModel | str | None = None,
    start: Sequence[str] = ("", "Let's think step by step."),
    steps: int = 20,
    samples: int = 8,
    exemplars: int = 3,
    remembered: int = 20,
    threshold: float = 0.0,
    by: Literal["accuracy", "logprob"] = "accuracy",
    metric: Metric = "exact",
    position: Literal["q-begin", "q-end", "a-begin"] = "q-begin",
    chat: bool = False,
    seed: int = 0,
    requests: int | None = None,
    tokens: int | None = None,
    money: float | None = None,
    progress: bool = True,
) -> Search:
    """Improve an instruction, step by step.

    Parameters
    ----------
    examples : Dataset, or anything `tamis.load` takes
        Inputs and outputs of one task, 8 or more. A quarter is shown as exemplars, half
        decides, and a quarter is kept for the final score.
    lm : LanguageModel or str
        Follows instructions, at temperature 0.
    optimizer : LanguageModel or str, optional
        Proposes them, at temperature 1; by default `lm` too.
    start : sequence of str
        Instructions to begin with.
    steps, samples : int
        How often to propose, and how many each time. The paper takes 200 and 8.
    exemplars : int
        Examples shown with each proposal, drawn anew.
    remembered : int
        Of the instructions so far, those with the best scores that are shown, best last.
    threshold : float
        Instructions with a score below it are not shown.
    by, metric
        As in `induce`. With 'logprob' scores are means a token, shown as probabilities.
    position : str
        Where the instruction stands: before the question, after it, or before the answer.
    chat : bool
        Ask by a user's message.
    seed : int
    requests, tokens, money : optional
        Limits that are never passed, of each of the models where there are two: the best so
        far comes back, and `ended` says why.
    progress : bool

    Returns
    -------
    Search

    Notes
    -----
    Equal instructions, whatever their case, are tried once. Answers are kept in the feature
    store: a killed search goes on.

    References
    ----------
    Yang et al., arXiv 2309.03409.
    """
    for name, value in (("steps", steps), ("samples", samples), ("start", len(start))):
        if value < 1:
            raise SettingError(f"optimize: {name}={value}; give at least 1")
    follower = load_lm(lm) if isinstance(lm, str) else lm
    leader = load_lm(optimizer) if isinstance(optimizer, str) else optimizer or follower
    parts = pairs_of(examples, seed)
    limits = {"requests": requests, "tokens": tokens, "money": money}
    following = MeteredLM(follower, **limits)  # type: ignore[arg-type]
    leading = following if leader is follower else MeteredLM(leader, **limits)  # type: ignore[arg-type]
    execution = Execution(
        CachedLM(following, progress=progress), by, metric, layout=position, chat=chat
    )
    proposer = CachedLM(leading, progress=False)

    def propose(step: int, trials: Sequence[Trial]) -> list[str]:
        draw = np.random.default_rng([seed % 2**63, step])
        picks = draw.choice(len(parts.shown), min(exemplars, len(parts.shown)), replace=False)
        shown = [
            Trial(trial.step, trial.instruction, _shown(trial.score, by), trial.examples, "")
            for trial in trials
        ]
        text = template("opro").format(
            history=history(shown, most=remembered, threshold=threshold),
            exemplars="\n".join(_exemplar(parts.shown[i], execution) for i in picks),
        )
        (answer,) = proposer.generate(
            [as_prompt(text, chat)], max_tokens=_PROPOSAL_TOKENS, temperature=1.0, n=samples,
            seed=seed_of(seed, step),
        )  # fmt: skip
        return [proposed(said) for said in answer.texts]

    def score(instructions: Sequence[str]) -> list[float]:
        means: list[float] = execution.scores(instructions, parts.scored).mean(axis=1).tolist()
        return means

    trials, ended = climb(propose, score, start, steps, examples=len(parts.scored))
    best = best_of(trials)
    if best is None:
        raise ModelError(f"optimize: no instruction could be tried ({ended})")
    test = baseline = float("nan")
    try:
        both = execution.scores([best.instruction, start[0]], parts.held_out)
        test, baseline = both.mean(axis=1).tolist()
    except LimitError as error:
        ended = str(error)
    settings = [by, metric, *start, steps, samples, exemplars, remembered, threshold, position]
    key = digest("optimize", settings, chat, seed, follower.fingerprint, leader.fingerprint, parts)
    spent = following.spent if leading is following else following.spent + leading.spent
    found = Search(
        "optimize", best.instruction, best.score, test, baseline, tuple(trials), spent, ended, key
    )
    found.save()
    return found


def climb(
    propose: Propose, score: Score, start: Sequence[str], steps: int, *, examples: int = 1
) -> tuple[list[Trial], str]:
    """Propose, score and remember, `steps` times; return all trials, and why it ended.

    Nothing is scored twice, and what a limit did not let be scored is no trial.

    Parameters
    ----------
    propose : function of (step, trials so far)
        Returns instructions; empty ones are passed over.
    score : function of instructions
        Higher is better.
    start : sequence of str
    steps : int
    examples : int
        What the trials say they were scored on.
    """
    trials: list[Trial] = []
    known: set[str] = set()

    def scored(step: int, instructions: Sequence[str], origin: str) -> None:
        fresh = []
        for text in instructions:
            if text.casefold() not in known:
                known.add(text.casefold())
                fresh.append(text)
        if fresh:
            trials.extend(
                Trial(step, text, float(value), examples, origin)
                for text, value in zip(fresh, score(fresh), strict=True)
            )

    try:
        scored(0, start, "given")
        for step in range(1, steps + 1):
            scored(step, [text for text in propose(step, trials) if text], "history")
    except LimitError as error:
        return trials, str(error)
    return trials, "done"


def history(
    trials: Sequence[Trial],
    *,
    most: int = 20,
    threshold: float = 0.0,
    buckets: int | None = 100,
) -> str:
    """Return the instructions with the best scores as a model is shown them, the best last.

    Parameters
    ----------
    trials : sequence of Trial
        Scores from 0 to 1.
    most : int
    threshold : float
        Instructions with a score below it are left out, after `most` is counted.
    buckets : int, optional
        Scores are whole numbers out of so many, halves to the even one; None shows three
        decimals.
    """
    ranked = sorted(trials, key=lambda trial: trial.score)[-most:]
    lines = []
    for trial in ranked:
        if not threshold or trial.score >= threshold:
            shown = round(trial.score, 3) if buckets is None else round(trial.score * buckets)
            lines.append(f"\ntext:\n{trial.instruction}\nscore:\n{shown}\n")
    return "".join(lines)


def proposed(text: str) -> str:
    """Return the instruction in an answer: what stands in brackets, or its first line.

    >>> proposed("Here is one: [Think before you answer.] It is short.")
    'Think before you answer.'
    """
    said = cleaned(text).strip()
    bracketed = _BRACKETS.search(said)
    line = bracketed[1] if bracketed else said.partition("\n")[0]
    line = " ".join(line.split()).strip('"')
    return line if len(line) <= _LONGEST else ""


def _exemplar(pair: Pair, execution: Execution) -> str:
    return f"\nproblem:\n{execution.prompt('<INS>', pair.input)}\noutput:\n{pair.output}\n"


def _shown(score: float, by: str) -> float:
    return float(np.exp(score)) if by == "logprob" else score
