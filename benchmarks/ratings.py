"""How well methods rank answers that were rated: ROC-AUC beside the length of the answer.

    python -m benchmarks.ratings FILE               # where tamis[models] is installed
    python -m benchmarks.ratings FILE --judge openai:gpt-4o-mini --lm transformers:gpt2

FILE holds Alpaca rows, with true and false in `in_random_9k` (a uniform sample: only its rows
are ranked), `in_claude_t45` and `in_helpfulness_t45` (rated at least 4.5 by a judge) and
`in_cherry_5pct` (picked by IFD with LLaMA-7B). 0.5 is chance. A row without a score ranks
last. 'at equal length' is the mean of the areas within fifths of the answers' length: what a
method knows beyond it.
"""

import argparse
import time

import numpy as np
import numpy.typing as npt
from datasets import Dataset

import tamis
from tamis.data import formats
from tamis.selectors import IFD, LIMA, AlpaGasus, Perplexity

TRUTHS = ("in_claude_t45", "in_helpfulness_t45", "in_cherry_5pct")
FIFTHS = 5


def main() -> None:
    """Print a line for each method, and one for the length of the answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?")
    parser.add_argument("--rows", type=int, help="the first so many, for a quick look")
    parser.add_argument("--judge", default="bundled")
    parser.add_argument("--lm", default="bundled")
    arguments = parser.parse_args()
    if arguments.file is None:
        print("left out: the rated rows are not ours to ship; give a FILE that holds them")
        return
    pool = tamis.load(arguments.file, progress=False)
    pool = pool.select(np.flatnonzero(pool["in_random_9k"][:])[: arguments.rows])
    length = np.array([len(text) for text in _answers(pool)], float)
    truths = [np.array(pool[name][:], bool) for name in TRUTHS]
    for name, truth in zip(TRUTHS, truths, strict=True):
        print(f"{name}: {truth.sum():,} of {len(truth):,} rows")
    print(
        f"{'':24} {'   '.join(f'{name[3:]} (at equal length)' for name in TRUTHS)}   no score   s"
    )
    _print("length of the answer", length, length, truths, 0.0)
    methods = [
        AlpaGasus(judge=arguments.judge),
        LIMA(),
        IFD(lm=arguments.lm),
        IFD(lm=arguments.lm, form="loss"),
        Perplexity(lm=arguments.lm),
    ]
    for method in methods:
        begun = time.perf_counter()
        scores = method.select(pool, len(pool)).scores
        _print(repr(method), scores, length, truths, time.perf_counter() - begun)


def roc_auc(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    """Return the chance that a true row ranks above a false one, ties counting half.

    >>> roc_auc(np.array([1.0, 2, 2, np.nan]), np.array([False, True, False, False]))
    0.8333333333333334
    """
    _, place, counts = np.unique(
        np.nan_to_num(scores, nan=-np.inf), return_inverse=True, return_counts=True
    )
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    of_true, of_false = truth.sum(), (~truth).sum()
    return float((ranks[truth].sum() - of_true * (of_true + 1) / 2) / (of_true * of_false))


def at_equal_length(
    scores: npt.NDArray[np.float64], length: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]
) -> float:
    """Return the mean area within fifths of length that hold both kinds."""
    parts = np.array_split(np.argsort(length, kind="stable"), FIFTHS)
    mixed = [part for part in parts if 0 < truth[part].sum() < len(part)]
    return float(np.mean([roc_auc(scores[part], truth[part]) for part in mixed]))


def _print(
    name: str,
    scores: npt.NDArray[np.float64],
    length: npt.NDArray[np.float64],
    truths: list[npt.NDArray[np.bool_]],
    seconds: float,
) -> None:
    areas = [
        f"{roc_auc(scores, truth):.3f} ({at_equal_length(scores, length, truth):.3f})"
        for truth in truths
    ]
    print(f"{name:40} {'   '.join(areas)}   {np.isnan(scores).sum():,}   {seconds:.1f}", flush=True)


def _answers(pool: Dataset) -> list[str]:
    answers: list[str] = formats.exchange(pool.with_format("arrow")[:])[1].to_pylist()
    return answers


if __name__ == "__main__":
    main()
