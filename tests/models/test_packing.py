import numpy as np
import pytest

from tamis.models.packing import packs
from tamis.models.tokens import Piece


def pieces_of(*texts):
    """'abc|de' is a piece with the tokens of abcde, scored from d on."""
    return [
        Piece(np.frombuffer(text.replace("|", "").encode(), np.uint8).astype(np.int64), at)
        for text in texts
        for at in [text.index("|")]
    ]


def seen_by(pack, row):
    """The tokens that a row attends to, in order, its own last; by the blocks alone."""
    for block in pack.blocks:
        run, offset = divmod(row - block.begin, block.length)
        if 0 <= run < block.count:
            own = range(block.begin + run * block.length, row + 1)
            assert len(own) == offset + 1
            return [*range(*block.stem), *own]
    raise LookupError(row)


LONG = "a stem of more than sixteen tokens"


@pytest.mark.parametrize("size", [1, 40, 60, 1000])
def test_every_scored_token_is_foretold_from_all_before_it_and_nothing_else(size):
    texts = [f"{LONG}|one", f"{LONG}|two", "h|ello", f"{LONG}|x", "abcd|e", "w|orld", "a|"]
    pieces = pieces_of(*texts)
    found = {}
    for pack in packs(pieces, size):
        for i, rows in zip(pack.pieces.tolist(), pack.rows, strict=True):
            seen = [seen_by(pack, row) for row in rows]
            found[i] = [bytes(pack.ids[rows].astype(np.uint8)).decode() for rows in seen]
            assert all(pack.positions[rows].tolist() == list(range(len(rows))) for rows in seen)
    for i, text in enumerate(texts):
        stem, _, rest = text.partition("|")
        assert found[i] == [stem + rest[:k] for k in range(len(rest))]


def test_a_stem_is_laid_down_once():
    (pack,) = packs(pieces_of(f"{LONG}|one", f"{LONG}|two"), size=1000)
    assert len(pack.ids) == len(LONG) + len("on") + len("tw")


def test_no_pack_is_longer_than_its_size_unless_one_sequence_is():
    rng = np.random.default_rng(0)
    pieces = [Piece(rng.integers(9, size=n), 1) for n in rng.integers(2, 80, size=200)]
    laid = list(packs(pieces, size=64))
    assert sorted(i for pack in laid for i in pack.pieces) == list(range(200))
    assert all(len(pack.ids) <= 64 or len(pack.pieces) == 1 for pack in laid)
