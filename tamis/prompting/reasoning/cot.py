"""Chain of thought: worked examples, or 'Let's think step by step'."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, NamedTuple

from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.lockstep import Conclusion, Solving
from tamis.prompting.reasoning.trace import Trace

__all__ = ["STEP_BY_STEP", "STOP", "ChainOfThought", "Exemplar", "few_shot"]

STEP_BY_STEP = "Let's think step by step."
STOP = ("Q:",)

_TRIGGERS = {
    "auto": "Therefore, the answer is",
    "number": "Therefore, the answer (arabic numerals) is",
    "choice": "Therefore, among A through E, the answer is",
    "yes-no": "Therefore, the answer (Yes or No) is",
    "text": "Therefore, the answer is",
}


class Exemplar(NamedTuple):
    """A question, the reasoning that solves it, and the answer."""

    question: str
    rationale: str
    answer: str


@dataclass
class ChainOfThought(Program):
    """Reason in words, then answer.

    With exemplars the model is shown how, and asked once. Without, it is asked to think step
    by step, and then for the answer that follows.

    Parameters
    ----------
    exemplars : sequence of Exemplar
        The papers take 8 for word problems.

    See Also
    --------
    SelfConsistency : reasons several times, and votes.
    AutoCoT : makes its exemplars itself.

    References
    ----------
    Wei et al., arXiv 2201.11903; Kojima et al., arXiv 2205.11916 (without exemplars).
    """

    name: ClassVar[str] = "cot"
    _: KW_ONLY
    exemplars: Sequence[Exemplar] = ()

    def _solving(self, question: str, trace: Trace) -> Solving:
        if self.exemplars:
            ((said,),) = yield [self._ask(few_shot(self.exemplars, question), stop=STOP)]
            trace.add("thought", said)
            return Conclusion(self._extract(said), said.strip())
        opening = few_shot([], question) + f" {STEP_BY_STEP}"
        ((thought,),) = yield [self._ask(opening, stop=STOP)]
        trace.add("thought", thought)
        trigger = _TRIGGERS[self.kind]
        asked = f"{opening} {thought.strip()}\n{trigger}"
        ((said,),) = yield [self._ask(asked, stop=STOP)]
        trace.add("answer", said)
        whole = f"{thought.strip()}\n{trigger} {said.strip()}"
        answer = self._extract(f"The answer is {said.strip()}") if said.strip() else None
        return Conclusion(answer, whole)


def few_shot(exemplars: Sequence[Exemplar], question: str) -> str:
    """Return worked examples and a question, as the papers write them.

    >>> print(few_shot([Exemplar("1 + 1?", "One and one are 2.", "2")], "2 + 2?"))
    Q: 1 + 1?
    A: One and one are 2. The answer is 2.
    <BLANKLINE>
    Q: 2 + 2?
    A:
    """
    shown = [
        f"Q: {one.question}\nA: {one.rationale} The answer is {one.answer}." for one in exemplars
    ]
    return "\n\n".join([*shown, f"Q: {question}\nA:"])
