"""Made pools of any size, of rows like the sample's.

    python -m benchmarks.pools OUT --megabytes N

A row has as many sentences as one of the sample's in its prompt and its response, drawn from all
the sentences of the sample, and one word in ten is drawn anew: so lengths, words and their
frequencies are those of real rows, and two rows share little. Of the rows 5 in 100 are copies
of an earlier one, and 10 in 100 an earlier one with one to three words changed. A pool is the
beginning of any larger one.
"""

import argparse
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

import tamis
from tamis.data import formats

DATA = Path(__file__).parent.parent / "data"
ROWS = 10_000
CHANGED, EXACT, NEAR = 0.1, 0.05, 0.1
_SPACE = pa.scalar(" ", pa.large_string())

Codes = npt.NDArray[np.int32]


def main() -> None:
    """Write a pool as JSON Lines, so many megabytes before packing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help=".jsonl or .jsonl.zst")
    parser.add_argument("--megabytes", type=float, default=100)
    arguments = parser.parse_args()
    rows, size = write_pool(arguments.out, arguments.megabytes)
    print(f"{arguments.out}: {rows:,} rows, {size / 1e6:,.0f} MB of JSON Lines")


def write_pool(path: Path, megabytes: float) -> tuple[int, int]:
    """Write a made pool of at least so many megabytes of JSON; return its rows and bytes."""
    rows = size = 0
    with path.open("wb") as raw:
        packer = zstandard.ZstdCompressor().stream_writer(raw, closefd=False)
        with packer if path.suffix == ".zst" else raw as file:
            for table in tables():
                lines = "".join(
                    f"{json.dumps(row, ensure_ascii=False)}\n" for row in table.to_pylist()
                ).encode()
                file.write(lines)
                rows, size = rows + table.num_rows, size + len(lines)
                if size >= megabytes * 1e6:
                    return rows, size
    raise AssertionError("tables() has no end")


def write_arrow(path: Path, megabytes: float) -> None:
    """Write a made pool of at least so many megabytes of text as an Arrow stream."""
    size = 0
    pool = tables()
    first = next(pool)
    part = path.with_suffix(".part")
    with pa.OSFile(str(part), "wb") as file, pa.ipc.new_stream(file, first.schema) as stream:
        for table in chain([first], pool):
            stream.write_table(table, max_chunksize=ROWS)
            size += table.nbytes
            if size >= megabytes * 1e6:
                break
    part.replace(path)


def tables() -> Iterator[pa.Table]:
    """Yield prompts and responses without end, ten thousand rows at a time."""
    return (_joined(*_copied(number)) for number in count())


class _Sample(NamedTuple):
    """What rows are made of.

    Attributes
    ----------
    vocabulary : string array
    words : int32 array
        The words of all sentences, one after the other, as their numbers in `vocabulary`.
    starts : int64 array
        Sentence s is `words[starts[s] : starts[s + 1]]`.
    lengths : int64 array of shape (rows, 2)
        Sentences in the prompt and the response of each row.
    """

    vocabulary: pa.LargeStringArray
    words: Codes
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


class _Rows(NamedTuple):
    """Words of rows: row i is `words[starts[i] : starts[i + 1]]`, and `asked[i]` its prompt."""

    words: Codes
    starts: npt.NDArray[np.int64]
    asked: npt.NDArray[np.int64]


@cache
def _sample() -> _Sample:
    pool = tamis.load(DATA / "instructions.jsonl.zst", progress=False)
    prompts, responses, _ = formats.fields(pool.with_format("arrow")[:])
    sentences: list[list[str]] = []
    lengths = []
    for row in zip(prompts.to_pylist(), responses.to_pylist(), strict=True):
        parts = [[s.split() for s in re.split(r"(?<=[.!?])\s+|\n", text)] for text in row]
        said = [[sentence for sentence in part if sentence] for part in parts]
        lengths.append([max(len(part), 1) for part in said])
        sentences += [sentence for part in said for sentence in part]
    words = pa.array([word for sentence in sentences for word in sentence], pa.large_string())
    coded = words.dictionary_encode()
    starts = np.concatenate([[0], np.cumsum([len(sentence) for sentence in sentences])])
    return _Sample(coded.dictionary, coded.indices.to_numpy(), starts, np.array(lengths))


def _own(number: int) -> _Rows:
    """Draw the rows of a chunk."""
    sample, draw = _sample(), np.random.default_rng(number)
    lengths = sample.lengths[draw.integers(len(sample.lengths), size=ROWS)]
    sentences = draw.integers(len(sample.starts) - 1, size=lengths.sum())
    sizes = np.diff(sample.starts)[sentences]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    words = sample.words[_spans(sample.starts[sentences], sizes)]
    anew = draw.random(len(words)) < CHANGED
    words[anew] = draw.choice(sample.words, int(anew.sum()))
    lasts = np.cumsum(lengths.ravel())  # the sentence after the last, of prompts and responses
    places = ends[np.concatenate([[0], lasts])]
    return _Rows(words, places[::2], places[1::2] - places[:-1:2])


def _copied(number: int) -> _Rows:
    """Return a chunk's rows, the last of which are copies of rows of an earlier one."""
    own = _own(number)
    if number == 0:
        return own
    draw = np.random.default_rng([number, 1])
    earlier = _own(int(draw.integers(number)))
    copies = draw.choice(ROWS, round(ROWS * (EXACT + NEAR)), replace=False)
    kept = ROWS - len(copies)
    sizes = np.diff(earlier.starts)[copies]
    words = earlier.words[_spans(earlier.starts[copies], sizes)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    near = np.arange(round(ROWS * EXACT), len(copies)).repeat(3)
    places = starts[near] + (draw.random(len(near)) * sizes[near]).astype(np.int64)
    words[places] = draw.choice(_sample().words, len(places))
    return _Rows(
        np.concatenate([own.words[: own.starts[kept]], words]),
        np.concatenate([own.starts[:kept], own.starts[kept] + starts]),
        np.concatenate([own.asked[:kept], earlier.asked[copies]]),
    )


def _spans(starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the positions from each start on, as many as its size.

    >>> _spans(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum()) + np.repeat(starts - before, sizes)


def _joined(words: Codes, starts: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]) -> pa.Table:
    """Return the texts of some rows."""
    bounds = np.stack([starts[:-1], starts[:-1] + asked], axis=1).ravel()
    texts = _sample().vocabulary.take(pa.array(words))
    lists = pa.LargeListArray.from_arrays(pa.array(np.append(bounds, starts[-1])), texts)
    said = pc.binary_join(lists, _SPACE)
    rows = np.arange(0, 2 * len(asked), 2)
    return pa.table({"prompt": said.take(rows), "response": said.take(rows + 1)})


if __name__ == "__main__":
    main()
