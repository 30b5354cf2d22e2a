"""Lay token sequences end to end, so that no row of a batch is padding.

Sequences that begin alike, up to where they are scored, share that stem: it is laid down
once, and each one's own tokens follow as a branch that looks back at it.

    pieces      the cat sat│on    the cat sat│by it    hello│you
    pack        the cat sat·by    │ hello                      (on, it, you are only read off)
                 stem       branch  a run of its own
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tamis.models.tokens import Piece

__all__ = ["Block", "Pack", "packs"]

Ids = npt.NDArray[np.int64]

_WORTH_SHARING = 16  # tokens: a shorter stem costs less to repeat than to look back at


@dataclass(frozen=True)
class Block:
    """Runs of tokens of one length, one after the other, each causal in itself.

    Attributes
    ----------
    begin, length, count : int
        Run i holds the rows from `begin + i * length` on.
    stem : tuple of int
        Rows that a run (then `count` is 1) sees before its own: from, up to.
    """

    begin: int
    length: int
    count: int = 1
    stem: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Pack:
    """A batch without padding.

    Attributes
    ----------
    ids, positions : int64 arrays of shape (t,)
        Tokens, and where each stands in its own sequence.
    blocks : list of Block
        Which rows see which.
    pieces : int64 array
        Which pieces are read off here.
    rows : list of int64 arrays
        For each of these, the rows whose hidden state foretells its scored tokens.
    """

    ids: Ids
    positions: Ids
    blocks: list[Block]
    pieces: Ids
    rows: list[Ids]


def packs(pieces: Sequence[Piece], size: int) -> Iterator[Pack]:
    """Yield packs of about `size` tokens, the longest sequences first.

    Parameters
    ----------
    pieces : sequence of Piece
    size : int
        Tokens a pack, at most; a sequence that is longer has a pack of its own.
    """
    held: list[_Tree] = []
    total = 0
    for tree in sorted(_trees(pieces, size), key=lambda tree: (-tree.size, tree.order)):
        if held and total + tree.size > size:
            yield _lay(held, pieces)
            held, total = [], 0
        held.append(tree)
        total += tree.size
    if held:
        yield _lay(held, pieces)


@dataclass(frozen=True, eq=False)
class _Tree:
    """Pieces that share their first `stem` tokens; a lone piece shares none."""

    members: list[int]
    stem: int
    size: int

    @property
    def order(self) -> int:
        return self.members[0]


def _trees(pieces: Sequence[Piece], size: int) -> Iterator[_Tree]:
    alike: defaultdict[bytes, list[int]] = defaultdict(list)
    for i, piece in enumerate(pieces):
        alike[piece.ids[: piece.first].tobytes()].append(i)
    for members in alike.values():
        stem = pieces[members[0]].first
        if len(members) == 1 or stem < _WORTH_SHARING:
            yield from (_Tree([i], 0, len(pieces[i].ids) - 1) for i in members)
            continue
        held: list[int] = []
        total = stem
        for i in members:
            own = len(pieces[i].ids) - 1 - stem
            if held and total + own > size:
                yield _Tree(held, stem, total)
                held, total = [], stem
            held, total = [*held, i], total + own
        yield _Tree(held, stem, total)


def _lay(trees: list[_Tree], pieces: Sequence[Piece]) -> Pack:
    ids: list[Ids] = []
    positions: list[Ids] = []
    runs: list[Block] = []
    rows: list[Ids] = []
    at = 0

    def lay(tokens: Ids, first: int, stem: tuple[int, int] = (0, 0)) -> int:
        nonlocal at
        ids.append(tokens)
        positions.append(np.arange(first, first + len(tokens)))
        if len(tokens):
            runs.append(Block(at, len(tokens), stem=stem))
        at += len(tokens)
        return at - len(tokens)

    for tree in trees:
        members = [pieces[i] for i in tree.members]
        if tree.stem == 0:
            begin = lay(members[0].ids[:-1], 0)
            rows.append(np.arange(begin + members[0].first - 1, at))
            continue
        stem = lay(members[0].ids[: tree.stem], 0)
        seen = (stem, at)
        for piece in members:
            begin = lay(piece.ids[tree.stem : -1], tree.stem, seen)
            rows.append(np.concatenate([[seen[1] - 1], np.arange(begin, at)]))
    return Pack(
        np.concatenate(ids),
        np.concatenate(positions),
        list(_merged(runs)),
        np.array([i for tree in trees for i in tree.members]),
        rows,
    )


def _merged(runs: list[Block]) -> Iterator[Block]:
    """Join neighbours of one length, that see no stem, into one block."""
    for (length, stem), group in groupby(runs, key=lambda run: (run.length, run.stem)):
        same = list(group)
        if stem == (0, 0):
            yield Block(same[0].begin, length, len(same))
        else:
            yield from same
