"""What makes new tasks with a language model: rounds of requests, filters, a journal, a budget."""

import dataclasses
import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.data.progress import progress_bar
from tamis.errors import ModelError, SettingError
from tamis.models import load as load_lm
from tamis.models.base import Generation, IncompleteError, LanguageModel, Prompt
from tamis.models.contexts import fits
from tamis.models.fingerprint import digest
from tamis.models.metered import LimitError, MeteredLM, Spent
from tamis.prompting.generation.journal import Journal, Round
from tamis.prompting.generation.parsing import LONGEST, cleaned
from tamis.prompting.generation.templates import as_prompt

__all__ = ["Answer", "Generator"]

_RULE = "1"  # another way of asking or refusing is another number, or old rounds would go on
NO_ANSWER = "no answer"

Memory = TypeVar("Memory")


@dataclass(frozen=True)
class Answer:
    """What a model said to a request: what can be seen of it, and how it ended.

    `finish` is 'stop', 'length', or 'no answer: …'; what was cut here ended for length.
    """

    request: str
    text: str
    finish: str

    @property
    def whole(self) -> bool:
        """Whether it ended by itself."""
        return self.finish == "stop"


@dataclass(kw_only=True)
class Generator(ABC, Generic[Memory]):
    """Make tasks from what a user gives, round by round, until there are enough.

    A method says what it remembers (`_remember`) and what a round does (`_round`). All else
    is here: rounds are kept in a journal as they end, so that a killed generation goes on,
    and one that is done is not done again; a call with a greater `n` adds rounds.

    Attributes
    ----------
    name : str
        The method's name in recipes and on the command line.
    columns : dict of str to pyarrow.DataType
        Of its rows, beside those of every method.
    """

    name: ClassVar[str]
    columns: ClassVar[dict[str, pa.DataType]] = {}
    lm: LanguageModel | str = field(kw_only=False)
    chat: bool = False
    seed: int = 0
    patience: int = 20

    def __post_init__(self) -> None:
        self._check(1, "patience")

    def generate(
        self,
        source: Source,
        n: int | None = None,
        *,
        tokens: int | None = None,
        money: float | None = None,
        progress: bool = True,
    ) -> Dataset:
        """Make `n` new tasks.

        Parameters
        ----------
        source : Dataset, or anything `tamis.load` takes
        n : int, optional
            Tasks, each with a row or more. By default as many as the source gives.
        tokens, money : optional
            Limits, over all the calls that this generation takes. A round that could pass
            one is not begun, and what there is until then comes back, with a warning.
        progress : bool
            Draw a bar on stderr, when that is a terminal.

        Returns
        -------
        Dataset
            instruction, input, output, and where each is from: `source`, `task`, `request`,
            `seeds`, `model`, `journal`, and the method's own columns.

        Raises
        ------
        ModelError
            If no task passed the filters, or the model does not answer.
        """
        if n is not None and n < 1:
            raise SettingError(f"{type(self).__name__}: n={n}; give at least 1")
        pool = load(source, progress=progress)
        journal = self.journal(pool)
        metered = MeteredLM(self._loaded, tokens=tokens, money=money, spent=journal.spent)
        with journal.held(self._about(pool)):
            ended = self._go_on(journal, metered, pool, n, progress)
            account = journal.close(n, ended, metered.counted_by)
        if not account["tasks"]:
            raise ModelError(
                f"{type(self).__name__}: no task in {len(journal.rounds)} rounds ({ended}); "
                f"refused: {_told(account['refused'])}; see {journal.folder}"
            )
        if n is not None and account["tasks"] < n:
            warnings.warn(
                f"{type(self).__name__}: {account['tasks']} of {n} tasks: {ended}", stacklevel=2
            )
        return journal.rows(n)

    def journal(self, source: Source) -> Journal:
        """Return the journal of what was made from `source`: rows, refusals, requests, costs."""
        pool = load(source, progress=False)
        key = digest(_RULE, self.name, self.settings(), self._loaded.fingerprint, _content(pool))
        return Journal(key, self.columns)

    def settings(self) -> dict[str, Any]:
        """Return every setting but the model, by name."""
        return {
            setting.name: getattr(self, setting.name)
            for setting in dataclasses.fields(self)
            if setting.name != "lm"
        }

    @abstractmethod
    def _remember(self, pool: Dataset, rounds: Sequence[Round]) -> Memory:
        """Return what a round has to know, from the source and the rounds before it."""

    @abstractmethod
    def _round(self, number: int, memory: Memory, asked: "Asked") -> Round | None:
        """Do one round, a function of its number and of what is remembered.

        `memory` is brought to what `_remember` would make of this round too. None says that
        the source is used up.
        """

    def _check(self, least: float, *names: str) -> None:
        """Refuse a setting below `least`."""
        for name in names:
            if getattr(self, name) < least:
                raise SettingError(
                    f"{type(self).__name__}: {name}={getattr(self, name)}; give at least {least:g}"
                )

    def _go_on(
        self, journal: Journal, lm: MeteredLM, pool: Dataset, n: int | None, progress: bool
    ) -> str:
        """Do rounds until there are `n` tasks; return why they ended."""
        memory = self._remember(pool, journal.rounds)
        barren = 0
        bar = progress_bar(
            total=n, initial=min(journal.tasks, n or 0), desc=self.name, unit=" tasks",
            progress=progress,
        )  # fmt: skip
        with bar:
            while n is None or journal.tasks < n:
                before = lm.spent
                try:
                    one = self._round(len(journal.rounds), memory, Asked(self, lm))
                except LimitError as error:
                    return str(error)
                except IncompleteError as error:
                    return f"{NO_ANSWER} ({next(iter(error.reasons.values()))})"
                if one is None:
                    return "the source is used up"
                one.spent = _less(lm.spent, before)
                journal.write(one)
                bar.update(len({row["task"] for row in one.rows}))
                barren = 0 if one.rows else barren + 1
                if barren == self.patience:
                    return f"{barren} rounds in a row brought nothing that passes"
        return "as many as wanted"

    def _about(self, pool: Dataset) -> dict[str, Any]:
        return {
            "method": self.name,
            "settings": self.settings(),
            "model": self._model,
            "fingerprint": self._loaded.fingerprint,
            "source_rows": len(pool),
        }

    @cached_property
    def _loaded(self) -> LanguageModel:
        return load_lm(self.lm) if isinstance(self.lm, str) else self.lm

    @property
    def _model(self) -> str:
        return self.lm if isinstance(self.lm, str) else repr(self.lm)


class Asked:
    """The requests of one round: asked together, answered safely, and written down."""

    def __init__(self, method: Generator[Any], lm: MeteredLM) -> None:
        self._method, self.lm = method, lm
        self.requests: list[dict[str, Any]] = []

    def __call__(
        self,
        purpose: str,
        prompts: Mapping[str, Prompt],
        max_tokens: int,
        *,
        chat: bool | None = None,
        **how: Any,  # noqa: ANN401 - as `LanguageModel.generate`
    ) -> list[Answer]:
        """Ask each of `prompts` (by the name of the request); return the answers in order.

        `chat` asks by a user's message, whatever the method does otherwise.

        An answer is cut where the model's context is too small for it, at half of that, and
        a prompt that does not fit beside it is not asked: neither depends on what else is.

        Raises
        ------
        LimitError
            If it could pass a limit.
        IncompleteError
            If nothing was answered.
        """
        context = self.lm.context
        most = max_tokens if context is None else min(max_tokens, context // 2)
        talks = self._method.chat if chat is None else chat
        asked = [
            as_prompt(prompt, talks) if isinstance(prompt, str) else prompt
            for prompt in prompts.values()
        ]
        fit = np.flatnonzero(fits(self.lm, asked, room=most)).tolist()
        said: list[Generation | str] = ["the prompt is too long for the model"] * len(asked)
        for i, one in zip(
            fit, self._answers([asked[i] for i in fit], max_tokens=most, **how), strict=True
        ):
            said[i] = one
        answers = [_read(name, one) for name, one in zip(prompts, said, strict=True)]
        self.requests += [
            {
                "request": answer.request, "purpose": purpose, "prompt": _plain(prompt),
                "answer": answer.text, "finish": answer.finish,
            }
            for answer, prompt in zip(answers, prompts.values(), strict=True)
        ]  # fmt: skip
        return answers

    def _answers(self, prompts: list[Any], **how: Any) -> list[Generation | str]:  # noqa: ANN401
        if not prompts:
            return []
        try:
            return [*self.lm.generate(prompts, **how)]
        except IncompleteError as error:
            if all(answer is None for answer in error.answers):
                raise
            return [
                error.reasons.get(i, "") if answer is None else answer
                for i, answer in enumerate(error.answers)
            ]


def _plain(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)


def _read(name: str, said: Generation | str) -> Answer:
    if isinstance(said, str):
        return Answer(name, "", f"{NO_ANSWER}: {said}")
    cut = len(said.text) > LONGEST
    return Answer(name, cleaned(said.text), "length" if cut else said.finishes[0])


def _content(pool: Dataset) -> str:
    return hashlib.blake2b(np.sort(example_ids(pool)).tobytes(), digest_size=16).hexdigest()


def _less(after: Spent, before: Spent) -> Spent:
    money = None if after.money is None else after.money - (before.money or 0.0)
    return Spent(
        after.requests - before.requests,
        after.prompt_tokens - before.prompt_tokens,
        after.completion_tokens - before.completion_tokens,
        money,
    )


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in [*counts.items()][:4]) or "nothing"
