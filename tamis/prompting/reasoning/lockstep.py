"""Many programs at once: in each round all that they ask goes to the model in one call."""

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tamis.data.progress import progress_bar
from tamis.errors import ModelError
from tamis.models.base import IncompleteError, LanguageModel, Prompt
from tamis.models.contexts import fits
from tamis.prompting.reasoning.answers import cleaned, one_line
from tamis.prompting.reasoning.trace import Solution, Trace

__all__ = ["Ask", "Conclusion", "Limits", "Run", "Stopped", "Use", "advance", "together"]

_LONGEST_OBSERVATION = 2_000
_TOOLS_TOGETHER = 32


@dataclass(frozen=True)
class Ask:
    """A prompt for the model."""

    text: str
    max_tokens: int = 512
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    n: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Use:
    """A call of a user's tool, with the argument that the model wrote: a text, never code."""

    name: str
    tool: Callable[[str], object]
    argument: str
    seconds: float


Request = Ask | Use
Answers = list[tuple[str, ...]]
Solving = Generator[Sequence[Request], Answers, Any]
"""A program under way: yields what it asks, gets an answer to each, returns what it found."""


class Stopped(Exception):
    """Thrown into a program that may not go on; it may still say what it has found."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Conclusion:
    """What a program found."""

    answer: str | None
    reasoning: str = ""
    stopped: str = "finished"


@dataclass(frozen=True)
class Limits:
    """What a question may cost.

    Attributes
    ----------
    depth : int
        Rounds: asks that wait for the answers of others.
    calls : int
        Answers asked of the model.
    tokens : int
        Written by the model.
    """

    depth: int
    calls: int
    tokens: int


@dataclass
class Run:
    """A question under way."""

    question: str
    trace: Trace
    program: Solving
    limits: Limits
    requests: Sequence[Request] = ()
    found: Conclusion | None = None
    depth: int = 0
    calls: int = 0
    tokens: int = 0

    def start(self) -> None:
        """Run the program up to its first asks."""
        self._step(lambda: next(self.program))

    def answer(self, answers: Answers) -> None:
        """Give the program its answers, and run it to its next asks."""
        self._step(lambda: self.program.send(answers))

    def stop(self, reason: str) -> None:
        """Let the program say what it has; it asks no more."""
        self.trace.add("stopped", reason)
        self._step(lambda: self.program.throw(Stopped(reason)))
        if self.found is None:
            self.program.close()
            self.found = Conclusion(None, stopped=reason)

    def admitted(self) -> list[Request]:
        """Return what the limits allow to be asked now; stop where they allow nothing."""
        asked = sum(request.n for request in self.requests if isinstance(request, Ask))
        left = (self.limits.tokens - self.tokens) // max(asked, 1)
        over = {
            "depth": self.depth >= self.limits.depth,
            "calls": self.calls + asked > self.limits.calls,
            "tokens": asked > 0 and left < 1,
        }
        reason = next((name for name, yes in over.items() if yes), None)
        if reason is not None:
            self.stop(reason)
            return []
        self.depth += asked > 0
        self.calls += asked
        return [
            replace(one, max_tokens=min(one.max_tokens, left)) if isinstance(one, Ask) else one
            for one in self.requests
        ]

    def solution(self) -> Solution:
        """Return what was found."""
        found = self.found or Conclusion(None, stopped="not finished")
        stopped = found.stopped
        if found.answer is None and stopped == "finished":
            stopped = "no answer found"
        return Solution(
            self.question, found.answer, found.reasoning, self.trace, stopped, self.calls,
            self.tokens,
        )  # fmt: skip

    def _step(self, move: Callable[[], Sequence[Request]]) -> None:
        try:
            self.requests = move()
        except StopIteration as ended:
            self.found = ended.value
        except Stopped as stopped:
            self.found = Conclusion(None, stopped=stopped.reason)


def advance(
    runs: Sequence[Run],
    lm: LanguageModel,
    render: Callable[[str], Prompt],
    *,
    label: str,
    progress: bool = True,
) -> list[Solution]:
    """Bring all runs to their end, round by round.

    What the model or a server refuses stops the question that asked for it, and no other.
    """
    count = _counter(lm)
    with progress_bar(total=len(runs), desc=label, unit=" questions", progress=progress) as bar:
        for run in runs:
            run.start()
        while True:
            admitted = [(run, run.admitted()) for run in runs if run.found is None]
            waiting = [(run, requests) for run, requests in admitted if run.found is None]
            if not waiting:
                break
            answers = _answered([request for _, all in waiting for request in all], lm, render)
            for run, requests in waiting:
                _give(run, [next(answers) for _ in requests], requests, count)
            bar.update(sum(run.found is not None for run in runs) - bar.n)
    return [run.solution() for run in runs]


def together(programs: Sequence[Solving]) -> Generator[Sequence[Request], Answers, list[Any]]:
    """Run parts of one program side by side, as one: their asks go out together."""
    results: list[Any] = [None] * len(programs)
    asking: dict[int, Sequence[Request]] = {}
    for i, program in enumerate(programs):
        try:
            asking[i] = next(program)
        except StopIteration as ended:
            results[i] = ended.value
    while asking:
        answers = yield [request for requests in asking.values() for request in requests]
        given = iter(answers)
        for i, requests in list(asking.items()):
            try:
                asking[i] = programs[i].send([next(given) for _ in requests])
            except StopIteration as ended:
                results[i] = ended.value
                del asking[i]
    return results


@dataclass(frozen=True)
class _Refused:
    reason: str


def _give(
    run: Run,
    answers: Sequence[tuple[str, ...] | _Refused],
    requests: Sequence[Request],
    count: Callable[[str, int], int],
) -> None:
    said: Answers = []
    for request, answer in zip(requests, answers, strict=True):
        if isinstance(answer, _Refused):
            run.stop(answer.reason)
            return
        if isinstance(request, Ask):
            run.tokens += sum(count(text, request.max_tokens) for text in answer)
        said.append(tuple(cleaned(text) for text in answer))
    run.answer(said)


def _answered(
    requests: Sequence[Request], lm: LanguageModel, render: Callable[[str], Prompt]
) -> Iterator[tuple[str, ...] | _Refused]:
    """Yield the answer to each request; those that can be sent together are."""
    answers: list[tuple[str, ...] | _Refused] = [()] * len(requests)
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i, one in enumerate(requests):
        if isinstance(one, Ask):
            groups[one.max_tokens, one.temperature, one.stop, one.n, one.seed].append(i)
    for (max_tokens, temperature, stop, n, seed), members in groups.items():
        prompts = [render(requests[i].text) for i in members]  # type: ignore[union-attr]
        how = {"max_tokens": max_tokens, "temperature": temperature, "n": n, "seed": seed}
        said = _generated(lm, prompts, {**how, "stop": [*stop] or None})
        for i, answer in zip(members, said, strict=True):
            answers[i] = answer
    uses = [i for i, one in enumerate(requests) if isinstance(one, Use)]
    for i, seen in zip(uses, _used([requests[i] for i in uses]), strict=True):  # type: ignore[misc]
        answers[i] = (seen,)
    return iter(answers)


def _generated(
    lm: LanguageModel, prompts: list[Prompt], how: dict[str, Any]
) -> list[tuple[str, ...] | _Refused]:
    """Return the model's answers; a reason for each prompt that has none."""
    bare = getattr(lm, "lm", lm)  # a cached model does not say how long its context is
    fit = fits(bare, prompts, room=how["max_tokens"])
    answers: list[tuple[str, ...] | _Refused] = [
        _Refused("longer than the model's context") for _ in prompts
    ]
    able = [i for i, fitting in enumerate(fit) if fitting]
    for i, said in zip(able, _asked(lm, [prompts[i] for i in able], how), strict=True):
        answers[i] = said
    return answers


def _asked(
    lm: LanguageModel, prompts: list[Prompt], how: dict[str, Any]
) -> list[tuple[str, ...] | _Refused]:
    if not prompts:
        return []
    try:
        return [said.texts for said in lm.generate(prompts, **how)]
    except IncompleteError as error:
        if len(error.answers) != len(prompts):  # of some other calls
            return [answer for prompt in prompts for answer in _alone(lm, prompt, how)]
        answers: list[tuple[str, ...] | _Refused] = []
        for i, (prompt, said) in enumerate(zip(prompts, error.answers, strict=True)):
            if said is not None:
                answers.append(said.texts)
            elif i in error.reasons:
                answers.append(_Refused(f"the model: {one_line(error.reasons[i])}"))
            else:  # a cached model holds it, and was asked for the others
                answers += _alone(lm, prompt, how)
        return answers


def _alone(
    lm: LanguageModel, prompt: Prompt, how: dict[str, Any]
) -> list[tuple[str, ...] | _Refused]:
    try:
        return [lm.generate([prompt], **how)[0].texts]
    except ModelError as error:
        return [_Refused(f"the model: {one_line(str(error))}")]


def _used(uses: Sequence[Use]) -> Iterator[str]:
    """Yield what each tool says, an error or a silence included."""
    for start in range(0, len(uses), _TOOLS_TOGETHER):
        some = [_Call(use) for use in uses[start : start + _TOOLS_TOGETHER]]
        yield from (call.result() for call in some)


@dataclass
class _Call:
    """A tool at work in a thread of its own, which is left behind when it hangs."""

    use: Use
    _said: "queue.SimpleQueue[str]" = field(default_factory=queue.SimpleQueue)
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.use.seconds
        threading.Thread(target=self._work, name=f"tool {self.use.name}", daemon=True).start()

    def _work(self) -> None:
        try:
            said = str(self.use.tool(self.use.argument))
        except Exception as error:  # a user's tool raises what it likes
            said = f"error: {type(error).__name__}: {one_line(str(error))}"
        self._said.put(said)

    def result(self) -> str:
        try:
            said = self._said.get(timeout=max(0.0, self._until - time.monotonic()))
        except queue.Empty:
            return f"error: {self.use.name} gave no answer in {self.use.seconds:g} s"
        return cleaned(said, _LONGEST_OBSERVATION)


def _counter(lm: LanguageModel) -> Callable[[str, int], int]:
    """Return what counts the tokens of an answer of so many at most."""
    words = getattr(getattr(lm, "lm", lm), "tokenizer", None)
    if words is None:  # a token is a byte at least
        return lambda text, most: min(most, len(text.encode("utf-8", "surrogatepass")))
    return lambda text, most: min(most, len(words(text, add_special_tokens=False)["input_ids"]))
