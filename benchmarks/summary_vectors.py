"""Perplexity of what follows a text, given its summary vectors, all of it, or some of its tokens.

    python -m benchmarks.summary_vectors DATA               # DATA as for training/
    python -m benchmarks.summary_vectors DATA --skip 1664   # leaves out what was looked at before

On documents that training held out. Each is cut into stretches of 1, 2, … segments, which are the
context, and of the tokens after them, which are foretold:

    none        by the base model from a beginning-of-text token alone
    50 first    given the first 50 tokens of the context, as truncation keeps them
    50 last     given the last 50
    vectors     by the trained model, given the summary vectors
    full        given the whole context, or as much of its end as the model reads

The trained model has seen more text of these kinds than its base. So 'none' and 'full' are
given for both, and the 50 tokens for whichever foretells better with them. Intervals are of
paired differences from the vectors, by the bootstrap over documents with all their stretches.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import tamis
from tamis.models.tokens import Piece
from tamis.models.transformers import TransformersLM
from tamis.prompting import SummaryVectors
from tamis.prompting.soft.texts import tokens_of
from training.summary import texts

Ids = npt.NDArray[np.int64]


def main() -> None:
    """Print a line for each number of segments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--checkpoint", default="bundled")
    parser.add_argument("--base", default="bundled")
    parser.add_argument("--segments", type=int, nargs="+", default=[1, 2, 3, 6])
    parser.add_argument("--following", type=int, default=128, help="tokens that are foretold")
    parser.add_argument("--skip", type=int, default=0, help="tokens at each document's beginning")
    given = parser.parse_args()
    torch.set_num_threads(1)

    sv = SummaryVectors.from_pretrained(given.checkpoint, tamis.models.load(given.base))
    held = [
        np.concatenate([*tokens_of(sv.base, text)]) for text in texts(given.data, held_out=True)
    ]
    print(
        "| segments | tokens → vectors | documents | stretches | none | 50 first | 50 last "
        "| vectors | full | way from none to full | 50 first − vectors, nats "
        "| 50 last − vectors, nats |"
    )
    print("|" + " --- |" * 12)
    for segments in given.segments:
        size = segments * sv.settings["segment"]
        cut = [stretches(ids, size, given.following, given.skip) for ids in held]
        if any(cut):
            print(line(sv, segments, [some for some in cut if some]), flush=True)


def stretches(ids: Ids, size: int, following: int, skip: int) -> list[tuple[Ids, Ids]]:
    """Cut a document into contexts of `size` tokens, begun as a text is, and what follows each."""
    ids = np.concatenate([ids[:1], ids[max(skip, 1) :]])
    step = size - 1 + following  # what begins a text stands before each
    return [
        (np.concatenate([ids[:1], ids[at : at + size - 1]]), ids[at + size - 1 : at + step])
        for at in range(1, len(ids) - step + 1, step)
    ]


def line(sv: SummaryVectors, segments: int, documents: list[list[tuple[Ids, Ids]]]) -> str:
    """Return the row of the table for contexts of so many segments."""
    pairs = [pair for document in documents for pair in document]
    numbers = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    kept = [f"{len(pairs[0][0]):,} → {min(segments, sv.settings['memory']) * sv.settings['slots']}"]
    vectors = np.array([after_vectors(sv, *pair) for pair in pairs])
    room, slots = sv.base.context - len(pairs[0][1]), sv.settings["slots"]
    cut = {
        "none": [(context[:1], then) for context, then in pairs],
        "first": [(context[:slots], then) for context, then in pairs],
        "last": [(begun(context, slots), then) for context, then in pairs],
        "full": [(begun(context, room), then) for context, then in pairs],
    }
    found = {
        name: [after_tokens(lm, given) for lm in (sv.base, sv.lm)] for name, given in cut.items()
    }
    both = {name: f"{ppl(base):.1f} ({ppl(own):.1f})" for name, (base, own) in found.items()}
    better = {name: min(losses, key=np.mean) for name, losses in found.items()}
    way = (better["none"].mean() - vectors.mean()) / (better["none"].mean() - better["full"].mean())
    gains = [interval(better[name] - vectors, numbers) for name in ("first", "last")]
    counts = [str(len(documents)), str(len(pairs))]
    cells = [str(segments), *kept, *counts, both["none"], both["first"], both["last"]]
    return (
        "| "
        + " | ".join([*cells, f"{ppl(vectors):.1f}", both["full"], f"{way:.0%}", *gains])
        + " |"
    )


def begun(context: Ids, count: int) -> Ids:
    """Return the last `count` tokens of a context, begun as it begins."""
    return np.concatenate([context[:1], context[1:][1 - count :]])


def after_vectors(sv: SummaryVectors, context: Ids, then: Ids) -> float:
    """Return the mean loss of the tokens that follow, given the context's vectors."""
    return -float(sv.logprobs_of(sv.encode_tokens([context]), then).mean())


def after_tokens(lm: TransformersLM, pairs: list[tuple[Ids, Ids]]) -> npt.NDArray[np.float64]:
    """Return the mean loss of the tokens that follow each context."""
    pieces = [Piece(np.concatenate(pair), len(pair[0])) for pair in pairs]
    return np.array([-told.mean() for told in lm._run(pieces)], np.float64)


def ppl(losses: npt.NDArray[np.float64]) -> float:
    """Return the perplexity of mean losses: every stretch counts alike."""
    return float(np.exp(losses.mean()))


def interval(gains: npt.NDArray[np.float64], documents: npt.NDArray[np.int64]) -> str:
    """Return a mean with its 95 % interval over documents, whose numbers go with the gains."""
    sums, counts = np.bincount(documents, gains), np.bincount(documents)
    drawn = np.random.default_rng(0).integers(len(sums), size=(2000, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{gains.mean():+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
