"""Self-ask: the model asks itself follow-up questions; a search may answer them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from tamis.prompting.reasoning.answers import one_line
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.lockstep import Conclusion, Solving, Stopped, Use
from tamis.prompting.reasoning.trace import Trace

__all__ = ["SelfAsk", "compositionality_gap"]

_SHOWN = """\
Question: Which of two bridges is older: one opened in 1931, or one opened two years after 1932?
Are follow up questions needed here: Yes.
Follow up: When was the second bridge opened?
Intermediate answer: Two years after 1932 is 1934.
So the final answer is: the first bridge

"""
_NEEDED = "Are follow up questions needed here:"
_FOLLOW_UP = re.compile(r"Follow up:[ \t]*(\S.*)")
_FINAL = re.compile(r"final answer is:?[ \t]*(\S.*)", re.IGNORECASE)
_INTERMEDIATE = "Intermediate answer:"
_END = "So the final answer is:"


@dataclass
class SelfAsk(Program):
    """Ask follow-up questions, answer them, and then the question.

    Parameters
    ----------
    search : function of a str, optional
        Answers a follow-up question. Without it the model does.
    examples : str
        Worked examples, each ended by an empty line.
    follow_ups : int
        At most.
    seconds : float
        A search that takes longer is given up; that, and what it raises, is its answer.

    See Also
    --------
    ReAct : several tools, and thoughts between them.

    References
    ----------
    Press et al., arXiv 2210.03350.
    """

    name: ClassVar[str] = "self-ask"
    _: KW_ONLY
    search: Callable[[str], object] | None = None
    examples: str = _SHOWN
    follow_ups: int = 8
    seconds: float = 10.0

    def _solving(self, question: str, trace: Trace) -> Solving:
        told = f"{self.examples}Question: {question}\n{_NEEDED}"
        start = len(told) - len(_NEEDED)
        stops = ("\nQuestion:", _INTERMEDIATE) if self.search else ("\nQuestion:",)
        try:
            for _ in range(self.follow_ups + 1):
                ((said,),) = yield [self._ask(told, stop=stops)]
                said = said.split(_INTERMEDIATE)[0] if self.search else said
                trace.add("said", said)
                told += _joined(said)
                final = _FINAL.search(said)
                if final:
                    return Conclusion(self._final(final.group(1)), told[start:])
                asked = _FOLLOW_UP.findall(said)
                if not asked or self.search is None:
                    break
                query = one_line(asked[-1])
                ((seen,),) = yield [Use("search", self.search, query, self.seconds)]
                trace.add("observation", seen)
                told += f"\n{_INTERMEDIATE} {one_line(seen, 1000)}\n"
            told += f"\n{_END}"
            ((said,),) = yield [self._ask(told, stop=("\n",))]
        except Stopped as stopped:
            return Conclusion(None, told[start:], stopped.reason)
        trace.add("said", said)
        return Conclusion(self._final(said), told[start:] + _joined(said))

    def _final(self, said: str) -> str | None:
        return self._extract(f"The answer is {said.strip()}") if said.strip() else None


def compositionality_gap(
    first: Sequence[bool], second: Sequence[bool], composed: Sequence[bool]
) -> float:
    """Return the share of questions answered wrongly though both parts are answered right.

    Parameters
    ----------
    first, second, composed : sequences of bool
        Whether each question's two parts, and the question itself, were answered right.

    Returns
    -------
    float
        NaN where no question has both parts right.

    Examples
    --------
    >>> compositionality_gap([True] * 5, [True] * 5, [True, True, True, False, False])
    0.4
    """
    both = [whole for a, b, whole in zip(first, second, composed, strict=True) if a and b]
    return sum(not whole for whole in both) / len(both) if both else float("nan")


def _joined(said: str) -> str:
    return said.rstrip() if said[:1].isspace() else f" {said.rstrip()}"
