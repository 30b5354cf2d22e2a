"""A run on many machines, imagined: tasks over slots, slow ones among them, nodes that fail.

A simulation of discrete events. Whatever is wanted waits in one line; a free slot takes the
first of it. An attempt takes its task's seconds, times how slow its node is, times how slow
the attempt is. A node that fails loses the attempts on it, which are made again elsewhere, and
comes back after a time; what had ended stays, as it lies in files. Where copies are wanted, a
free slot for which nothing waits copies the attempt that has run longest, if that is much longer
than most took; the first of the two to end counts, and the other is stopped.
"""

import heapq
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Phase", "Troubles", "simulate"]

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Troubles:
    """What goes wrong on real machines. The defaults are assumptions: put yours in their place.

    Attributes
    ----------
    slow_nodes : float
        Share of the nodes that are slow throughout.
    slow_by : float
        How many times as long everything takes there.
    stragglers : float
        Share of the attempts that are slow for no reason that is known before.
    tail : float
        How many times as long they take is Pareto of this shape, from 1; the smaller, the
        heavier.
    longest : float
        … and at most this.
    days_between_failures : float
        Of one node, on average; failures come at random (exponential).
    repair_seconds : float
        From a failure until a node is there again.
    copy_after : float or None
        An attempt is copied once it took so many times the median; by default none is, as Ray
        copies none.
    """

    slow_nodes: float = 0.05
    slow_by: float = 2.0
    stragglers: float = 0.03
    tail: float = 1.2
    longest: float = 30.0
    days_between_failures: float = 30.0
    repair_seconds: float = 600.0
    copy_after: float | None = None

    def slowness(self, draw: np.random.Generator) -> float:
        """Draw how many times as long an attempt takes."""
        if draw.random() >= self.stragglers:
            return 1.0
        return float(min(self.longest, (1 - draw.random()) ** (-1 / self.tail)))

    @classmethod
    def none(cls) -> "Troubles":
        """Return machines that are all alike and never fail."""
        return cls(slow_nodes=0, stragglers=0, days_between_failures=np.inf)


@dataclass
class Phase:
    """What became of a phase.

    Attributes
    ----------
    seconds : float
        From its start until the last task ended.
    useful, lost, spare : float
        Seconds of slots that went into attempts that counted, that died with their node, and
        that were stopped because the other copy had ended.
    failures, copies : int
    """

    seconds: float = 0.0
    useful: float = 0.0
    lost: float = 0.0
    spare: float = 0.0
    failures: int = 0
    copies: int = 0


def simulate(
    work: Sequence[float],
    *,
    nodes: int,
    slots: int,
    troubles: Troubles,
    seed: int,
    slowness: Callable[[np.random.Generator], float] | None = None,
) -> Phase:
    """Return what becomes of tasks that start together and wait for nothing else.

    Parameters
    ----------
    work : sequence of float
        Seconds of each task on a slot where nothing goes wrong, in the order of their start.
    nodes, slots : int
        How many nodes, and tasks at a time on each.
    troubles : Troubles
    seed : int
        Of all draws; the same seed gives the same run.
    slowness : function of a generator, optional
        How slow an attempt is, instead of as `troubles` says.

    Notes
    -----
    Time O(n log n) for n attempts.

    Examples
    --------
    >>> simulate([3.0] * 10, nodes=2, slots=2, troubles=Troubles.none(), seed=0).seconds
    9.0
    """
    return _Run(work, nodes, slots, troubles, slowness or troubles.slowness, seed).end()


@dataclass(eq=False, slots=True)
class _Attempt:
    task: int
    node: int
    start: float
    over: bool = False


class _Run:
    def __init__(
        self,
        work: Sequence[float],
        nodes: int,
        slots: int,
        troubles: Troubles,
        slowness: Callable[[np.random.Generator], float],
        seed: int,
    ) -> None:
        self._work, self._slots, self._troubles, self._slowness = work, slots, troubles, slowness
        self._draw = np.random.default_rng(seed)
        slow = self._draw.random(nodes) < troubles.slow_nodes
        self._pace = np.where(slow, troubles.slow_by, 1.0).tolist()
        self._phase, self._now = Phase(), 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._told = 0
        self._waiting = deque(range(len(work)))
        self._attempts: list[list[_Attempt]] = [[] for _ in work]  # those that run, by task
        self._left = len(work)
        self._watched: deque[_Attempt] = deque()  # by their start, and not copied yet
        self._lengths: list[float] = []  # of the attempts that counted, ascending
        # Round by round, so that few tasks spread over many nodes.
        self._free = deque(node for _ in range(slots) for node in range(nodes))
        for node in range(nodes):
            self._fail_later(node)

    def end(self) -> Phase:
        """Let everything happen until no task is left."""
        self._fill()
        while self._left:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
            self._fill()
        self._phase.seconds = self._now
        return self._phase

    def _at(self, time: float, happen: Callable[[], None]) -> None:
        """Let something happen then; what is to happen at one moment does so in this order."""
        self._told += 1
        heapq.heappush(self._events, (time, self._told, happen))

    def _fill(self) -> None:
        """Give free slots what waits, or else copies of what takes long."""
        while self._free and self._waiting:
            self._start(self._waiting.popleft(), self._free.popleft())
        if self._free and self._left and self._troubles.copy_after is not None and self._lengths:
            self._copy(self._troubles.copy_after * self._lengths[len(self._lengths) // 2])

    def _start(self, task: int, node: int) -> _Attempt:
        attempt = _Attempt(task, node, self._now)
        seconds = self._work[task] * self._pace[node] * self._slowness(self._draw)
        self._attempts[task].append(attempt)
        self._watched.append(attempt)
        self._at(self._now + seconds, lambda: self._done(attempt))
        return attempt

    def _copy(self, long: float) -> None:
        while self._free and self._watched:
            first = self._watched[0]
            if first.over or len(self._attempts[first.task]) > 1:
                self._watched.popleft()
            elif self._now < first.start + long:
                self._at(first.start + long, lambda: None)  # look again
                return
            elif (node := self._elsewhere(first.node)) is None:
                return
            else:
                self._watched.popleft()
                self._start(first.task, node)
                self._phase.copies += 1

    def _elsewhere(self, node: int) -> int | None:
        """Take a free slot of another node, if there is one: this one may be what is slow."""
        for place, other in enumerate(self._free):
            if other != node:
                del self._free[place]
                return other
        return None

    def _done(self, attempt: _Attempt) -> None:
        if attempt.over:
            return
        insort(self._lengths, self._now - attempt.start)
        self._phase.useful += self._now - attempt.start
        self._left -= 1
        for each in self._attempts[attempt.task]:
            each.over = True
            self._free.append(each.node)
            if each is not attempt:
                self._phase.spare += self._now - each.start
        self._attempts[attempt.task] = []

    def _fail_later(self, node: int) -> None:
        days = self._troubles.days_between_failures
        if np.isfinite(days):
            self._at(self._now + self._draw.exponential(days * DAY), lambda: self._fail(node))

    def _fail(self, node: int) -> None:
        self._phase.failures += 1
        self._free = deque(other for other in self._free if other != node)
        for task, attempts in enumerate(self._attempts):
            for attempt in [one for one in attempts if one.node == node]:
                attempt.over = True
                attempts.remove(attempt)
                self._phase.lost += self._now - attempt.start
                if not attempts:
                    self._waiting.appendleft(task)
        self._at(self._now + self._troubles.repair_seconds, lambda: self._repair(node))

    def _repair(self, node: int) -> None:
        self._free.extend([node] * self._slots)
        self._fail_later(node)
