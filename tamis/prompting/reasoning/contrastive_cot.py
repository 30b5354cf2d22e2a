"""Contrastive chain of thought: worked examples with a right and a wrong explanation."""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from tamis.errors import SettingError
from tamis.models.fingerprint import seed_of
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.cot import Exemplar
from tamis.prompting.reasoning.lockstep import Conclusion, Solving
from tamis.prompting.reasoning.trace import Trace

__all__ = ["ContrastiveCoT", "shuffled"]

_NUMBER = r"[$€£]?\d+(?:,\d{3})*(?:\.\d+)?%?"
_EQUATION = rf"{_NUMBER}(?:\s*[-+*/×=]\s*{_NUMBER})+"
_NAME = r"(?<=[a-z,;] )[A-Z][a-z]+(?: [A-Z][a-z]+)*"  # capitals that do not begin a sentence
_OBJECTS = [
    re.compile(f"{_EQUATION}|{_NUMBER}|{_NAME}"),
    re.compile(f"{_NUMBER}|{_NAME}"),  # where one equation is all there is: what it is made of
]


@dataclass
class ContrastiveCoT(Program):
    """Show how to reason, and how not to.

    The wrong explanation is the right one with its numbers, equations and names in each
    other's places: the language stays fluent, and nothing fits.

    Parameters
    ----------
    exemplars : sequence of Exemplar
        At least one whose explanation has two different objects.

    See Also
    --------
    ChainOfThought : the right explanations alone.

    References
    ----------
    Chia et al., arXiv 2311.09277.
    """

    name: ClassVar[str] = "contrastive-cot"
    _: KW_ONLY
    exemplars: Sequence[Exemplar] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._contrasts():
            raise SettingError(
                "ContrastiveCoT: no exemplar has two different numbers or names to exchange; "
                "give exemplars=[Exemplar(question, rationale, answer), …]"
            )

    def _solving(self, question: str, trace: Trace) -> Solving:
        shown = [
            f"Question: {one.question}\nExplanation: {one.rationale}\nAnswer: {one.answer}\n"
            f"Wrong explanation: {wrong}"
            for one, wrong in self._contrasts()
        ]
        asked = "\n\n".join([*shown, f"Question: {question}\nExplanation:"])
        ((said,),) = yield [self._ask(asked, stop=("Wrong explanation:", "\nQuestion:"))]
        trace.add("thought", said)
        return Conclusion(self._extract(said), said.strip())

    def _contrasts(self) -> list[tuple[Exemplar, str]]:
        both = [(one, shuffled(one.rationale, self.seed)) for one in self.exemplars]
        return [(one, wrong) for one, wrong in both if wrong is not None]


def shuffled(rationale: str, seed: int = 0) -> str | None:
    """Return an explanation with its objects in other places; None where they are all equal.

    >>> shuffled("Tom ate 3 of 5, so 5 - 3 = 2 are left.")
    'Tom ate 5 - 3 = 2 of 3, so 5 are left.'
    """
    for pattern in _OBJECTS:
        found = list(pattern.finditer(rationale))
        objects = [match.group() for match in found]
        if len(set(objects)) > 1:
            break
    else:
        return None
    rng = np.random.default_rng(seed_of(seed, rationale))
    mixed = objects
    while mixed == objects:
        mixed = [objects[i] for i in rng.permutation(len(objects))]
    parts, end = [], 0
    for match, other in zip(found, mixed, strict=True):
        parts += [rationale[end : match.start()], other]
        end = match.end()
    return "".join([*parts, rationale[end:]])
