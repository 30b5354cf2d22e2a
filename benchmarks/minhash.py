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
from pathlib import Path

import numpy as np
import pyarrow as pa

import tamis
from benchmarks.common import answer, environment, spread
from tamis.data import formats
from tamis.selectors import Deduplicate

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
LEVELS = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)


def main() -> None:
    """Print speeds and what each found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default="data/instructions.jsonl.zst")
    parser.add_argument("--rows", type=int, help="the first rows of the pool alone")
    parser.add_argument("--copied", type=float, default=0.3, help="share of texts with a copy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAMIS_HOME"] = str(Path(folder) / "home")
        texts, similarity = _planted(_distinct(arguments.pool, arguments.rows), arguments.copied)
        path = Path(folder) / "texts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        megabytes = sum(map(len, texts)) / 1e6
        print(f"{len(texts):,} rows, {megabytes:.1f} MB, {arguments.rounds} rounds; MB/s a core")
        ours = _run("tamis", texts, path, arguments.rounds)
        _print("tamis", ours, ours, len(texts), megabytes, similarity)
        for peer in arguments.peers:
            runs = _run(peer, texts, path, arguments.rounds)
            _print(peer, runs, ours, len(texts), megabytes, similarity)


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
        words, level = text.split(), draw.uniform(LEVELS[0], 1)
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


def _run(tool: str, texts: list[str], path: Path, rounds: int) -> list[dict]:
    if tool != "tamis":
        python = environment(tool, *PEERS[tool])
        return [answer(python, f"peers/run_{tool}.py", path) for _ in range(rounds)]
    pool = tamis.load(pa.table({"text": texts}), progress=False)
    Deduplicate(near=NEAR).select(pool, progress=False)  # compiles
    runs = []
    for _ in range(rounds):
        started = time.process_time()
        picked = Deduplicate(near=NEAR).select(pool, progress=False)
        seconds = time.process_time() - started
        runs.append({"seconds": seconds, "dropped": np.flatnonzero(~picked.kept).tolist()})
    return runs


def _print(
    tool: str,
    runs: list[dict],
    ours: list[dict],
    rows: int,
    megabytes: float,
    similarity: np.ndarray,
) -> None:
    rates = [megabytes / run["seconds"] for run in runs]
    ratios = [run["seconds"] / our["seconds"] for run, our in zip(runs, ours, strict=True)]
    print(f"  {tool:11} {spread(rates):24} tamis is {spread(ratios)} times as fast")
    dropped = np.zeros(rows, bool)
    dropped[runs[0]["dropped"]] = True
    found = dropped[: len(similarity)] | dropped[rows - len(similarity) :]
    shares = []
    for least, most in zip(LEVELS, (*LEVELS[1:], 1.01), strict=True):
        level = (similarity >= least) & (similarity < most)
        shares.append(f"{found[level].mean():.3f} from {least:g} ({level.sum()})")
    print(f"    found, by similarity: {', '.join(shares)}")
    print(
        f"    recall at {NEAR:g}: {found[similarity >= NEAR].mean():.4f}; "
        f"dropped below it: {int(found[similarity < NEAR].sum())}"
    )


if __name__ == "__main__":
    main()
