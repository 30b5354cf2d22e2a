"""Each kernel beside the limit that this machine sets it: `python -m benchmarks.kernels`.

First the machine is measured, on one core: bytes a second that can be read, one step of the
shortest chain of dependent operations that hashes text (xor, multiply, select), 32-bit vector
operations, products of float32 matrices, sorts. The limit of a kernel is the time that the
operations that it cannot do without take at those rates. Times are the least of the rounds, in CPU
seconds of one thread; kernels for texts work on made rows (`benchmarks.pools`), the others on
random vectors.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from threadpoolctl import threadpool_limits

import tamis
from benchmarks.pools import tables
from tamis.data import formats
from tamis.kernels import clusters, lcs, minhash, ngrams, textstats
from tamis.kernels.characters import character_table
from tamis.kernels.draws import gumbels
from tamis.kernels.kcenter import k_center
from tamis.kernels.knn_shapley import knn_shapley
from tamis.prompting.compression import compress
from tamis.prompting.compression.readers import reader_of
from tamis.selectors.pickers import top_k

ROUNDS = 5
DECODER = Path(tamis.__file__).parent / "models" / "bundled" / "lm"
LETTERS = {
    "Latin": ascii_lowercase,
    "Cyrillic": "абцдефгхийклмнопярстужвьыз",
    "Han": "的一是了我不人在他有这个上们来到时大地为子中你说生国",
}
_ODD, _ONES = np.uint64(0x9E3779B97F4A7C15), ~np.uint64(0)


class Machine(NamedTuple):
    """Nanoseconds that one core needs at least: for a byte, an operation, an item."""

    byte: float
    chain: float
    lane: float
    product: float
    sorted: float
    argsorted: float


class Line(NamedTuple):
    """A kernel: what it works on, and the nanoseconds an item at least and in fact.

    Attributes
    ----------
    kernel, unit : str
    must : str
        What has to be done for one.
    least, reached : float
    """

    kernel: str
    unit: str
    must: str
    least: float
    reached: float


def main() -> None:
    """Print the machine, and a line a kernel; or put the lines into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="the page whose table gets the lines")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        _print(arguments.write)


def _print(page: Path | None) -> None:
    machine = measured()
    print(
        f"one core: {1 / machine.byte:.1f} GB/s read; {machine.chain:.2f} ns a step of a hash; "
        f"{1 / machine.lane:.1f} G 32-bit vector operations/s; {2 / machine.product:.0f} "
        f"GFLOP/s in float32 products; {machine.sorted:.1f} ns to sort one of 30,000 64-bit "
        f"numbers, {machine.argsorted:.1f} ns its position"
    )
    lines = [
        "| kernel | must do | limit | reached | of the limit |",
        "| --- | --- | --- | --- | --- |",
    ]
    for line in (*of_texts(machine), *of_vectors(machine), *of_words(machine)):
        share = line.least / line.reached
        lines.append(
            f"| {line.kernel} | {line.must} | {_shown(line.least, line.unit)} | "
            f"{_shown(line.reached, line.unit)} | {share:.0%} |"
        )
    scripts = list(of_scripts())
    print("\n".join((*lines, "", *scripts)))
    if page:
        _write(page, lines)
        _write(page, scripts)


def _shown(nanoseconds: float, unit: str) -> str:
    if unit == "B":
        return f"{nanoseconds:.2f} ns a byte ({1e3 / nanoseconds:,.0f} MB/s)"
    return f"{nanoseconds:,.3g} ns a {unit}"


def _write(page: Path, lines: list[str]) -> None:
    """Put the table in the place of the one that is there."""
    before, _, rest = page.read_text().partition(lines[0])
    after = rest.partition("\n\n")[2]
    page.write_text(before + "\n".join(lines) + "\n\n" + after)


# The machine


def measured() -> Machine:
    """Measure what one core can do."""
    large = np.ones(2**26, np.uint64)  # 512 MB
    numbers = np.arange(4096, dtype=np.uint64)
    lanes = np.arange(4096, dtype=np.uint32)
    matrix = np.ones((2048, 2048), np.float32)
    draws = np.random.default_rng(0).integers(2**63, size=30_000, dtype=np.uint64)
    few = draws[:1000].astype(np.uint32)
    return Machine(
        byte=_least(large.sum) / large.nbytes,
        chain=_least(lambda: _chain(numbers, 1000)) / (1000 * len(numbers)),
        lane=_least(lambda: _lanes(lanes, 10_000)) / (12 * 10_000 * len(lanes)),
        product=_least(lambda: matrix @ matrix) / 2048**3,
        sorted=min(  # numpy's vector sort is slow on some machines
            _least(lambda: np.sort(draws)) / len(draws),
            _least(lambda: minhash._sort(few.copy(), few.copy())) / len(few),
        ),
        argsorted=_least(lambda: np.argsort(draws)) / len(draws),
    )


@njit
def _chain(numbers: np.ndarray, times: int) -> np.uint64:
    """Hash numbers, each step waiting for the one before, as for the characters of a word."""
    state = _ODD
    for _ in range(times):
        for number in numbers:
            inside = np.uint64(0) - np.uint64(number & np.uint64(7) != np.uint64(0))
            state = (state ^ number) * _ODD & inside | _ODD & ~inside
    return state


@njit
def _lanes(numbers: np.ndarray, times: int) -> np.uint32:
    """Multiply, add and take the least, four times a lane: twelve operations."""
    least = numbers.copy()
    for step in range(times):
        a, b = np.uint32(8 * step + 1), np.uint32(8 * step + 3)
        c, d = np.uint32(8 * step + 5), np.uint32(8 * step + 7)
        for i in range(len(numbers)):
            x = numbers[i]
            first, second = min(np.uint32(x * a + b), np.uint32(x * b + c)), np.uint32(x * c + d)
            least[i] = min(least[i], min(first, min(second, np.uint32(x * d + a))))
    return least[7]


def _least(work: Callable[[], object]) -> float:
    """Return the least CPU nanoseconds of some rounds, after one that compiles."""
    work()
    found = []
    for _ in range(ROUNDS):
        started = time.thread_time_ns()
        work()
        found.append(time.thread_time_ns() - started)
    return float(min(found))


# Kernels


def of_texts(machine: Machine) -> Iterator[Line]:
    """Measure what reads texts, byte by byte."""
    rows = pa.concat_tables(islice(tables(), 3)).combine_chunks()
    offsets, data = formats.buffers(formats.fields(rows).text)
    n, size = len(offsets) - 1, int(offsets[-1] - offsets[0])
    values, table = np.random.default_rng(0).normal(size=10_000), character_table()
    permutations, every = minhash.permutations(96), np.ones(32, bool)
    _, n_words = ngrams.bucket_sums(offsets, data, values, orders=2)
    words = int(n_words.sum())

    def line(kernel: str, must: str, least: float, work: Callable[[], object]) -> Line:
        return Line(kernel, "B", must, least, _least(work) / size)

    def least(looks: int, steps: int, together: int = 0) -> float:
        """Return nanoseconds a byte: each is compared so often; the rest is done once a word.

        `together` are operations on 64 bits that are done for many words at once.
        """
        compared = looks * 3 / 4 * machine.lane  # three operations, four bytes to 32 bits
        hashed = steps * machine.chain + together * 2 * machine.lane
        return machine.byte + compared + hashed * words / size

    yield line(
        "DSIR: count n-grams",
        "look at a byte 8 times; a hash a word, 2 steps; one a pair, and two buckets, "
        "15 vector operations",
        least(8, 2, 15),
        lambda: ngrams.bucket_counts(offsets, data, orders=2, buckets=10_000),
    )
    yield line(
        "DSIR: score",
        "the same",
        least(8, 2, 15),
        lambda: ngrams.bucket_sums(offsets, data, values, orders=2),
    )
    yield line(
        "exact copies: key of a text",
        "look at a byte 4 times; two hashes of each word, 4 steps",
        least(4, 4),
        lambda: minhash.text_keys(offsets, data, table),
    )
    signed, shingles = minhash.signatures(offsets, data, table, 5, permutations)
    yield line(
        "MinHash: sign by 96 hashes",
        "look at a byte 14 times; a hash a word, 2 steps; one a shingle, 15 vector operations; "
        "96 x 3 more",
        least(14, 2, 15) + 3 * 96 * machine.lane * int(shingles.sum()) / size,
        lambda: minhash.signatures(offsets, data, table, 5, permutations),
    )
    yield line(
        "MinHash: verify, sets of shingles",
        "the same but for the last, and a sort of the shingles",
        least(14, 2, 15) + machine.sorted * int(shingles.sum()) / size,
        lambda: minhash.shingle_sets(offsets, data, table, 5),
    )
    yield line(
        "clean: count what rules look at",
        "look at a byte 35 times; a hash a word, and a set of 3-grams, 4 steps; their hashes, "
        "14 vector operations",
        least(35, 4, 14),
        lambda: textstats.text_counts(offsets, data, every, 3),
    )
    keys = minhash.text_keys(offsets, data, table)
    order, everyone = np.arange(n), np.ones(n, bool)
    looked_at_twice = 16 * machine.byte + 2 * machine.chain
    yield Line(
        "exact copies: the first of equals", "row", "read a key twice, two steps", looked_at_twice,
        _least(lambda: clusters.first_of_equals(keys, order)) / n,
    )  # fmt: skip
    bands = minhash.band_keys(signed, 16)
    yield Line(
        "MinHash: which rows share a band", "row", "read 16 keys twice, two steps each",
        16 * looked_at_twice,
        _least(lambda: [clusters.shared(column, everyone) for column in bands]) / n,
    )  # fmt: skip
    ids = np.frombuffer(np.random.default_rng(1).bytes(16 * 30_000), "V16")
    scores = np.random.default_rng(2).normal(size=len(ids))
    yield Line(
        "DSIR: pick a tenth", "row", "read an id twice, two steps, for copies; two logarithms",
        looked_at_twice + 2 * _least(lambda: np.log(np.abs(scores))) / len(ids),
        _least(lambda: top_k(scores + gumbels(ids, 0), ids, len(ids) // 10)) / len(ids),
    )  # fmt: skip


def of_scripts() -> Iterator[str]:
    """Yield the lines of a table: what reads texts, on the same rows in other letters."""
    texts = formats.fields(next(tables())).text.to_pylist()
    table, permutations = character_table(), minhash.permutations(96)
    yield "| letters | bytes each | DSIR: count | clean: count | MinHash: sign | key of a text |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for script, letters in LETTERS.items():
        small = str.maketrans(ascii_lowercase, letters)
        capital = str.maketrans(ascii_uppercase, letters.upper())
        said = pa.array([text.translate(small | capital) for text in texts], pa.large_string())
        offsets, data = formats.buffers(said)
        found = [
            _least(work) / int(offsets[-1] - offsets[0])
            for work in (
                partial(ngrams.bucket_counts, offsets, data, orders=2, buckets=10_000),
                partial(textstats.text_counts, offsets, data, np.ones(32, bool), 3),
                partial(minhash.signatures, offsets, data, table, 5, permutations),
                partial(minhash.text_keys, offsets, data, table),
            )
        ]
        told = " | ".join(f"{nanoseconds:.1f} ns a byte" for nanoseconds in found)
        yield f"| {script} | {len(letters[0].encode())} | {told} |"


def of_vectors(machine: Machine) -> Iterator[Line]:
    """Measure what works on embeddings: 20,000 of 384 dimensions."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(200, 384)).astype(np.float32)
    points = centres[draw.integers(200, size=20_000)]
    points += 0.3 * draw.normal(size=points.shape).astype(np.float32)
    n, d, k, m = *points.shape, 500, 64
    yield Line(
        f"k-center, {k} picks", "point and pick", f"{d} multiply-adds in float32",
        d * machine.product, _least(lambda: k_center(points, k, 0)) / (n * k),
    )  # fmt: skip
    labels = draw.integers(4, size=n)
    seconds = _alone(lambda: knn_shapley(points, labels, points[:m], labels[:m], 5))
    yield Line(
        f"kNN-Shapley, {m} queries", "point and query",
        f"{d} subtract-multiply-adds in float64; a sort", 2 * d * machine.product + machine.sorted,
        seconds / (n * m),
    )  # fmt: skip


def of_words(machine: Machine) -> Iterator[Line]:
    """Measure what compares lists of words, and what picks tokens."""
    draw = np.random.default_rng(0)
    texts, length = 10_000, 20
    words = (draw.zipf(1.3, size=texts * length) % 5000).astype(np.int32)
    starts = np.arange(0, len(words) + 1, length)
    signs, slacks = zip(*(lcs.sign(words[a : a + length]) for a in starts[:-1]), strict=True)
    signs, slacks = np.stack(signs), np.array(slacks, np.int32)
    slots = np.full(5000, -1, np.int32)
    query = (draw.zipf(1.3, size=length) % 5000).astype(np.int32)  # none of the texts
    yield Line(
        "ROUGE-L at 0.7", "text", "read a sign and a slack, 20 bytes; 6 operations",
        20 * machine.byte + 6 * machine.lane,
        _least(lambda: lcs.nearest(query, words, starts, signs, slacks, 0.7, slots)) / texts,
    )  # fmt: skip
    yield Line(
        "ROUGE-L of every text (LCS)", "word", "5 operations on 64 bits, 4 of them in a row",
        4 / 6 * machine.chain,  # a step of the hash takes 6 cycles
        _least(lambda: lcs.nearest(query, words, starts, signs, slacks, 1e-9, slots))
        / (texts * length),
    )  # fmt: skip
    prompt = " ".join(formats.fields(next(tables())).text[:200].to_pylist())
    found = compress(prompt, rate=0.5, method="random")
    reader = reader_of(DECODER)
    yield Line(
        "token-level picking, half of a prompt", "token",
        "a sort of positions; the result's tokens counted once",
        machine.argsorted + _least(lambda: reader.count(found.text)) / found.original_tokens,
        _least(lambda: compress(prompt, rate=0.5, method="random")) / found.original_tokens,
    )  # fmt: skip


def _alone(work: Callable[[], object]) -> float:
    """Return the CPU nanoseconds of work that spreads itself over threads."""
    work()
    found = []
    for _ in range(ROUNDS):
        started = time.process_time_ns()
        work()
        found.append(time.process_time_ns() - started)
    return float(min(found))


if __name__ == "__main__":
    main()
