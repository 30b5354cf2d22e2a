"""All trials of a design: first every method picks, then proxies are trained, side by side.

Picks come first, one after the other: what a method reads through models is then counted as
its own, and the same rows are never scored twice at once. The longest trainings begin, so that
none is left over at the end.
"""

from collections.abc import Callable
from typing import TypeVar

from tamis.kernels.threads import side_by_side
from tamis.pipelines.compare import Design
from tamis.pipelines.results import Failure
from tamis.pipelines.trials import Bench, Trial, Turn, make_pick, run_trial

__all__ = ["tried"]

Found = TypeVar("Found")


def tried(
    design: Design,
    *,
    pick: Callable[[Turn, Bench], object] = make_pick,
    train: Callable[[Turn, Bench], Trial] = run_trial,
    told: Callable[[Turn], object] = lambda _: None,
) -> tuple[list[Trial], list[Failure]]:
    """Do every trial of a design; return those that ended well and those that failed, in its order.

    Parameters
    ----------
    design : Design
        Its proxy says how many trainings run at once.
    pick, train : function of a turn and a bench
        How it is done, if not plainly: a flow records it.
    told : function of a turn
        Hears that it is over, from the thread that did it.
    """
    found: dict[Turn, object] = {}
    for turn in design.turns:
        found[turn] = _attempt(pick, turn, design.bench)

    def finish(turn: Turn) -> None:
        if not isinstance(found[turn], Failure):
            found[turn] = _attempt(train, turn, design.bench)
        told(turn)

    longest_first = sorted(design.turns, key=lambda turn: -turn.amount.count)
    side_by_side(finish, longest_first, design.bench.proxy.together)
    ended = [found[turn] for turn in design.turns]
    return (
        [one for one in ended if isinstance(one, Trial)],
        [one for one in ended if isinstance(one, Failure)],
    )


def _attempt(do: Callable[[Turn, Bench], Found], turn: Turn, bench: Bench) -> Found | Failure:
    try:
        return do(turn, bench)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Failure(turn.method, turn.seed, turn.amount.count, turn.amount.unit, reason)
