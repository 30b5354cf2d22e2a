"""Methods one after the other: each sees what the last one kept."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tamis.data.batches import rows_of
from tamis.errors import BudgetError
from tamis.selectors.base import Budget, Selector
from tamis.selectors.selection import Selection

__all__ = ["Chain", "chain", "joined"]

Step = Selector | tuple[Selector, Budget]


@dataclass(kw_only=True, repr=False)
class Chain(Selector):
    """Run methods one after the other, each on the rows that the one before kept.

    A row's score is that of the last step it reached, its reason that of the step that
    dropped it; signals are named `step.signal`, and are null where a row did not get so far.

    Parameters
    ----------
    steps : tuple of selectors, or of (selector, k)
        The last step keeps what `select` is asked for; an earlier one its own `k`, or by
        its own rule.
    """

    name: ClassVar[str] = "chain"
    steps: tuple[Step, ...]

    @property
    def needs_k(self) -> bool:  # type: ignore[override]
        """Whether the last step needs one and has none of its own."""
        last = self.steps[-1]
        return last.needs_k if isinstance(last, Selector) else last[1] is None

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        selections: list[Selection] = []
        rows = pool
        for number, step in enumerate(self.steps, start=1):
            selector, own = step if isinstance(step, tuple) else (step, None)
            last = number == len(self.steps)
            selection = selector.choose(rows, k if last and k is not None else own)
            if not len(selection) and not last:
                raise BudgetError(
                    f"chain: step {number}, {selector!r}, kept nothing; loosen its settings"
                )
            selections.append(selection)
            rows = rows_of(rows, np.sort(selection.indices))
        return joined(selections)

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.steps))})"


def chain(*steps: Step) -> Chain:
    """Return a selector that runs `steps` one after the other.

    Examples
    --------
    >>> from tamis.selectors import Random
    >>> chain((Random(seed=0), 0.5), Random(seed=1))
    chain((Random(seed=0), 0.5), Random(seed=1))
    """
    return Chain(steps=steps)


def joined(selections: list[Selection]) -> Selection:
    """Make one Selection, over the first one's pool, of steps that each saw the kept of the last.

    Each step must have been given the rows that the one before kept, in the pool's order.
    """
    first = selections[0]
    rows = np.arange(len(first.scores))
    scores, reasons = first.scores.copy(), first.reasons.copy()
    signals: dict[str, pa.Array] = {}
    for selection in selections:
        scores[rows], reasons[rows] = selection.scores, selection.reasons
        places = np.full(len(first.scores), -1)
        places[rows] = np.arange(len(rows))
        takes = pa.array(places, mask=places < 0)
        for name in selection.signals.column_names:
            column = selection.signals[name].combine_chunks()
            signals[_free_name(f"{selection.method}.{name}", signals)] = column.take(takes)
        indices = rows[selection.indices]
        rows = np.sort(indices)
    return replace(
        first,
        indices=indices,
        scores=scores,
        reasons=reasons,
        signals=pa.table(signals),
        method=selections[-1].method,  # whose scores and ranks the kept have
        seconds=sum(selection.seconds for selection in selections),
    )


def _free_name(name: str, taken: dict[str, pa.Array]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}#{number}", number + 1
    return free
