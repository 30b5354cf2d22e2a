"""What every reasoning program is: settings, and one generator that solves one question."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from tamis.errors import SettingError
from tamis.models.base import LanguageModel, Prompt
from tamis.models.losses import lm_of
from tamis.prompting.reasoning.answers import Kind, extract
from tamis.prompting.reasoning.lockstep import Ask, Limits, Run, Solving, advance
from tamis.prompting.reasoning.trace import Solution, Trace

__all__ = ["Program"]


@dataclass
class Program(ABC):
    """A way of prompting, step by step, over any language model.

    A method is a dataclass of its settings with one generator, `_solving`. All questions
    advance in lock-step: a round is one call of the model for all of them, so that a server is
    asked many things at once. To keep what a model said, give `CachedLM(lm)`.

    Parameters
    ----------
    lm : LanguageModel or str
    kind : {'auto', 'number', 'choice', 'yes-no', 'text'}
        What answers are: see `answers`.
    chat : bool
        Prompts are a user's turn; False has the model continue them as text, as papers do.
    answer_tokens : int
        Of one answer of the model, at most.
    max_depth, max_calls, max_tokens : int
        Of a question, at most: rounds, answers asked of the model, tokens that it writes.
        Where one is reached the program says what it has found by then.
    seed : int
        Of the model's draws.
    """

    name: ClassVar[str]
    lm: LanguageModel | str
    _: KW_ONLY
    kind: Kind = "auto"
    chat: bool = True
    answer_tokens: int = 512
    max_depth: int = 32
    max_calls: int = 128
    max_tokens: int = 65_536
    seed: int = 0

    def __post_init__(self) -> None:
        for limit in ("answer_tokens", "max_depth", "max_calls", "max_tokens"):
            if getattr(self, limit) < 1:
                raise SettingError(
                    f"{type(self).__name__}: {limit}={getattr(self, limit)}; give 1 or more"
                )

    def solve(self, questions: Sequence[str], *, progress: bool = True) -> list[Solution]:
        """Answer each question.

        Parameters
        ----------
        questions : sequence of str
        progress : bool
            Draw a bar on stderr, when that is a terminal.

        Returns
        -------
        list of Solution
            One a question, in the order given; without an answer where none was found.

        Raises
        ------
        SettingError
            If there is one text where a sequence is wanted.
        """
        if isinstance(questions, str):
            raise SettingError(f"questions={questions[:40]!r} is one text; give a list: [question]")
        limits = Limits(self.max_depth, self.max_calls, self.max_tokens)
        traces = [Trace() for _ in questions]
        runs = [
            Run(question, trace, self._solving(question, trace), limits)
            for question, trace in zip(questions, traces, strict=True)
        ]
        lm = lm_of(self.lm)
        return advance(runs, lm, self._prompt, label=self.name, progress=progress)

    @abstractmethod
    def _solving(self, question: str, trace: Trace) -> Solving:
        """Solve one question; return its Conclusion."""

    def _prompt(self, text: str) -> Prompt:
        return [{"role": "user", "content": text}] if self.chat else text

    def _ask(self, text: str, *, stop: Sequence[str] = (), temperature: float = 0.0) -> Ask:
        return Ask(text, self.answer_tokens, temperature, tuple(stop), 1, self.seed)

    def _extract(self, text: str) -> str | None:
        return extract(text, self.kind)
