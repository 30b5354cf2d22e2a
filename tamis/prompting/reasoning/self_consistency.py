"""Self-consistency: reason several times, and take the answer most often reached."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from math import comb
from typing import ClassVar

from tamis.errors import SettingError
from tamis.models.fingerprint import seed_of
from tamis.prompting.reasoning.answers import agreed
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.cot import STEP_BY_STEP, STOP, Exemplar, few_shot
from tamis.prompting.reasoning.lockstep import Ask, Conclusion, Solving, Stopped
from tamis.prompting.reasoning.trace import Trace

__all__ = ["SelfConsistency", "settled"]

_HOW = ' End with "The answer is" and the answer.'


@dataclass
class SelfConsistency(Program):
    """Draw several chains of thought; the answer with the most votes wins.

    Draws come a few at a time, and stop when the vote is settled. A chain without an answer has
    no vote; of a tie, the answer first reached wins.

    Parameters
    ----------
    exemplars : sequence of Exemplar
        Without them the model is told to think step by step and how to end.
    samples : int
        Chains of thought, at most. The paper takes 40.
    together : int
        Drawn at once, between two looks at the vote.
    temperature : float
    confidence : float
        1 stops when no answer can overtake the first any more: the winner is that of all
        `samples`. Below, stop as soon as the first is ahead of the second for good with this
        probability, were the draws to go on (0.95 in arXiv 2305.11860).
    fallback : Program, optional
        Asked where the winner has fewer than half of the votes: ReAct, in its paper.

    Notes
    -----
    The solution's reasoning is the first chain that reached the winner.

    References
    ----------
    Wang et al., arXiv 2203.11171; the early stop of Aggarwal et al., arXiv 2305.11860.
    """

    name: ClassVar[str] = "self-consistency"
    _: KW_ONLY
    exemplars: Sequence[Exemplar] = ()
    samples: int = 40
    together: int = 5
    temperature: float = 0.7
    confidence: float = 1.0
    fallback: Program | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.samples, self.together) < 1 or not 0.5 < self.confidence <= 1:
            raise SettingError(
                f"SelfConsistency: samples={self.samples}, together={self.together}, "
                f"confidence={self.confidence}; give 1 or more of each, and above 0.5 up to 1"
            )

    def _solving(self, question: str, trace: Trace) -> Solving:
        text = few_shot(self.exemplars, question)
        if not self.exemplars:
            text += f" {STEP_BY_STEP}" if not self.chat else f"\n{STEP_BY_STEP}{_HOW}"
        chains: list[str] = []
        answers: list[str | None] = []
        why = "finished"
        while len(chains) < self.samples:
            n = min(self.together, self.samples - len(chains))
            seed = seed_of(self.seed, len(chains))
            ask = Ask(text, self.answer_tokens, self.temperature, STOP, n, seed)
            try:
                (said,) = yield [ask]
            except Stopped as stopped:
                return self._voted(chains, answers, trace, stopped.reason)
            chains += said
            answers += [self._extract(chain) for chain in said]
            for chain in said:
                trace.add("thought", chain)
            counts = [len(votes) for _, votes in agreed(answers)]
            if settled(counts, self.samples - len(chains), self.confidence):
                why = "settled" if len(chains) < self.samples else why
                break
        found = self._voted(chains, answers, trace, why)
        most = max((len(votes) for _, votes in agreed(answers)), default=0)
        if self.fallback is not None and 2 * most < len(chains):
            trace.add("fallback", self.fallback.name)
            return (yield from self.fallback._solving(question, trace))
        return found

    def _voted(
        self, chains: list[str], answers: list[str | None], trace: Trace, why: str
    ) -> Conclusion:
        votes = agreed(answers)
        trace.add("vote", ", ".join(f"{answer}: {len(who)}" for answer, who in votes) or "none")
        if not votes:
            return Conclusion(None, chains[0].strip() if chains else "", why)
        winner, who = votes[0]
        return Conclusion(winner, chains[who[0]].strip(), why)


def settled(counts: Sequence[int], left: int, confidence: float = 1.0) -> bool:
    """Return whether a vote need not go on.

    Parameters
    ----------
    counts : sequence of int
        Votes of each answer, most first.
    left : int
        Votes that are still to come.
    confidence : float
        Below 1, also when the probability is as high that the first answer is likelier than
        the second: of a Beta distribution, from a flat prior.

    Examples
    --------
    >>> settled([6, 2], left=3), settled([6, 2], left=4), settled([6, 2], left=4, confidence=0.9)
    (True, False, True)
    """
    first, second = [*counts, 0, 0][:2]
    if first > second + left or (first == second + left and left == 0):
        return True
    return confidence < 1 and first > 0 and _ahead(first, second) >= confidence


def _ahead(first: int, second: int) -> float:
    """Return P(p > ½) of Beta(first + 1, second + 1), by its sum of binomials."""
    n = first + second + 1
    return float(sum(comb(n, i) for i in range(first + 1)) / 2**n)
