"""Texts for comparisons: long ones, short ones, several scripts."""

import json
from itertools import islice
from pathlib import Path

import zstandard

from tests.models.conftest import WORDS

DATA = Path(__file__).parents[2] / "data"


def varied(n):
    """Return `n` texts: rows of the repository's sample, with other scripts among them."""
    texts = [row[: 40 + 19 * (i % 50)] for i, row in enumerate(_rows(n))]
    return [text for pair in zip(texts, WORDS * n, strict=False) for text in pair][:n]


def long(n, characters=2400):
    """Return `n` texts of so many characters: rows of the sample, one after another."""
    sample = " ".join(_rows(40 * n))
    return [sample[i * characters :][:characters] for i in range(n)]


def _rows(n):
    with zstandard.open(DATA / "instructions.jsonl.zst", "rt", encoding="utf-8") as lines:
        return [" ".join(map(str, json.loads(line).values())) for line in islice(lines, n)]
