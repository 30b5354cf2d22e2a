"""Tree of thoughts: several next steps at each step, valued, and the best ones followed."""

import re
from collections.abc import Generator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from tamis.errors import SettingError
from tamis.models.fingerprint import seed_of
from tamis.prompting.reasoning.answers import one_line
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.lockstep import Answers, Ask, Conclusion, Request, Solving, Stopped
from tamis.prompting.reasoning.trace import Trace

__all__ = ["TreeOfThoughts"]

State = tuple[str, ...]
Asking = Generator[Sequence[Request], Answers, Any]

_PROPOSE = """\
Question: {question}
Steps so far:
{steps}

Propose {n} different next steps, one a line, each a line of its own and no more."""
_SAMPLE = """\
Question: {question}
Steps so far:
{steps}

Write the next step, one line:"""
_VALUE = """\
Question: {question}
Steps:
{steps}

Can these steps lead to the answer? Say in the last line: sure, likely or impossible."""
_VOTE = """\
Question: {question}
{choices}

Which choice is the most promising? End with "The best choice is" and its number."""
_ANSWER = """\
Question: {question}
Steps:
{steps}

End with "The answer is" and the answer."""

_WORTH = {"sure": 20.0, "likely": 1.0, "impossible": 0.001}
_WORD = re.compile(r"\b(sure|likely|impossible)\b", re.IGNORECASE)
_CHOICE = re.compile(r"best choice is\D{0,20}(\d{1,4})", re.IGNORECASE)
_MARK = re.compile(r"^\s*(?:\d{1,3}\s*[.):]|[-*•])\s*")


@dataclass
class TreeOfThoughts(Program):
    """Search among partial solutions, which the model both proposes and values.

    Parameters
    ----------
    thoughts : int
        Steps to an answer: the depth of the tree.
    branch : int
        Next steps of a partial solution.
    beam : int
        Partial solutions kept at each depth; 1 is greedy.
    generate : {'propose', 'sample'}
        Next steps by one list, for few possible ones, or drawn one by one, for many.
    evaluate : {'value', 'vote'}
        Each partial solution on its own (sure 20, likely 1, impossible 0.001, summed), or all
        against each other.
    samples : int
        Times a value or a vote is asked for.
    search : {'bfs', 'dfs'}
        All at one depth together, or the best one first, going back where the value is under
        `threshold`.
    threshold : float
        Of 'dfs'. 'impossible' said each time is below.
    visits : int
        Partial solutions that 'dfs' looks at.
    prompts : mapping of str to str, optional
        Others for 'propose', 'sample', 'value', 'vote', 'answer', with the same {places}.
    temperature : float
        Of samples, values and votes.

    Notes
    -----
    A partial solution is valued once, however often it comes up; of copies at one depth the
    first is kept. Equal values go to the one proposed first.

    References
    ----------
    Yao et al., arXiv 2305.10601, algorithms 1 and 2.
    """

    name: ClassVar[str] = "tree-of-thoughts"
    _: KW_ONLY
    thoughts: int = 3
    branch: int = 5
    beam: int = 5
    generate: Literal["propose", "sample"] = "propose"
    evaluate: Literal["value", "vote"] = "value"
    samples: int = 3
    search: Literal["bfs", "dfs"] = "bfs"
    threshold: float = 0.01
    visits: int = 100
    prompts: dict[str, str] | None = None
    temperature: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (
            ("generate", ("propose", "sample")),
            ("evaluate", ("value", "vote")),
            ("search", ("bfs", "dfs")),
        ):
            if getattr(self, name) not in known:
                raise SettingError(
                    f"TreeOfThoughts: {name}={getattr(self, name)!r}; give {' or '.join(known)}"
                )
        if min(self.thoughts, self.branch, self.beam, self.samples, self.visits) < 1:
            raise SettingError("TreeOfThoughts: give 1 or more of each count")

    def _solving(self, question: str, trace: Trace) -> Solving:
        best: list[State] = [()]  # where a limit cuts the search short
        try:
            searching = self._bfs if self.search == "bfs" else self._dfs
            state: State = yield from searching(question, trace, best)
            ((said,),) = yield [self._ask(self._put("answer", question, state))]
        except Stopped as stopped:
            return Conclusion(None, "\n".join(best[0]), stopped.reason)
        trace.add("answer", said)
        return Conclusion(self._extract(said), "\n".join([*state, said.strip()]))

    def _bfs(self, question: str, trace: Trace, best: list[State]) -> Asking:
        states: list[State] = [()]
        known: dict[State, float] = {}
        for _ in range(self.thoughts):
            grown = yield from self._grown(question, states)
            if not grown:
                break
            values = yield from self._values(question, grown, known)
            order = sorted(range(len(grown)), key=lambda i: -values[i])[: self.beam]
            states = [grown[i] for i in order]
            best[0] = states[0]
            for i in order:
                trace.add("thought", f"{values[i]:g} {' | '.join(grown[i])}")
        return states[0]

    def _dfs(self, question: str, trace: Trace, best: list[State]) -> Asking:
        waiting: list[State] = [()]
        known: dict[State, float] = {}
        for _ in range(self.visits):
            if not waiting:
                break
            state = waiting.pop()
            if len(state) > len(best[0]):
                best[0] = state
            if len(state) == self.thoughts:
                return state
            grown = yield from self._grown(question, [state])
            values = yield from self._values(question, grown, known)
            for value, one in sorted(zip(values, grown, strict=True), key=lambda pair: -pair[0]):
                trace.add("thought", f"{value:g} {' | '.join(one)}")
            promising = [i for i, value in enumerate(values) if value > self.threshold]
            order = sorted(promising, key=lambda i: -values[i])
            waiting += [grown[i] for i in reversed(order)]
        return best[0]

    def _grown(self, question: str, states: list[State]) -> Asking:
        """Return the states one step on, without copies."""
        n = 1 if self.generate == "propose" else self.branch
        how = 0.0 if self.generate == "propose" else self.temperature
        said = yield [
            Ask(
                self._put(self.generate, question, state),
                self.answer_tokens, how, (), n, seed_of(self.seed, len(state)),
            )
            for state in states
        ]  # fmt: skip
        grown: list[State] = []
        for state, texts in zip(states, said, strict=True):
            lines = texts[0].splitlines() if self.generate == "propose" else texts
            steps = [one_line(_MARK.sub("", line), 1_000) for line in lines]
            grown += [(*state, step) for step in [one for one in steps if one][: self.branch]]
        return list(dict.fromkeys(grown))

    def _values(self, question: str, states: list[State], known: dict[State, float]) -> Asking:
        """Return the value of each state; those known are not asked for again."""
        if not states:
            return []
        if self.evaluate == "vote":
            return (yield from self._votes(question, states))
        new = [state for state in states if state not in known]
        if new:
            said = yield [self._judged(self._put("value", question, state)) for state in new]
            for state, texts in zip(new, said, strict=True):
                words = [_WORD.findall(text) for text in texts]
                known[state] = sum(_WORTH[found[-1].lower()] for found in words if found)
        return [known[state] for state in states]

    def _votes(self, question: str, states: list[State]) -> Asking:
        choices = "\n\n".join(
            f"Choice {i}:\n" + "\n".join(state) for i, state in enumerate(states, 1)
        )
        text = self._template("vote").replace("{choices}", choices)
        (said,) = yield [self._judged(text.replace("{question}", question))]
        values = [0.0] * len(states)
        for one in said:
            found = _CHOICE.findall(one)
            if found and 1 <= int(found[-1]) <= len(states):
                values[int(found[-1]) - 1] += 1
        return values

    def _judged(self, text: str) -> Ask:
        return Ask(text, self.answer_tokens, self.temperature, (), self.samples, self.seed)

    def _put(self, which: str, question: str, state: State) -> str:
        text = self._template(which).replace("{n}", str(self.branch))
        parts = [part.replace("{question}", question) for part in text.split("{steps}")]
        return ("\n".join(state) or "none yet").join(parts)

    def _template(self, which: str) -> str:
        own = {
            "propose": _PROPOSE, "sample": _SAMPLE, "value": _VALUE, "vote": _VOTE,
            "answer": _ANSWER,
        }  # fmt: skip
        return (own | (self.prompts or {}))[which]
