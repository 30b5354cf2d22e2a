"""Skeleton of thought: the points of an answer first, then all of them written out at once."""

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from tamis.prompting.reasoning.answers import one_line
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.lockstep import Conclusion, Solving, Stopped
from tamis.prompting.reasoning.trace import Trace

__all__ = ["SkeletonOfThought"]

_SKELETON = """\
Give only the skeleton of an answer to the question, not the answer: a numbered list of 3 to 10 \
points, 3 to 5 words each, without elaboration.

Question: {question}
Skeleton:
1."""
_POINT = """\
This is the skeleton of an answer to the question.

Question: {question}
Skeleton:
{skeleton}

Write point {number} out in 1 or 2 sentences, and no other point.
{number}. {point}"""
_LISTED = re.compile(r"(\d{1,3})\.\s?(\S[^\n]*)")
_MOST = 10

Router = Callable[[str], bool]


@dataclass
class SkeletonOfThought(Program):
    """Write the parts of a long answer side by side.

    The solution's answer is the whole text: points in order. It takes as long as the skeleton
    and the longest point, instead of all points one after the other. Not for mathematics or
    code, where a part needs those before it.

    Parameters
    ----------
    suits : function of a question, optional
        Says whether a question is answered in points; others are asked plainly. By default
        all are.

    References
    ----------
    Ning et al., arXiv 2307.15337.
    """

    name: ClassVar[str] = "skeleton-of-thought"
    _: KW_ONLY
    suits: Router | None = None

    def _solving(self, question: str, trace: Trace) -> Solving:
        points: list[str] = []
        if self.suits is None or self.suits(question):
            ((listed,),) = yield [self._ask(_SKELETON.format(question=question))]
            trace.add("skeleton", listed)
            points = points_of(listed)
        if not points:
            ((said,),) = yield [self._ask(question)]
            trace.add("said", said)
            return Conclusion(said.strip() or None, said.strip())
        skeleton = "\n".join(f"{i}. {point}" for i, point in enumerate(points, 1))
        prompts = [
            _POINT.format(question=question, skeleton=skeleton, number=i, point=point)
            for i, point in enumerate(points, 1)
        ]
        try:
            written = yield [self._ask(prompt) for prompt in prompts]
        except Stopped as stopped:
            return Conclusion(None, skeleton, stopped.reason)
        for (said,) in written:
            trace.add("point", said)
        whole = "\n".join(
            f"{i}. {point}: {said.strip()}" if said.strip() else f"{i}. {point}"
            for i, (point, (said,)) in enumerate(zip(points, written, strict=True), 1)
        )
        return Conclusion(whole, whole)


def points_of(listed: str) -> list[str]:
    r"""Return the points of a skeleton, the first 10.

    The prompt ends in '1.', which the model may say again or go on from.

    >>> points_of(" Less noise\n2. Cleaner air\n3. Lower cost.")
    ['Less noise', 'Cleaner air', 'Lower cost']
    """
    text = listed.strip()
    whole = text if re.match(r"\d{1,3}\.", text) else f"1. {text}"
    found = [one_line(point).rstrip(".: ") for _, point in _LISTED.findall(whole)]
    return [point for point in found if point][:_MOST]
