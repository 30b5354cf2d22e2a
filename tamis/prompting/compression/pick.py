"""From scores to a shorter prompt: the best units that fit the budget, as the reader counts.

Every compressor says what each token is worth; here is decided what is kept.

1. Tokens are joined to units that may be cut apart (see `units`), and what must survive is
   taken first: instruction, question, what `keep=` and `structure=` name.
2. In each pool (all documents, one document, a segment) units are put in the order of their
   scores, and pools are filled side by side, each in proportion to its share.
3. As many units as fit are kept: the result is tokenised again, because kept neighbours can
   be more tokens, or fewer, than they were, and the number of units corrected until it fits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tamis.errors import BudgetError
from tamis.prompting.compression.readers import Reader
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import DOCUMENT, Source
from tamis.prompting.compression.units import between_characters, characters_cut

__all__ = ["Budget", "Weighed", "pick", "separators"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SLACK = 5  # tokens that a result may stay below its budget; fewer for short prompts
_TRIES = 40  # far more than halving needs
_GLUED = 32  # characters without white space before what must survive
_CUTS = 16  # words that are too long for what is left


@dataclass(frozen=True, eq=False)
class Weighed:
    """What a method makes of a prompt.

    Attributes
    ----------
    spans : int64 array of shape (t, 2)
        Tokens, or whatever has a score of its own; ends ascend.
    scores : float64 array of shape (t,)
        The higher, the sooner kept. NaN is unknown: kept last, but first of all where it
        opens a prompt, as no model without a BOS token gives the first token a figure.
    edges : int64 array
        Where the prompt may be cut.
    regions : int64 array of shape (r, 2)
        Spans that cover the parts, in the order of the text.
    pools : int64 array of shape (r,)
        Units of one pool compete: which pool a region belongs to.
    shares : float64 array of shape (p,)
        How much of a pool is kept, relative to the others; of 0, none while the others
        are not whole.
    order : tuple of int
        The source's parts in the order of the result.
    model_tokens : int
    summed : bool
        Score a unit by the sum over its tokens, not by their mean.
    """

    spans: Ids
    scores: Floats
    edges: Ids
    regions: Ids
    pools: Ids
    shares: Floats
    order: tuple[int, ...]
    model_tokens: int = 0
    summed: bool = False


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
    ranked, fixed = _Units.of(source, weighed, whole).ranked(weighed)

    def spans(k: int) -> list[tuple[int, int]]:
        return _joined(source, weighed.order, ranked.first(k))

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
        k, count = _fit(ranked.costs, k, count, budget.tokens, tokens)
        if budget.tokens - count <= _SLACK or k == len(ranked.costs):
            break
        ranked = ranked.cut(k, source.text)  # a word of many tokens, which would pass the budget
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


@dataclass(frozen=True, eq=False)
class _Units:
    """What is kept or dropped as a whole, in the order of the text."""

    starts: Ids
    ends: Ids
    parts: Ids
    costs: Floats
    scores: Floats
    pools: Ids
    must: Mask

    @classmethod
    def of(cls, source: Source, weighed: Weighed, whole: Ids) -> "_Units":
        text = source.text
        whole = _widened(text, whole)
        edges = np.union1d(weighed.edges, whole.ravel())
        edges = edges[~_inside(edges, whole)]
        starts, ends, parts = _cut(source, between_characters(text, edges))
        places = np.searchsorted(ends, weighed.spans[:, 1])
        held = places < len(ends)
        held[held] = weighed.spans[held, 1] > starts[places[held]]
        places = places[held]
        costs = np.bincount(places, minlength=len(ends)).astype(np.float64)
        scores = _unit_scores(weighed.scores[held], places, len(ends), weighed.summed)
        if len(scores) and np.isnan(scores[0]):
            scores[0] = np.inf
        region = np.searchsorted(weighed.regions[:, 0], starts, side="right") - 1
        pools = weighed.pools[np.maximum(region, 0)]
        documents = np.array([part.kind == DOCUMENT for part in source.parts])
        must = ~documents[parts] if len(parts) else np.zeros(0, bool)
        near = np.searchsorted(whole[:, 0], ends) - 1  # the last span that begins before the end
        must |= (near >= 0) & (np.append(whole[:, 1], 0)[near] > starts)
        return cls(starts, ends, parts, costs, scores, pools, must)

    def ranked(self, weighed: Weighed) -> "tuple[_Ranked, int]":
        """Return the units, those first that are kept first, and how many must be.

        Ties go to the earlier one.
        """
        scores = np.where(np.isnan(self.scores), -np.inf, self.scores)
        by_score = np.lexsort((-scores, ~self.must))
        level = np.empty(len(scores))
        for pool, share in enumerate(weighed.shares.tolist()):
            members = by_score[self.pools[by_score] == pool]
            cost = np.maximum(self.costs[members], 1e-3)
            filled = np.cumsum(cost) / max(cost.sum(), 1e-9)
            level[members] = filled / share if share > 0 else 1e9 + filled
        rank = np.empty(len(scores), np.int64)
        rank[by_score] = np.arange(len(scores))
        order = np.lexsort((rank, level, ~self.must))
        ranked = _Ranked(self.starts[order], self.ends[order], self.parts[order], self.costs[order])
        return ranked, int(self.must.sum())


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Units in the order in which they are kept."""

    starts: Ids
    ends: Ids
    parts: Ids
    costs: Floats

    def first(self, k: int) -> tuple[Ids, Ids, Ids]:
        """Return starts, ends and parts of the first `k`, in the order of the text."""
        order = np.argsort(self.starts[:k], kind="stable")
        return self.starts[:k][order], self.ends[:k][order], self.parts[:k][order]

    def cut(self, k: int, text: str) -> "_Ranked":
        """Return them with unit `k` in its characters; without it, where it is but one."""
        start, end = int(self.starts[k]), int(self.ends[k])
        inner = between_characters(text, np.arange(start + 1, end))
        if len(inner) == 0 or self.costs[k] <= _SLACK:
            return _Ranked(*(np.delete(column, k) for column in vars(self).values()))
        bounds = np.concatenate([[start], inner, [end]])
        new = {
            "starts": bounds[:-1],
            "ends": bounds[1:],
            "parts": np.full(len(inner) + 1, self.parts[k]),
            "costs": np.full(len(inner) + 1, self.costs[k] / (len(inner) + 1)),
        }
        return _Ranked(
            *(
                np.concatenate([column[:k], new[name], column[k + 1 :]])
                for name, column in vars(self).items()
            )
        )


def _unit_scores(scores: Floats, places: Ids, n: int, summed: bool) -> Floats:
    """Return the mean, or the sum, of each unit's figures; NaN for a unit without any."""
    known = ~np.isnan(scores)
    total = np.bincount(places[known], weights=scores[known], minlength=n)
    count = np.bincount(places[known], minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(count > 0, total / (1 if summed else count), np.nan)
    return result


def _cut(source: Source, edges: Ids) -> tuple[Ids, Ids, Ids]:
    """Return starts, ends and parts of the units: documents are cut at the edges."""
    starts, ends, parts = [], [], []
    for number, part in enumerate(source.parts):
        inner = edges[(edges > part.start) & (edges < part.end)]
        if part.kind != DOCUMENT:
            inner = inner[:0]
        starts.append(np.concatenate([[part.start], inner]))
        ends.append(np.concatenate([inner, [part.end]]))
        parts.append(np.full(len(inner) + 1, number))
    empty = [np.empty(0, np.int64)]
    return tuple(np.concatenate(some or empty) for some in (starts, ends, parts))  # type: ignore[return-value]


def _widened(text: str, whole: Ids) -> Ids:
    """Take along what each span is glued to before it, and one white space.

    So that two numbers, of which what stood between them is dropped, do not become one.
    """
    wide: list[list[int]] = []
    for start, end in whole.tolist():
        first = max(0, start - _GLUED)
        while start > first and not text[start - 1].isspace() and ord(text[start - 1]) < 0x2E80:
            start -= 1
        if start > 0 and text[start - 1].isspace():
            start -= 1
        while characters_cut(text, start):
            start -= 1
        while characters_cut(text, end):
            end += 1
        if wide and start < wide[-1][1]:
            wide[-1][1] = max(wide[-1][1], end)
        else:
            wide.append([start, end])
    return np.array(wide, np.int64).reshape(-1, 2)


def _inside(edges: Ids, whole: Ids) -> Mask:
    near = np.searchsorted(whole[:, 0], edges) - 1
    return (near >= 0) & (np.append(whole[:, 1], 0)[near] > edges)


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
