"""Teach the bundled language model to write and read summary vectors.

    python -m training.summary DATA WORK --megabytes 0 1 --copying 1    # after training.lm
    python -m training.summary DATA WORK --megabytes 1 2 --copying 0.3  # goes on, on other texts
    python -m training.summary DATA WORK --megabytes 2 6 --copying 0.3

writes WORK/summary-vectors/, safetensors and JSON: low-rank additions and the summary tokens'
embeddings. They belong to the bundled model as it is: train them again after that one. A
megabyte of text is about a third of a million tokens, three minutes of a core.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch

from tamis.prompting.soft import SummaryVectors
from tamis.prompting.soft.texts import tokens_of
from tamis.prompting.soft.training import fit, windows
from training import data

SHORTEST, LONGEST = 2000, 20_000  # characters of a text
SETTINGS = {"slots": 50, "segment": 256, "memory": 3, "lora": 32}


def texts(folder: Path, *, held_out: bool = False) -> list[str]:
    """Return long texts: the parts of each document, joined, in an order drawn once."""
    joined: list[list[str]] = []
    last = ""
    for document in data.documents(folder, held_out=held_out):
        if document.key != last or sum(map(len, joined[-1])) > LONGEST:
            joined.append([])
        last = document.key
        joined[-1].append(document.text)
    long = [text for text in map("\n".join, joined) if len(text) >= SHORTEST]
    random.Random(0).shuffle(long)
    return long


def begun() -> SummaryVectors:
    """Return summary vectors to train, each of whose slots begins as another word."""
    made = SummaryVectors("bundled", **SETTINGS)
    words = made.base.module.get_input_embeddings().weight.detach().float()
    drawn = torch.randperm(len(words), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.own["summary"].copy_(words[drawn[: SETTINGS["slots"]]])
    return made


def main() -> None:
    """Train, or go on training, and save."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument(
        "--megabytes", type=float, nargs=2, default=(0, 6), help="of text: from, up to"
    )
    parser.add_argument("--copying", type=float, default=0.0, help="weight of the last tokens")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    given = parser.parse_args()

    torch.set_num_threads(1)
    kept = texts(given.data)
    ends = np.cumsum([len(text) for text in kept]) / 1e6
    first, last = np.searchsorted(ends, given.megabytes)
    folder = given.work / SummaryVectors.name
    made = SummaryVectors.from_pretrained(folder) if folder.exists() else begun()
    made.settings["copying"] = given.copying
    size = (SETTINGS["memory"] + 1) * SETTINGS["segment"]
    ids = [np.concatenate([*tokens_of(made.base, text)]) for text in kept[first:last]]
    started = time.process_time()
    fit(
        made,
        windows(ids, size, size // 2),
        learning_rate=given.rate,
        batch_tokens=given.batch_tokens,
    )
    made.save(folder)
    spent = time.process_time() - started
    print(f"{sum(map(len, ids)) / 1e6:.2f} M tokens, {len(made.losses_)} steps, {spent:.0f} s")


if __name__ == "__main__":
    main()
