"""Actors that keep the models they loaded from one pass over a pool to the next.

Ray Data ends its actors with each pass, and their models with them: a recipe of three methods
that ask one model would load it three times in every process. These stay until other work wants
their cores or cards, or Ray is left. Passes of one process go one after the other.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import ray
from ray.actor import ActorHandle

__all__ = ["Kind", "dismiss", "through_actors"]

S = TypeVar("S")
T = TypeVar("T")

Kind = Literal["CPU", "GPU"]

_HOLDS: dict[Kind, dict[str, int]] = {"CPU": {"num_cpus": 1}, "GPU": {"num_cpus": 0, "num_gpus": 1}}
_DEATHS = 4  # that one item may cost, or that there may be in a row at starting

_kept: dict[Kind, list[ActorHandle]] = {"CPU": [], "GPU": []}


class _Actor:
    def stands(self) -> None:
        """Answer, which says that the process has started."""

    def call(self, work: Callable[[S], T], item: S) -> T:
        """Return what comes of an item."""
        return work(item)


def through_actors(
    work: Callable[[S], T], items: Sequence[S], kind: Kind, most: int
) -> Iterator[T]:
    """Yield `work(item)` for each item, in order, as they come.

    An actor is given one item at a time, and the first when it stands: a pass begins with those
    there is room for. What an actor was at when it died, another does.

    Parameters
    ----------
    work : function
        Small: it goes along with every item.
    items : sequence
    kind : {"CPU", "GPU"}
        What each actor holds one of.
    most : int
        How many actors, where there are as many items.

    Raises
    ------
    ray.exceptions.RayError
        If `work` raises, or an item has cost four actors their lives, or starting has.
    """
    todo, done, deaths = deque(range(len(items))), dict[int, T](), Counter[int | None]()
    busy: dict[ray.ObjectRef, tuple[ActorHandle, int | None]] = {}
    try:
        for actor in _actors(kind, min(most, len(items))):
            busy[actor.stands.remote()] = actor, None
        for number in range(len(items)):
            while number not in done:
                (answer,), _ = ray.wait([*busy], num_returns=1)
                actor, at = busy.pop(answer)
                try:
                    found = ray.get(answer)
                except ray.exceptions.RayTaskError:
                    raise
                except ray.exceptions.RayError:  # the actor is lost, or what it had found
                    deaths[at] += 1
                    if deaths[at] == _DEATHS:
                        raise
                    actor = _another(kind, actor)
                    busy[actor.stands.remote()] = actor, None
                    todo.extendleft([] if at is None else [at])
                    continue
                del deaths[at]
                if at is not None:
                    done[at] = found
                if todo:
                    at = todo.popleft()
                    busy[actor.call.remote(work, items[at])] = actor, at
            yield done.pop(number)
    finally:
        if any(at is not None for _, at in busy.values()):  # nobody waits for it
            dismiss(kind)


def dismiss(*kinds: Kind) -> None:
    """End the actors that hold cores, or cards: other work wants them."""
    for kind in kinds:
        while _kept[kind]:
            ray.kill(_kept[kind].pop())


def _actors(kind: Kind, count: int) -> list[ActorHandle]:
    """Return as many actors; those that are missing are started."""
    start = ray.remote(scheduling_strategy="SPREAD", **_HOLDS[kind])(_Actor)
    _kept[kind] += [start.remote() for _ in range(len(_kept[kind]), count)]
    return _kept[kind][:count]


def _another(kind: Kind, lost: ActorHandle) -> ActorHandle:
    """Start an actor in the place of one that is lost."""
    _kept[kind] = [actor for actor in _kept[kind] if actor != lost]
    ray.kill(lost)
    return _actors(kind, len(_kept[kind]) + 1)[-1]
