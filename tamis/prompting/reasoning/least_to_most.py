"""Least-to-most: simpler questions first, each answer a help for the next."""

import re
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from tamis.prompting.reasoning.answers import same
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.lockstep import Conclusion, Solving, Stopped
from tamis.prompting.reasoning.trace import Trace

__all__ = ["LeastToMost"]

_DECOMPOSE = (
    "To solve the question below, which simpler questions have to be answered first? List them "
    "by number, one a line, each a help for the next; the last is the question itself.\n\n"
)
_LISTED = re.compile(r"^[ \t]*(?:\d{1,3}[ \t]*[.):]|[-*•])[ \t]*(\S.*)$", re.MULTILINE)
_STOP = ("\nQ:",)


@dataclass
class LeastToMost(Program):
    """Part a question into simpler ones, and answer them in order.

    Each is asked with all earlier ones and their answers; the last answer is the question's.

    Parameters
    ----------
    decomposing, solving : str
        Worked examples to stand before the prompts of the two stages.
    parts : int
        Questions, at most; what a model lists beyond is left out, never the question itself.

    References
    ----------
    Zhou et al., arXiv 2205.10625.
    """

    name: ClassVar[str] = "least-to-most"
    _: KW_ONLY
    decomposing: str = ""
    solving: str = ""
    parts: int = 8

    def _solving(self, question: str, trace: Trace) -> Solving:
        before = self.decomposing or _DECOMPOSE
        ((listed,),) = yield [self._ask(f"{before}Question: {question}\nSimpler questions:")]
        trace.add("decomposition", listed)
        known: list[tuple[str, str]] = []
        try:
            for part in parts_of(listed, question, self.parts):
                told = "\n\n".join(f"Q: {asked}\nA: {said}" for asked, said in known)
                context = f"{self.solving}{question}\n\n" + (f"{told}\n\n" if told else "")
                ((said,),) = yield [self._ask(f"{context}Q: {part}\nA:", stop=_STOP)]
                known.append((part, said.strip()))
                trace.add("part", f"{part}\n{said.strip()}")
        except Stopped as stopped:
            return Conclusion(None, _told(known), stopped.reason)
        return Conclusion(self._extract(_marked(known[-1][1])), _told(known))


def parts_of(listed: str, question: str, most: int) -> list[str]:
    r"""Return the questions of a list, in order, the question itself last.

    >>> parts_of("1. How many are left?\n2) What do they cost?", "What is paid?", most=2)
    ['How many are left?', 'What is paid?']
    """
    found = [one.strip() for one in _LISTED.findall(listed)]
    simpler = [one for one in dict.fromkeys(found) if not same(one, question)]
    return [*simpler[: most - 1], question]


def _marked(said: str) -> str:
    """Return an answer with its trigger: a short one is nothing but the answer."""
    return said if "answer" in said.lower() or "####" in said else f"The answer is {said}"


def _told(known: list[tuple[str, str]]) -> str:
    return "\n".join(f"{asked}\n{said}" for asked, said in known)
