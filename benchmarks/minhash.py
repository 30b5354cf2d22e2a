"""Near-duplicate removal beside rensa, datasketch and datatrove, on the same texts.

    python -m benchmarks.minhash                 # on the sample in data/
    python -m benchmarks.minhash --pool P --rows 5000 --rounds 5

A share of the texts gets a copy with some words changed, so that the true Jaccard similarity
of each pair (5-grams of words) is known. Texts are brought to words and
spaces first, so that every tool sees the same words. All run on one core; seconds are those
of the processor, from texts in memory (an Arrow pool for tamis, files for datatrove) to the
rows dropped. tamis verifies candidates, the others do not.
"""

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

import tamis
from benchmarks.common import answer, environment, in_turns
from benchmarks.results import Row, shown
from tamis.data import formats
from tamis.selectors import Deduplicate

POOL = "data/instructions.jsonl.zst"
PEERS = {
    "rensa": ("rensa==0.5.0",),
    "datasketch": ("datasketch==2.0.0",),
    "datatrove": (
        "datatrove[io]==0.10.1",
        "spacy==3.8.18",
        "regex==2026.9.29",
        "tokenizers==0.23.3",
        "xxhash<4",  # datatrove hashes str, which newer ones refuse
    ),
}
NGRAM, NEAR = 5, 0.8
LEAST = 0.6  # Jaccard similarity of a planted pair, about


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default=POOL)
    parser.add_argument("--rows", type=int, help="the first rows of the pool alone")
    parser.add_argument("--copied", type=float, default=0.3, help="share of texts with a copy")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    arguments = parser.parse_args()
    for row in rows(*vars(arguments).values()):
        print(shown(row), flush=True)


def rows(
    pool: str = POOL,
    n: int | None = None,
    copied: float = 0.3,
    rounds: int = 3,
    peers: Sequence[str] = tuple(PEERS),
) -> Iterator[Row]:
    """Measure the speed of each peer, and what it finds."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = str(Path(folder) / "home")
        texts, similarity = _planted(_distinct(pool, n), copied)
        path = Path(folder) / "texts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        megabytes = sum(map(len, texts)) / 1e6
        held = tamis.load(pa.table({"text": texts}), progress=False)
        Deduplicate(near=NEAR).select(held, progress=False)  # compiles
        for peer in peers:
            ours, theirs, error = in_turns(
                rounds, lambda: _tamis(held), lambda peer=peer: _peer(peer, path)
            )
            found = [_found(run["dropped"], len(texts), similarity) for run in ours + theirs[:1]]
            yield Row(
                what="near-duplicates",
                size=f"{len(texts):,} rows, {megabytes:.1f} MB",
                peer=PEERS[peer][0].replace("==", " ").replace("[io]", ""),
                unit="MB/s a core",
                tamis=[megabytes / run["seconds"] for run in ours],
                theirs=[megabytes / run["seconds"] for run in theirs],
                least=30 if peer == "rensa" else None,
                note=", ".join(
                    [f"tamis finds {found[0]}", *(f"it {said}" for said in found[rounds:])]
                ),
                error=error,
            )


def _distinct(source: str, rows: int | None) -> list[str]:
    """Return the texts of a pool of 50 words and more, none near another."""
    pool = tamis.load(source, progress=False)
    batch = pool.with_format("arrow")[: rows or len(pool)]
    found = formats.fields(batch).text.to_pylist()
    texts = [" ".join(re.findall(r"[a-z0-9]+", text.lower())) for text in found]
    table = pa.table({"text": [text for text in texts if text.count(" ") >= 50]})
    picked = Deduplicate(near=0.3).select(table, progress=False)
    return table["text"].take(np.sort(picked.indices)).to_pylist()


def _planted(originals: list[str], copied: float) -> tuple[list[str], np.ndarray]:
    """Follow the texts by a changed copy of the first of them; return also how alike each is."""
    draw = np.random.default_rng(0)
    vocabulary = np.array(sorted({word for text in originals for word in text.split()}))
    copies, similarity = [], []
    for text in originals[: int(copied * len(originals))]:
        words, level = text.split(), draw.uniform(LEAST, 1)
        changes = round((len(words) - NGRAM) * (1 - level) / (1 + level) / NGRAM)
        for place in draw.choice(len(words), changes, replace=False):
            words[place] = draw.choice(vocabulary)
        copies.append(" ".join(words))
        left, right = _shingles(text), _shingles(copies[-1])
        similarity.append(len(left & right) / len(left | right))
    return originals + copies, np.array(similarity)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}


def _tamis(pool: Dataset) -> dict[str, Any]:
    started = time.process_time()
    picked = Deduplicate(near=NEAR).select(pool, progress=False)
    seconds = time.process_time() - started
    return {"seconds": seconds, "dropped": np.flatnonzero(~picked.kept).tolist()}


def _peer(peer: str, path: Path) -> dict[str, Any]:
    return answer(environment(peer, *PEERS[peer]), f"peers/run_{peer}.py", path)


def _found(dropped: list[int], n: int, similarity: np.ndarray) -> str:
    """Say what share of the pairs at least so near is found, and how many of the others."""
    flags = np.zeros(n, bool)
    flags[dropped] = True
    found = flags[: len(similarity)] | flags[n - len(similarity) :]
    near = similarity >= NEAR
    return f"{found[near].mean():.2%} of pairs from {NEAR:g} and {found[~near].sum()} below"


if __name__ == "__main__":
    main()
