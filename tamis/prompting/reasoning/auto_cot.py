"""Auto-CoT: exemplars of many kinds, which the model reasons out itself."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

import numpy as np

from tamis.errors import DataError
from tamis.kernels.neighbours import k_means
from tamis.models.base import Embedder
from tamis.models.embeddings import embedder_of
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.cot import ChainOfThought, Exemplar
from tamis.prompting.reasoning.lockstep import Solving
from tamis.prompting.reasoning.trace import Solution, Trace

__all__ = ["AutoCoT"]

_LONGEST_QUESTION = 60  # words
_MOST_STEPS = 5  # lines


@dataclass
class AutoCoT(Program):
    """Let the model reason out one example of each kind of question, and show it these.

    Questions are parted into clusters. Of each, the question nearest to the middle whose
    reasoning is short and ends in an answer becomes an exemplar. Kinds that the model gets
    wrong spoil one exemplar each, not all.

    Parameters
    ----------
    embedder : Embedder or str
    k : int
        Clusters, and so exemplars: 8, or 4 for multiple choice, in the paper.
    tries : int
        Questions of a cluster that may fail before it goes without an exemplar.

    Notes
    -----
    A question has at most 60 words, its reasoning 5 lines; a number must stand in the last
    line of its reasoning. The paper counts tokens, of no stated kind.

    References
    ----------
    Zhang et al., arXiv 2210.03493.
    """

    name: ClassVar[str] = "auto-cot"
    _: KW_ONLY
    embedder: Embedder | str = "bundled"
    k: int = 8
    tries: int = 10

    def solve(self, questions: Sequence[str], *, progress: bool = True) -> list[Solution]:
        """Answer each question, with exemplars made from these same questions."""
        return self.with_exemplars(questions, progress=progress).solve(questions, progress=progress)

    def with_exemplars(self, questions: Sequence[str], *, progress: bool = True) -> ChainOfThought:
        """Return a chain of thought whose exemplars are made from `questions`."""
        exemplars = self.exemplars(questions, progress=progress)
        return replace(self._plain(), exemplars=exemplars)

    def exemplars(self, questions: Sequence[str], *, progress: bool = True) -> list[Exemplar]:
        """Return an exemplar of each cluster that has an acceptable question.

        Raises
        ------
        DataError
            If no question has a vector.
        """
        waiting = self._clusters(sorted({question for question in questions if question.strip()}))
        found: dict[int, Exemplar] = {}
        for _ in range(self.tries):
            asked = {i: members.pop(0) for i, members in waiting.items() if members}
            asked = {i: question for i, question in asked.items() if i not in found}
            if not asked:
                break
            solved = self._plain().solve([*asked.values()], progress=progress)
            for i, solution in zip(asked, solved, strict=True):
                exemplar = self._accepted(solution)
                if exemplar:
                    found[i] = exemplar
        return [found[i] for i in sorted(found)]

    def _clusters(self, questions: list[str]) -> dict[int, list[str]]:
        """Return the short questions of each cluster, nearest to its middle first."""
        points = embedder_of(self.embedder).embed(questions)
        able = np.flatnonzero(np.isfinite(points.sum(axis=1)))
        if not len(able):
            raise DataError(f"AutoCoT: none of {len(questions)} questions has a vector")
        points = np.ascontiguousarray(points[able])
        centres, cluster = k_means(points, self.k, seed=self.seed)
        away = np.linalg.norm(points - centres[cluster], axis=1)
        ordered = able[np.argsort(away, kind="stable")]
        of = dict(zip(able.tolist(), cluster.tolist(), strict=True))
        members: dict[int, list[str]] = {i: [] for i in range(len(centres))}
        for place in ordered.tolist():
            if len(questions[place].split()) <= _LONGEST_QUESTION:
                members[of[place]].append(questions[place])
        return members

    def _accepted(self, solution: Solution) -> Exemplar | None:
        thought = next(iter(solution.trace.of("thought")), "").strip()
        if solution.answer is None or not thought:
            return None
        lines = [line for line in thought.splitlines() if line.strip()]
        if len(lines) > _MOST_STEPS:
            return None
        if self.kind == "number" and solution.answer not in lines[-1].replace(",", ""):
            return None
        return Exemplar(solution.question, " ".join(lines), solution.answer)

    def _plain(self) -> ChainOfThought:
        return ChainOfThought(
            self.lm, kind=self.kind, chat=self.chat, answer_tokens=self.answer_tokens,
            max_depth=self.max_depth, max_calls=self.max_calls, max_tokens=self.max_tokens,
            seed=self.seed,
        )  # fmt: skip

    def _solving(self, question: str, trace: Trace) -> Solving:
        return self._plain()._solving(question, trace)  # on its own, a question has no others
