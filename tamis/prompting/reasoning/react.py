"""ReAct: thoughts and actions in turn; what an action brings is observed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from tamis.errors import SettingError, did_you_mean
from tamis.prompting.reasoning.answers import one_line
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.lockstep import Conclusion, Solving, Stopped, Use
from tamis.prompting.reasoning.trace import Trace

__all__ = ["ReAct"]

Tool = Callable[[str], object]

_FINISH = "Finish"
_HOW = """\
Answer the question in turns of Thought, Action and Observation. An action is one of: {actions}. \
{finish}[answer] ends with the answer. Write one thought and one action, like this:
Thought 1: what is to be done
Action 1: {example}

"""
_ACTION = re.compile(r"^[ \t]*(?:Action(?:[ \t]*\d+)?:[ \t]*)?([A-Za-z_]\w*)\[(.*)\][ \t.]*$")
_CUT = re.compile(r"\n[ \t]*Observation", re.IGNORECASE)
_LONGEST_ARGUMENT = 1_000


@dataclass
class ReAct(Program):
    """Let the model think and act in turns, with tools of yours.

    A tool is called with the text between the brackets, and is only found by its name: what
    the model writes is never run. A tool that raises, or takes too long, is an observation
    that says so.

    Parameters
    ----------
    tools : mapping of str to function of a str
        'Search', 'Lookup', … 'Finish' is the program's own.
    examples : str
        Worked examples, each ended by an empty line.
    steps : int
        Thoughts and actions, invalid ones included: 7 in the paper for HotpotQA, 5 for FEVER.
    seconds : float
        What a tool may take. One that hangs keeps its thread until it ends by itself.
    fallback : Program, optional
        Asked where there was no Finish: SelfConsistency, in the paper.

    References
    ----------
    Yao et al., arXiv 2210.03629.
    """

    name: ClassVar[str] = "react"
    _: KW_ONLY
    tools: Mapping[str, Tool] = field(default_factory=dict)
    examples: str = ""
    steps: int = 7
    seconds: float = 10.0
    fallback: Program | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if _FINISH in self.tools or not all(name.isidentifier() for name in self.tools):
            raise SettingError(
                f"ReAct: tools={sorted(self.tools)}; give names that are words, none of them Finish"
            )

    def _solving(self, question: str, trace: Trace) -> Solving:
        told = self._opening() + f"Question: {question}\n"
        start = len(told)
        try:
            for step in range(1, self.steps + 1):
                told += f"Thought {step}:"
                ((said,),) = yield [self._ask(told, stop=("\nObservation",))]
                thought, action = _parsed(said)
                trace.add("thought", thought)
                if action is None:  # one more try, with the thought as it is
                    opened = f"{told} {thought}\nAction {step}:"
                    ((said,),) = yield [self._ask(opened, stop=("\n",))]
                    action = _action(said)
                if action is not None and action[0] == _FINISH:
                    trace.add("action", f"{_FINISH}[{action[1]}]")
                    written = f"{told} {thought}\nAction {step}: {_FINISH}[{action[1]}]"
                    return Conclusion(self._final(action[1]), written[start:])
                seen = yield from self._observed(action, trace)
                acted = "none" if action is None else f"{action[0]}[{action[1]}]"
                told += f" {thought}\nAction {step}: {acted}\nObservation {step}: {seen}\n"
        except Stopped as stopped:
            return Conclusion(None, told[start:], stopped.reason)
        if self.fallback is not None:
            trace.add("fallback", self.fallback.name)
            return (yield from self.fallback._solving(question, trace))
        return Conclusion(None, told[start:], "depth")

    def _opening(self) -> str:
        actions = ", ".join(f"{name}[…]" for name in [*self.tools, _FINISH])
        example = f"{next(iter(self.tools), _FINISH)}[…]"
        return _HOW.format(actions=actions, finish=_FINISH, example=example) + self.examples

    def _observed(self, action: tuple[str, str] | None, trace: Trace) -> Solving:
        """Return what an action brings, on one line."""
        if action is None:
            seen = "invalid action; write Action: Name[argument]"
        elif action[0] not in self.tools:
            seen = f"invalid action: no {action[0]}; {did_you_mean(action[0], self.tools)}"
        else:
            name, argument = action
            trace.add("action", f"{name}[{argument}]")
            ((seen,),) = yield [Use(name, self.tools[name], argument, self.seconds)]
        trace.add("observation", seen)
        return one_line(seen, 2_000)

    def _final(self, said: str) -> str | None:
        return self._extract(f"The answer is {said}") if said.strip() else None


def _parsed(said: str) -> tuple[str, tuple[str, str] | None]:
    """Return the thought on one line, and the first action after it, if there is one."""
    lines = _CUT.split(said, maxsplit=1)[0].strip().splitlines()
    for place, line in enumerate(lines):
        action = _action(line)
        if action:
            return one_line(" ".join(lines[:place]), 2_000), action
    return one_line(" ".join(lines), 2_000), None


def _action(line: str) -> tuple[str, str] | None:
    first = line.strip().split("\n", 1)[0][: 2 * _LONGEST_ARGUMENT]
    match = _ACTION.match(first)
    return (match.group(1), match.group(2)[:_LONGEST_ARGUMENT]) if match else None
