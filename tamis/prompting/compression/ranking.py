"""From what tokens are worth to units in the order in which they are kept.

1. Tokens are joined to units that may be cut apart (see `units`), and what must survive is
   put first: instruction, question, what `keep=` and `structure=` name.
2. In each pool (all documents, one document, a segment) units are put in the order of their
   scores, and pools are filled side by side, each in proportion to its share.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tamis.prompting.compression.source import DOCUMENT, Source
from tamis.prompting.compression.units import between_characters, characters_cut, with_digits

__all__ = ["Floats", "Ids", "Ranked", "Weighed", "ranked", "unit_scores"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_GLUED = 32  # characters without white space before what must survive
_LAST = 1e300  # the level of what has no share: after all the rest


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
        Score every unit by the sum over its tokens, not only those with a number.
    chances : bool
        Scores are probabilities, which do not add up: a unit with a number has its highest.
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
    chances: bool = False


def ranked(source: Source, weighed: Weighed, whole: Ids) -> tuple["Ranked", int]:
    """Return the units in the order in which they are kept, and how many of them must be.

    Parameters
    ----------
    source : Source
    weighed : Weighed
    whole : int64 array of shape (n, 2)
        Spans that must survive, in the order of the text.
    """
    units = _Units.of(source, weighed, whole)
    return units.ranked(weighed), int(units.must.sum())


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
        joined = with_digits(text, ends) | weighed.summed
        scores = unit_scores(weighed.scores[held], places, joined, chances=weighed.chances)
        if len(scores) and np.isnan(scores[0]):
            scores[0] = np.inf
        region = np.searchsorted(weighed.regions[:, 0], starts, side="right") - 1
        pools = weighed.pools[np.maximum(region, 0)]
        documents = np.array([part.kind == DOCUMENT for part in source.parts])
        must = ~documents[parts] if len(parts) else np.zeros(0, bool)
        near = np.searchsorted(whole[:, 0], ends) - 1  # the last span that begins before the end
        must |= (near >= 0) & (np.append(whole[:, 1], 0)[near] > starts)
        return cls(starts, ends, parts, costs, scores, pools, must)

    def ranked(self, weighed: Weighed) -> "Ranked":
        """Return the units, those first that are kept first; ties go to the earlier one."""
        scores = np.where(np.isnan(self.scores), -np.inf, self.scores)
        by_score = np.lexsort((-scores, ~self.must))
        level = np.empty(len(scores))
        for pool, share in enumerate(weighed.shares.tolist()):
            members = by_score[self.pools[by_score] == pool]
            cost = np.maximum(self.costs[members], 1e-3)
            filled = np.cumsum(cost) / max(cost.sum(), 1e-9)
            level[members] = filled / share if share > 0 else _LAST
        rank = np.empty(len(scores), np.int64)
        rank[by_score] = np.arange(len(scores))
        order = np.lexsort((rank, level, ~self.must))
        return Ranked(self.starts[order], self.ends[order], self.parts[order], self.costs[order])


@dataclass(frozen=True, eq=False)
class Ranked:
    """Units in the order in which they are kept."""

    starts: Ids
    ends: Ids
    parts: Ids
    costs: Floats

    def first(self, k: int) -> tuple[Ids, Ids, Ids]:
        """Return starts, ends and parts of the first `k`, in the order of the text."""
        order = np.argsort(self.starts[:k], kind="stable")
        return self.starts[:k][order], self.ends[:k][order], self.parts[:k][order]

    def cut(self, k: int, text: str) -> "Ranked":
        """Return them with unit `k` in its characters; without it, where it is but one."""
        start, end = int(self.starts[k]), int(self.ends[k])
        inner = between_characters(text, np.arange(start + 1, end))
        if len(inner) == 0:
            return Ranked(*(np.delete(column, k) for column in vars(self).values()))
        bounds = np.concatenate([[start], inner, [end]])
        new = {
            "starts": bounds[:-1],
            "ends": bounds[1:],
            "parts": np.full(len(inner) + 1, self.parts[k]),
            "costs": np.full(len(inner) + 1, self.costs[k] / (len(inner) + 1)),
        }
        return Ranked(
            *(
                np.concatenate([column[:k], new[name], column[k + 1 :]])
                for name, column in vars(self).items()
            )
        )


def unit_scores(scores: Floats, units: Ids, joined: Mask, *, chances: bool = False) -> Floats:
    """Return what each unit is worth; NaN for one whose tokens have no figure.

    Most have the mean over their tokens, as each costs one. A number has the sum: many
    tokenizers make a token of every digit, of which the later ones surprise little, and where
    one token is all of it the sum is that token's.

    Parameters
    ----------
    scores : float64 array of shape (t,)
    units : int64 array of shape (t,)
        Which unit each token belongs to.
    joined : bool array of shape (u,)
        Whether a unit has the sum, not the mean.
    chances : bool
        Then it has its highest instead.

    Examples
    --------
    >>> scores, units = np.array([4.0, 2.0, 3.0, 1.0]), np.array([0, 0, 1, 1])
    >>> unit_scores(scores, units, np.array([False, True])).tolist()
    [3.0, 4.0]
    """
    known = ~np.isnan(scores)
    units, scores, n = units[known], scores[known], len(joined)
    count = np.bincount(units, minlength=n)
    total = np.bincount(units, weights=scores, minlength=n)
    highest = np.full(n, -np.inf)
    np.maximum.at(highest, units, scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(joined, highest if chances else total, total / count)
    return np.where(count > 0, result, np.nan)


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
