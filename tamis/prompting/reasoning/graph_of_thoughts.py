"""Graph of thoughts: operations on thoughts that split, merge, score and refine them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from tamis.errors import SettingError
from tamis.prompting.reasoning.base import Program
from tamis.prompting.reasoning.lockstep import (
    Answers,
    Ask,
    Conclusion,
    Request,
    Solving,
    Stopped,
    together,
)
from tamis.prompting.reasoning.trace import Trace

__all__ = [
    "Aggregate",
    "Generate",
    "GraphOfThoughts",
    "GroundTruth",
    "KeepBest",
    "Operation",
    "Refine",
    "Score",
    "Split",
    "Thought",
    "ValidateAndImprove",
]

Asking = Generator[Sequence[Request], Answers, Any]


@dataclass(frozen=True, eq=False)
class Thought:
    """A text, and what it was made from.

    Attributes
    ----------
    text : str
    parents : tuple of Thought
    part : int
        Which piece of a split it belongs to: thoughts of one piece compete.
    score : float
        Higher is better; 0 until scored.
    """

    text: str
    parents: tuple["Thought", ...] = ()
    part: int = 0
    score: float = 0.0

    @property
    def volume(self) -> int:
        """How many thoughts this one can be reached from."""
        seen: dict[int, Thought] = {}
        waiting = list(self.parents)
        while waiting:
            one = waiting.pop()
            if id(one) not in seen:
                seen[id(one)] = one
                waiting += one.parents
        return len(seen)

    def made(self, text: str, part: int | None = None) -> "Thought":
        """Return a thought made from this one, of the same piece unless said otherwise."""
        return Thought(text, (self,), self.part if part is None else part)


@dataclass(frozen=True)
class Context:
    """What an operation works with."""

    question: str
    trace: Trace
    ask: Callable[[str, float, int], Ask]


@dataclass(eq=False)
class Operation(ABC):
    """A step of a graph.

    Parameters
    ----------
    after : sequence of Operation
        Whose thoughts it takes; those of a first step are the question itself.
    """

    _: KW_ONLY
    after: Sequence["Operation"] = ()

    @abstractmethod
    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Return new thoughts."""


@dataclass(eq=False)
class Generate(Operation):
    """Write `k` thoughts from each.

    Parameters
    ----------
    prompt : function of (question, thought)
    k : int
    temperature : float
    """

    prompt: Callable[[str, str], str]
    k: int = 1
    temperature: float = 0.7

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask for all at once."""
        warm = self.temperature if self.k > 1 else 0.0
        said = yield [
            context.ask(self.prompt(context.question, one.text), warm, self.k) for one in thoughts
        ]
        return [
            one.made(text.strip())
            for one, texts in zip(thoughts, said, strict=True)
            for text in texts
        ]


@dataclass(eq=False)
class Split(Operation):
    """Part each thought by a function; the pieces are numbered in order."""

    into: Callable[[str], Sequence[str]]

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask nothing."""
        yield from ()  # a generator, as all are
        pieces = [(one, text) for one in thoughts for text in self.into(one.text)]
        return [one.made(text, part=part) for part, (one, text) in enumerate(pieces)]


@dataclass(eq=False)
class Score(Operation):
    """Give each thought a score, by a function of (question, thought); higher is better."""

    by: Callable[[str, str], float]

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask nothing."""
        yield from ()  # a generator, as all are
        return [
            Thought(one.text, one.parents, one.part, float(self.by(context.question, one.text)))
            for one in thoughts
        ]


@dataclass(eq=False)
class KeepBest(Operation):
    """Keep the `n` best thoughts of each piece; equal ones in the order they were made."""

    n: int = 1

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask nothing."""
        yield from ()  # a generator, as all are
        parts = sorted({one.part for one in thoughts})
        return [
            one
            for part in parts
            for one in sorted(
                (one for one in thoughts if one.part == part), key=lambda one: -one.score
            )[: self.n]
        ]


@dataclass(eq=False)
class Aggregate(Operation):
    """Merge thoughts, `width` neighbours at a time, into one; `k` ways of each.

    Parameters
    ----------
    prompt : function of (question, list of thoughts)
    width : int, optional
        By default all together.
    """

    prompt: Callable[[str, list[str]], str]
    width: int | None = None
    k: int = 1
    temperature: float = 0.7

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask for all groups at once."""
        width = self.width or max(len(thoughts), 1)
        groups = [thoughts[at : at + width] for at in range(0, len(thoughts), width)]
        warm = self.temperature if self.k > 1 else 0.0
        said = yield [
            context.ask(self.prompt(context.question, [one.text for one in group]), warm, self.k)
            for group in groups
        ]
        return [
            Thought(text.strip(), tuple(group), part)
            for part, (group, texts) in enumerate(zip(groups, said, strict=True))
            for text in texts
        ]


@dataclass(eq=False)
class Refine(Operation):
    """Let the model improve each thought once; a function of (question, thought) asks for it."""

    prompt: Callable[[str, str], str]

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask for all at once; a thought that comes back empty stays as it was."""
        said = yield [
            context.ask(self.prompt(context.question, one.text), 0.0, 1) for one in thoughts
        ]
        return [
            one.made(text.strip() or one.text) for one, (text,) in zip(thoughts, said, strict=True)
        ]


@dataclass(eq=False)
class ValidateAndImprove(Operation):
    """Improve the thoughts that a check refuses, up to `tries` times.

    Parameters
    ----------
    valid : function of (question, thought)
    prompt : function of (question, thought)
    """

    valid: Callable[[str, str], bool]
    prompt: Callable[[str, str], str]
    tries: int = 3

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask again for those that are refused."""
        now = list(thoughts)
        for _ in range(self.tries):
            wrong = [i for i, one in enumerate(now) if not self.valid(context.question, one.text)]
            if not wrong:
                break
            said = yield [
                context.ask(self.prompt(context.question, now[i].text), 0.0, 1) for i in wrong
            ]
            for i, (text,) in zip(wrong, said, strict=True):
                now[i] = now[i].made(text.strip() or now[i].text)
        return now


@dataclass(eq=False)
class GroundTruth(Operation):
    """Score 1 the thoughts that a check of (question, thought) finds right, 0 the others."""

    right: Callable[[str, str], bool]

    def run(self, thoughts: list[Thought], context: Context) -> Asking:
        """Ask nothing."""
        yield from ()  # a generator, as all are
        return [
            Thought(one.text, one.parents, one.part, float(self.right(context.question, one.text)))
            for one in thoughts
        ]


def _step_by_step(question: str, _: str) -> str:
    return f"Q: {question}\nA: Let's think step by step."


def _improve(question: str, thought: str) -> str:
    return (
        f"Q: {question}\nDraft: {thought}\n\nCheck the draft and write it again, mended. "
        'End with "The answer is" and the answer.'
    )


def _usual() -> Operation:
    return Refine(_improve, after=[Generate(_step_by_step)])


@dataclass
class GraphOfThoughts(Program):
    """Run a graph of operations on thoughts.

    Operations that do not wait for each other are run side by side. The answer is that of the
    last operation's best thought.

    Parameters
    ----------
    last : Operation
        With all those it comes after, the graph. By default: think step by step, then refine.
    whole : bool
        The answer is all of the thought, rather than what is extracted from it.

    Raises
    ------
    SettingError
        If operations wait for each other in a circle.

    References
    ----------
    Besta et al., arXiv 2308.09687.
    """

    name: ClassVar[str] = "graph-of-thoughts"
    _: KW_ONLY
    last: Operation = field(default_factory=_usual)
    whole: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._levels = _levels(self.last)

    def _solving(self, question: str, trace: Trace) -> Solving:
        context = Context(question, trace, self._asked)
        done: dict[int, list[Thought]] = {}
        try:
            for level in self._levels:
                taken = [
                    [thought for before in one.after for thought in done[id(before)]]
                    if one.after
                    else [Thought(question)]
                    for one in level
                ]
                running = [one.run(given, context) for one, given in zip(level, taken, strict=True)]
                made = yield from together(running)
                for one, thoughts in zip(level, made, strict=True):
                    done[id(one)] = thoughts
                    for thought in thoughts:
                        trace.add(type(one).__name__.lower(), thought.text)
        except Stopped as stopped:
            return Conclusion(None, "", stopped.reason)
        best = max(done[id(self.last)], key=lambda one: one.score, default=Thought(""))
        answer = best.text if self.whole else self._extract(best.text)
        return Conclusion(answer or None, best.text)

    def _asked(self, text: str, temperature: float, n: int) -> Ask:
        return Ask(text, self.answer_tokens, temperature, (), n, self.seed)


def _levels(last: Operation) -> list[list[Operation]]:
    """Return the operations in rounds: each waits for none of its own round or later."""
    depth: dict[int, int] = {}
    found: dict[int, Operation] = {}
    under_way: set[int] = set()

    def visit(one: Operation) -> int:
        if id(one) in under_way:
            raise SettingError(
                f"GraphOfThoughts: {type(one).__name__} waits for itself; give a graph without "
                "circles"
            )
        if id(one) not in depth:
            under_way.add(id(one))
            depth[id(one)] = 1 + max((visit(before) for before in one.after), default=-1)
            under_way.discard(id(one))
            found[id(one)] = one
        return depth[id(one)]

    visit(last)
    rounds = range(max(depth.values()) + 1)
    return [[one for key, one in found.items() if depth[key] == level] for level in rounds]
