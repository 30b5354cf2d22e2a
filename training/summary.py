"""Teach the bundled language model to write and read summary vectors.

    python -m training.summary DATA WORK          # after training.lm

writes WORK/summary-vectors/, safetensors and JSON: low-rank additions and the summary tokens'
embeddings. It belongs to the bundled model as it is now; train it again after that one.
Texts are those of `data.py`, whole documents of one source after the other, so that a segment
has something to do with the one before it.
"""

import argparse
import random
import time
from pathlib import Path

import torch

from tamis.prompting.soft import SummaryVectors
from training import data

SHORTEST = 2000  # characters: a shorter text has no second segment
SETTINGS = {"slots": 50, "segment": 256, "memory": 3, "lora": 16}


def texts(folder: Path, *, held_out: bool = False) -> list[str]:
    """Return long texts: parts of a document, and short documents of one source, joined."""
    joined: list[list[str]] = []
    last = ""
    for document in data.documents(folder, held_out=held_out):
        if document.key != last or sum(map(len, joined[-1])) > 20_000:
            joined.append([])
        last = document.key
        joined[-1].append(document.text)
    whole = ("\n".join(parts) for parts in joined)
    return [text for text in whole if len(text) >= SHORTEST]


def main() -> None:
    """Train, and save."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--megabytes", type=float, default=6, help="of text, drawn from all")
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--base", default="bundled")
    given = parser.parse_args()

    torch.set_num_threads(1)
    kept = texts(given.data)
    random.Random(0).shuffle(kept)
    room = given.megabytes * 1e6
    some = []
    for text in kept:
        room -= len(text)
        if room > 0:
            some.append(text)
    started = time.monotonic()
    made = SummaryVectors.train(
        given.base, some, given.work / SummaryVectors.name, learning_rate=given.rate,
        batch_tokens=given.batch_tokens, **SETTINGS,
    )  # fmt: skip
    tokens = len(made.losses_) * given.batch_tokens
    spent = time.monotonic() - started
    print(f"{len(some):,} texts, {tokens / 1e6:.1f} M tokens, {spent / 60:.0f} minutes")
    tenth = max(1, len(made.losses_) // 10)
    print(
        *(
            f"{sum(made.losses_[i : i + tenth]) / tenth:.3f}"
            for i in range(0, len(made.losses_), tenth)
        )
    )


if __name__ == "__main__":
    main()
