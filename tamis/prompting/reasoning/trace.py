"""What a program did for a question: to be printed, to be kept, to be curated."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tamis.prompting.reasoning.answers import cleaned

__all__ = ["Solution", "Step", "Trace", "rows"]

_LONGEST_SHOWN = 2_000
_MOST_STEPS = 1_000


@dataclass(frozen=True)
class Step:
    """One thing that happened.

    Attributes
    ----------
    kind : str
        'ask', 'said', 'thought', 'action', 'observation', 'vote', 'stopped', …
    text : str
        Cleaned of control characters and bounded.
    """

    kind: str
    text: str


@dataclass
class Trace:
    """The steps of a program, in order.

    Attributes
    ----------
    steps : list of Step
        The first 1,000.
    """

    steps: list[Step] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        """Put a step at the end."""
        if len(self.steps) < _MOST_STEPS:
            self.steps.append(Step(kind, cleaned(text)))

    def of(self, kind: str) -> list[str]:
        """Return the texts of one kind of step."""
        return [step.text for step in self.steps if step.kind == kind]

    def __str__(self) -> str:
        return "\n".join(f"[{step.kind}] {_shown(step.text)}" for step in self.steps)


@dataclass(frozen=True)
class Solution:
    """What a program found for a question.

    Attributes
    ----------
    question : str
    answer : str or None
        None where none was found.
    reasoning : str
        The words that led to it.
    trace : Trace
    stopped : str
        Why it ended: 'finished', 'settled' (no vote could change), 'depth', 'calls' or
        'tokens' (a limit), 'no answer found', or what was wrong with the model.
    calls : int
        Answers asked of the model; n samples are n.
    tokens : int
        Written by the model: counted with its own tokenizer where it has one, else as many as
        they can be at most.
    """

    question: str
    answer: str | None
    reasoning: str
    trace: Trace
    stopped: str
    calls: int
    tokens: int

    def row(self) -> dict[str, Any]:
        """Return the solution as a row of a pool: what was asked, and the reasoning."""
        return {
            "instruction": self.question,
            "input": "",
            "output": self.reasoning,
            "answer": self.answer or "",
            "stopped": self.stopped,
            "calls": self.calls,
            "tokens": self.tokens,
            "trace": str(self.trace),
        }


def rows(solutions: Iterable[Solution]) -> list[dict[str, Any]]:
    """Return solutions as rows that `tamis.load` takes, and `tamis run` as a pool.

    Those without an answer are there too: `answer` is '' and `stopped` says why.
    """
    return [solution.row() for solution in solutions]


def _shown(text: str) -> str:
    cut = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return cut.replace("\n", "\n    ")
