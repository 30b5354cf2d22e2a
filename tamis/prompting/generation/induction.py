"""Instruction induction and APE: the instruction that explains some inputs and outputs.

A model is shown a few pairs and says what the instruction was (Instruction Induction); many
such guesses are scored by what a model does with them, on few examples first and on more for
those that lead; variations of the leaders are tried in the same way (APE).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids, id_texts
from tamis.data.load import Source
from tamis.errors import ModelError, SettingError
from tamis.models import load as load_lm
from tamis.models.base import LanguageModel
from tamis.models.cached import CachedLM
from tamis.models.fingerprint import digest, seed_of
from tamis.models.metered import LimitError, MeteredLM
from tamis.prompting.generation.base import Asked, Generator
from tamis.prompting.generation.execution import Execution, Pair, examples_in, pairs_of
from tamis.prompting.generation.journal import Round
from tamis.prompting.generation.metrics import Metric
from tamis.prompting.generation.parsing import cleaned
from tamis.prompting.generation.search import Search, Trial, best_of
from tamis.prompting.generation.templates import as_prompt, template

__all__ = ["Induce", "halved", "induce", "instruction_in"]

_INDUCED_TOKENS = 50
_FIRST_EXAMPLES = 8
_TEMPERATURE, _TOP_P = 0.9, 0.9
_LONGEST = 500
_HEDGES = ("probably:", "most likely:", "probably", "most likely")
_QUOTED = re.compile(r'"([^"]+)"')


def induce(
    examples: Source,
    lm: LanguageModel | str,
    *,
    by: Literal["accuracy", "logprob"] = "accuracy",
    metric: Metric = "exact",
    subsets: int = 5,
    shown: int = 5,
    samples: int = 10,
    variations: int = 0,
    chat: bool = False,
    seed: int = 0,
    requests: int | None = None,
    tokens: int | None = None,
    money: float | None = None,
    progress: bool = True,
) -> Search:
    """Find the instruction behind examples.

    Parameters
    ----------
    examples : Dataset, or anything `tamis.load` takes
        Inputs and outputs of one task, 8 or more. A quarter is shown to who proposes, half
        decides, and a quarter is kept for the final score.
    lm : LanguageModel or str
        Proposes and follows instructions.
    by : str
        What decides: 'accuracy' of the answers, or 'logprob' of the right ones.
    metric : str
        Of accuracy: 'exact', 'f1', 'set' or 'contains'.
    subsets, shown, samples : int
        Draws of `shown` examples that a proposal sees, and proposals each: a greedy one and
        drawn ones. The paper of APE takes 5, 5 and 50.
    variations : int
        Rounds in which the leaders are rephrased, and tried.
    chat : bool
        Ask by a user's message.
    seed : int
    requests, tokens, money : optional
        Limits that are never passed: the best so far comes back, and `ended` says why.
    progress : bool

    Returns
    -------
    Search
        `.instruction`, `.score`, `.trajectory`, `.plot(path)`, …

    Raises
    ------
    ModelError
        If nothing was proposed that can be tried.

    Notes
    -----
    All candidates of a stage are scored on the same examples, where the released code of APE
    draws others for each. Answers are kept in the feature store: a killed search goes on.

    References
    ----------
    Honovich et al., arXiv 2205.10782; Zhou et al., arXiv 2211.01910.
    """
    for name, value, least in (
        ("subsets", subsets, 1),
        ("shown", shown, 1),
        ("samples", samples, 1),
    ):
        if value < least:
            raise SettingError(f"induce: {name}={value}; give at least {least}")
    loaded = load_lm(lm) if isinstance(lm, str) else lm
    parts = pairs_of(examples, seed)
    metered = MeteredLM(loaded, requests=requests, tokens=tokens, money=money)
    asked = CachedLM(metered, progress=progress)
    run = _Induction(asked, Execution(asked, by, metric, chat=chat), parts.scored, chat, seed)
    test = baseline = float("nan")
    ended = "done"
    try:
        leaders = run.try_all(0, run.proposals(parts.shown, subsets, shown, samples), "induced")
        for step in range(1, variations + 1):
            leaders = run.try_all(step, [*leaders, *run.variations(step, leaders)], "variation")
        best = best_of(run.trials)
        if best is not None and parts.held_out:
            scored = run.execution.scores([best.instruction, ""], parts.held_out)
            test, baseline = scored.mean(axis=1).tolist()
    except LimitError as error:
        ended = str(error)
    best = best_of(run.trials)
    if best is None:
        raise ModelError(f"induce: no instruction could be tried ({ended})")
    settings = [by, metric, subsets, shown, samples, variations, chat, seed]
    key = digest("induce", settings, loaded.fingerprint, parts)
    found = Search(
        "induce", best.instruction, best.score, test, baseline, tuple(run.trials),
        metered.spent, ended, key,
    )  # fmt: skip
    found.save()
    return found


@dataclass
class _Induction:
    """The steps of one search, and what they tried."""

    lm: LanguageModel
    execution: Execution
    scored: list[Pair]
    chat: bool
    seed: int
    trials: list[Trial] = field(default_factory=list)

    def proposals(self, pairs: Sequence[Pair], subsets: int, shown: int, samples: int) -> list[str]:
        """Ask what the instruction was, of several draws of examples."""
        prompts = []
        for subset in range(subsets):
            draw = np.random.default_rng([self.seed % 2**63, subset])
            picks = draw.choice(len(pairs), min(shown, len(pairs)), replace=False)
            told = "\n\n".join(f"Input: {pairs[i].input}\nOutput: {pairs[i].output}" for i in picks)
            text = template("induction").format(count=len(picks), examples=told)
            prompts.append(as_prompt(text, self.chat))
        said = self.lm.generate(prompts, max_tokens=_INDUCED_TOKENS)
        if samples > 1:
            said += self.lm.generate(
                prompts, max_tokens=_INDUCED_TOKENS, temperature=_TEMPERATURE, top_p=_TOP_P,
                n=samples - 1, seed=seed_of(self.seed),
            )  # fmt: skip
        return _different(text for answer in said for text in answer.texts)

    def variations(self, step: int, leaders: Sequence[str]) -> list[str]:
        """Ask for another way to say each of the leaders."""
        prompts = [
            as_prompt(template("variation").format(instruction=leader), self.chat)
            for leader in leaders
        ]
        said = self.lm.generate(
            prompts, max_tokens=_INDUCED_TOKENS, temperature=_TEMPERATURE, top_p=_TOP_P,
            seed=seed_of(self.seed, step),
        )  # fmt: skip
        return _different(answer.text for answer in said)

    def try_all(self, step: int, instructions: Sequence[str], origin: str) -> list[str]:
        """Score instructions, on more examples the better they do; return those at the end."""
        known = {trial.instruction for trial in self.trials}
        left = [*dict.fromkeys(instructions)]
        for count in halved(len(self.scored)):
            if not left:
                return []
            means = self.execution.scores(left, self.scored[:count]).mean(axis=1)
            self.trials += [
                Trial(step, instruction, float(mean), count, origin)
                for instruction, mean in zip(left, means, strict=True)
                if instruction not in known
            ]
            order = np.argsort(-means, kind="stable")  # the first of equals leads
            left = [left[i] for i in order[: (len(left) + 1) // 2]]
        return left


def halved(examples: int) -> list[int]:
    """Return on how many examples each stage scores, half as many candidates as the one before.

    >>> halved(50)
    [8, 16, 32, 50]
    """
    stages = [_FIRST_EXAMPLES]
    while stages[-1] < examples:
        stages.append(2 * stages[-1])
    return [min(stage, examples) for stage in stages]


def instruction_in(text: str) -> str:
    """Return the instruction in what a model says it was.

    >>> instruction_in('most likely: "write the plural form of the word" and so on')
    'write the plural form of the word'
    """
    said = cleaned(text).strip().removeprefix(":").strip()
    for hedge in _HEDGES:
        if said.lower().startswith(hedge):
            said = said[len(hedge) :].strip()
    said = re.sub(r"^to\b", "", said).strip().partition("\n")[0]
    quoted = next((one for one in _QUOTED.findall(said) if len(one.split()) > 3), said)
    return quoted.replace('"', "").strip()[:_LONGEST]


def _different(texts: Iterable[str]) -> list[str]:
    """Return the instructions in `texts`, each once whatever its case, without empty ones."""
    found: dict[str, str] = {}
    for text in texts:
        instruction = instruction_in(text)
        if instruction:
            found.setdefault(instruction.casefold(), instruction)
    return [*found.values()]


@dataclass(kw_only=True)
class Induce(Generator[Dataset]):
    """Give examples without an instruction the one that explains them: `induce`, as a generator.

    Parameters
    ----------
    lm : LanguageModel or str
    by, metric, subsets, shown, samples, variations
        As in `induce`.
    chat, seed, patience
        As every generator.

    Notes
    -----
    Rows are the examples with the instruction that was found; `score` is what it had on the
    examples that decided, `search` the name of its trajectory in the catalogue.
    """

    name: ClassVar[str] = "induce"
    columns: ClassVar[dict[str, pa.DataType]] = {"score": pa.float64(), "search": pa.string()}
    by: Literal["accuracy", "logprob"] = "accuracy"
    metric: Metric = "exact"
    subsets: int = 5
    shown: int = 5
    samples: int = 10
    variations: int = 0

    def _remember(self, pool: Dataset, rounds: Sequence[Round]) -> Dataset:
        return pool

    def _round(self, number: int, memory: Dataset, asked: Asked) -> Round | None:
        if number:
            return None
        own = self.settings()
        del own["patience"]
        found = induce(memory, asked.lm, **own)
        told = {"score": found.score, "search": found.key, "model": self._model}
        pairs = zip(examples_in(memory), id_texts(example_ids(memory)).to_pylist(), strict=True)
        rows = [
            {
                "instruction": found.instruction, "input": pair.input, "output": pair.output,
                "source": self.name, "task": f"00001.{place:05}", "seeds": [example_id], **told,
            }
            for place, (pair, example_id) in enumerate(pairs)
            if pair.output
        ]  # fmt: skip
        return Round(rows=rows)
