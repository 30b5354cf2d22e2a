"""As much of a prompt as fits, as the reader counts.

As many units as fit are kept, in the order that `ranking` gives them: the result is tokenised
again, because kept neighbours can be more tokens, or fewer, than they were, and the number of
units is corrected until it fits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tamis.errors import BudgetError
from tamis.prompting.compression.ranking import Floats, Ids, Weighed, ranked
from tamis.prompting.compression.readers import Reader
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import Source

__all__ = ["Budget", "pick", "separators"]

_SLACK = 5  # tokens that a result may stay below its budget; fewer for short prompts
_TRIES = 40  # far more than halving needs
_CUTS = 16  # words that are too long for what is left


@dataclass(frozen=True)
class Budget:
    """How long a result may be.

    Attributes
    ----------
    tokens : int
    original_tokens : int
    rate : float
        Share of the original's tokens: what the caller asked for, or what comes to it.
    strict : bool
        Whether the caller gave the number: what must survive does not stretch it then.
    """

    tokens: int
    original_tokens: int
    rate: float
    strict: bool


def pick(
    source: Source, weighed: Weighed, budget: Budget, reader: Reader, whole: Ids, method: str
) -> Compressed:
    """Return the best of a prompt that fits the budget.

    Parameters
    ----------
    source : Source
    weighed : Weighed
    budget : Budget
    reader : Reader
    whole : int64 array of shape (n, 2)
        Spans that must survive, sorted, apart.
    method : str

    Raises
    ------
    BudgetError
        If what must survive does not fit a strict budget.
    """
    units, fixed = ranked(source, weighed, whole)

    def spans(k: int) -> list[tuple[int, int]]:
        return _joined(source, weighed.order, units.first(k))

    def tokens(k: int) -> int:
        return reader.count(_text(source, spans(k)))

    count = tokens(fixed) if fixed else 0
    if count > budget.tokens and budget.strict:
        raise BudgetError(
            f"{method}: what must survive (instruction, question, keep=, structure=) has {count} "
            f"tokens, but target_tokens is {budget.tokens}; raise it, or keep less"
        )
    k = fixed
    for _ in range(_CUTS):
        k, count = _fit(units.costs, k, count, budget.tokens, tokens)
        if budget.tokens - count <= _SLACK or k == len(units.costs):
            break
        units = units.cut(k, source.text)  # a word of many tokens, which would pass the budget
    kept = spans(k)
    return Compressed(
        _text(source, kept),
        tuple(kept),
        source.text,
        count,
        budget.original_tokens,
        weighed.model_tokens,
        method,
    )


def _fit(
    costs: Floats, low: int, count: int, budget: int, tokens: Callable[[int], int]
) -> tuple[int, int]:
    """Return how many units, in their order, fit, and their tokens: tried and corrected.

    `low` units have `count` tokens, and are kept in any case.
    """
    slack = min(_SLACK, max(1, budget // 200))
    spent = np.concatenate([[0.0], np.cumsum(costs)])
    at, said, high = low, count, len(costs) + 1
    for attempt in range(_TRIES):
        if budget - count < slack or high - low <= 1:
            break
        goal = spent[at] + (budget - said)
        guess = int(np.searchsorted(spent, goal + 1e-9, side="right")) - 1
        at = guess if attempt < _TRIES // 4 else (low + high) // 2
        at = min(max(at, low + 1), high - 1)
        said = tokens(at)
        if said > budget:
            high = at
        else:
            low, count = at, said
    return low, count


def _joined(
    source: Source, order: tuple[int, ...], units: tuple[Ids, Ids, Ids]
) -> list[tuple[int, int]]:
    """Return the units' spans in the order of the result, neighbours as one, with separators."""
    starts, ends, parts = units
    borders = np.searchsorted(parts, np.arange(len(source.parts) + 1))
    held = [part for part in order if borders[part] < borders[part + 1]]
    between = separators(source, held)
    spans: list[tuple[int, int]] = []
    for number, part in enumerate(held):
        mine = slice(borders[part], borders[part + 1])
        breaks = starts[mine][1:] != ends[mine][:-1]
        begins = starts[mine][np.concatenate([[True], breaks])]
        stops = ends[mine][np.concatenate([breaks, [True]])]
        spans += zip(begins.tolist(), stops.tolist(), strict=True)
        spans += between[number : number + 1]
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def separators(source: Source, held: list[int]) -> list[tuple[int, int]]:
    """Return what goes between the held parts: each owns what follows it in the original.

    The part that was last, where it no longer is, takes what the now last one owned.
    """
    last = len(source.parts) - 1
    after = [
        (one.end, following.start)
        for one, following in zip(source.parts, source.parts[1:], strict=False)
    ]
    return [after[held[-1] if part == last else part] for part in held[:-1]]


def _text(source: Source, spans: list[tuple[int, int]]) -> str:
    return "".join(source.text[start:end] for start, end in spans)
