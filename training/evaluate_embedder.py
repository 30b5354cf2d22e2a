"""Measure an embedder on what it never saw, beside TF-IDF and TF-IDF with SVD.

    python -m training.evaluate_embedder DATA FOLDER

Retrieval: the right answer among 5,000, for instructions of Alpaca (non-commercial: only ever
a test) and for the held-out pairs of the diet. Near duplicates: two answers of models to one
prompt against two to different prompts, and copies with a third of their words changed against
other texts of the same kind.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from tamis.models.static import StaticEmbedder
from training import data
from training.tasks import changed

POOL = 5000

Embed = Callable[[list[str]], object]
Pairs = list[tuple[str, str]]


def retrieval_sets(folder: Path) -> dict[str, Pairs]:
    """Return 5,000 (instruction, answer) each; answers are all different."""
    alpaca = (
        (f"{row['instruction']}\n\n{row['input']}".strip(), row["output"])
        for row in data.rows(folder, "instructions_alpaca_labelled")
    )
    alpaca = {answer: prompt for prompt, answer in alpaca if len(answer) >= 40}
    held = {b: a for kind, a, b in data.pairs(folder, held_out=True) if kind != "neighbours"}
    others = {b: "" for _, _, b in data.pairs(folder, held_out=False) if len(b) >= 40}
    draw = random.Random(0)
    fill = draw.sample(list(others), POOL - len(held))
    chosen = draw.sample(list(alpaca), POOL)
    return {
        "alpaca": [(alpaca[answer], answer) for answer in chosen],
        "held-out": [(a, b) for b, a in held.items()] + [("", answer) for answer in fill],
    }


def recall(embed: Embed, pairs: Pairs) -> dict[str, float]:
    """Return the share of prompts whose own answer is the nearest, or among the ten nearest."""
    asked = [place for place, (prompt, _) in enumerate(pairs) if prompt]
    near = _dense(embed([pairs[i][0] for i in asked]) @ embed([answer for _, answer in pairs]).T)
    right = near[np.arange(len(asked)), asked]
    ahead = (near > right[:, None]).sum(axis=1)
    return {f"recall@{k}": round(float((ahead < k).mean()), 4) for k in (1, 10)}


def duplicate_sets(folder: Path) -> dict[str, tuple[Pairs, npt.NDArray[np.bool_]]]:
    """Return pairs of texts and whether they say the same."""
    rows = list(data.rows(folder, "pairwise_judgements_gisting"))
    rows = [row for row in rows if min(len(row["output_a"]), len(row["output_b"])) >= 60]
    rows = [row for row in rows if row["output_a"] != row["output_b"]]
    same = [(row["output_a"], row["output_b"]) for row in rows]
    other = [
        (row["output_a"], next_row["output_b"])
        for row, next_row in zip(rows, rows[7:] + rows[:7], strict=True)
    ]
    texts = [b for kind, _, b in data.pairs(folder, held_out=True) if len(b) > 100]
    draw = random.Random(2)
    copies = [(text, changed(text, draw)) for text in texts]
    apart = list(zip(texts, texts[1:] + texts[:1], strict=True))
    return {
        "two answers": (same + other, np.arange(2 * len(same)) < len(same)),
        "changed copies": (copies + apart, np.arange(2 * len(texts)) < len(texts)),
    }


def auc(embed: Embed, pairs: Pairs, same: npt.NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of the cosine."""
    first, second = (embed([pair[side] for pair in pairs]) for side in (0, 1))
    if isinstance(first, np.ndarray):
        near = np.nan_to_num((first * second).sum(axis=1))
    else:
        near = np.asarray(first.multiply(second).sum(axis=1)).ravel()
    return round(float(roc_auc_score(same, near)), 4)


def baselines(folder: Path) -> dict[str, Embed]:
    """Return TF-IDF, and its 256 first singular directions, fitted on the training pairs."""
    texts = [text for _, a, b in data.pairs(folder, held_out=False) for text in (a, b)]
    texts = random.Random(0).sample(texts, 60_000)
    tfidf = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(texts)
    svd = TruncatedSVD(256, random_state=0, n_iter=3).fit(tfidf.transform(texts))
    return {
        "TF-IDF": tfidf.transform,
        "TF-IDF+SVD": lambda texts: normalize(svd.transform(tfidf.transform(texts))),
    }


def speed(embedder: StaticEmbedder, folder: Path) -> float:
    """Return megabytes of text a second on one thread, best of five."""
    texts = [document.text for document in data.documents(folder, held_out=True)]
    size, times = sum(len(text.encode()) for text in texts), []
    embedder.threads = 1
    for _ in range(6):
        started = time.perf_counter()
        embedder.embed(texts)
        times.append(time.perf_counter() - started)
    return round(size / min(times) / 1e6, 1)


def _dense(near: object) -> npt.NDArray[np.float32]:
    return np.asarray(near if isinstance(near, np.ndarray) else near.toarray())


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    embedder = StaticEmbedder(str(given.folder))
    retrieval, duplicates = retrieval_sets(given.data), duplicate_sets(given.data)
    found = {"MB/s on one thread": speed(embedder, given.data)}
    for name, embed in ({"bundled": embedder.embed} | baselines(given.data)).items():
        found[name] = {
            "retrieval": {kind: recall(embed, pairs) for kind, pairs in retrieval.items()},
            "near-duplicate AUC": {kind: auc(embed, *pairs) for kind, pairs in duplicates.items()},
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
