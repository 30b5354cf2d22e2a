"""Measure the quality scorer on judgements it never saw, beside the length of the answer.

    python -m training.evaluate_quality DATA EMBEDDER QUALITY

AlpaGasus: does a higher score mean a rating of 4.5 or more (ROC-AUC)? Cherry: is the answer
that GPT-4 preferred scored higher? Neither set was trained on, and rows whose prompt was are
left out. The chances behind preferences are also held to what came true (calibration error), and so
are those that the logarithm of the lengths' ratio gives, fitted on the judgements trained on.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tamis.models.quality import QualityScorer
from tamis.models.static import StaticEmbedder
from training import data
from training.quality import Pair, judged, plain, spoilt

Floats = npt.NDArray[np.float64]


def alpagasus(scorer: QualityScorer, folder: Path) -> dict[str, object]:
    """Return the area under the ROC curve for both ratings."""
    trained = {plain(r["prompt"]) for r in data.rows(folder, "pairwise_judgements_gisting")}
    rows = []
    for row in data.rows(folder, "instructions_alpaca_labelled"):
        prompt = f"{row['instruction']}\n\n{row['input']}".strip()
        if row["in_random_9k"] and prompt not in trained and row["output"].strip():
            rows.append((prompt, row))
    prompts, answers = [prompt for prompt, _ in rows], [row["output"] for _, row in rows]
    scores = scorer.score(prompts, answers)
    length = np.array([len(answer) for answer in answers])
    found: dict[str, object] = {"rows": len(rows)}
    for flag in ("in_claude_t45", "in_helpfulness_t45"):
        high = np.array([bool(row[flag]) for _, row in rows])
        found[flag] = {
            "share": _r(high.mean()),
            "AUC": _r(roc_auc_score(high, np.nan_to_num(scores))),
            "AUC of length": _r(roc_auc_score(high, length)),
            "AUC within fifths of length": _r(_within(high, np.nan_to_num(scores), length)),
            "share by fifths of score": _fifths(high, scores),
        }
    return found


def _within(high: npt.NDArray[np.bool_], scores: Floats, length: Floats) -> float:
    """Return the mean AUC among answers of about one length: what length cannot say."""
    fifths = np.array_split(np.argsort(length, kind="stable"), 5)
    return float(np.mean([roc_auc_score(high[rows], scores[rows]) for rows in fifths]))


def _fifths(high: npt.NDArray[np.bool_], scores: Floats) -> list[float]:
    return [_r(high[rows].mean()) for rows in np.array_split(np.argsort(scores), 5)]


def preferences(
    scorer: QualityScorer, pairs: list[Pair], by_length: LogisticRegression
) -> dict[str, object]:
    """Return agreement with preferences, ties left out, and how far chances are from shares."""
    pairs = decided(pairs)
    prompts = [pair.prompt for pair in pairs]
    first = scorer.logits(prompts, [pair.first for pair in pairs])
    second = scorer.logits(prompts, [pair.second for pair in pairs])
    apart = np.nan_to_num((first - second) / scorer.config["slope"])
    longer = np.array([len(pair.first) - len(pair.second) for pair in pairs])
    better = np.array([pair.chance > 0.5 for pair in pairs])
    return {
        "pairs": len(pairs),
        "agreement": _r((np.where(apart == 0, 0.5, (apart > 0) == better)).mean()),
        "agreement of the longer": _r(np.where(longer == 0, 0.5, (longer > 0) == better).mean()),
        "calibration error": _r(_calibration(1 / (1 + np.exp(-apart)), better)),
        "calibration error of length": _r(
            _calibration(by_length.predict_proba(ratios(pairs))[:, 1], better)
        ),
    }


def decided(pairs: list[Pair]) -> list[Pair]:
    """Return the pairs of which one is better."""
    return [pair for pair in pairs if pair.chance != 0.5]


def ratios(pairs: list[Pair]) -> Floats:
    """Return the logarithm of the lengths' ratio: (pairs, 1)."""
    lengths = np.array([[len(pair.first), len(pair.second)] for pair in pairs])
    return np.log1p(lengths[:, :1]) - np.log1p(lengths[:, 1:])


def chances_by_length(pairs: list[Pair]) -> LogisticRegression:
    """Fit the chance that the first is better to the lengths alone."""
    pairs = decided(pairs)
    better = [pair.chance > 0.5 for pair in pairs]
    return LogisticRegression(fit_intercept=False).fit(ratios(pairs), better)


def _calibration(chances: Floats, came: npt.NDArray[np.bool_]) -> float:
    """Return the expected calibration error over ten equal bins of the likelier side."""
    sure, right = np.maximum(chances, 1 - chances), (chances > 0.5) == came
    bins = np.minimum(((sure - 0.5) * 20).astype(int), 9)
    gaps = [abs(sure[bins == b].sum() - right[bins == b].sum()) for b in np.unique(bins)]
    return float(sum(gaps) / len(came))


def cherry(folder: Path) -> list[Pair]:
    """Return GPT-4's preferences, each judged in both orders."""
    chances = {"a": 1.0, "b": 0.0, "tie": 0.5}
    return [
        Pair(
            "cherry",
            f"{row['prompt']}\n\n{row['input']}".strip(),
            row["output_a"],
            row["output_b"],
            chances[row["preferred"]],
        )
        for row in data.rows(folder, "pairwise_reviews_cherry")
        if row["output_a"].strip() and row["output_b"].strip()
    ]


def _r(figure: float) -> float:
    return round(float(figure), 4)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("embedder", type=Path)
    parser.add_argument("quality", type=Path)
    given = parser.parse_args()
    scorer = QualityScorer(str(given.quality), StaticEmbedder(str(given.embedder)))
    every = list(judged(given.data))
    held = [pair for pair in every if data.is_held_out(pair.prompt)]
    by_length = chances_by_length([pair for pair in every if not data.is_held_out(pair.prompt)])
    worse = list(spoilt(given.data, random.Random(9), held_out=True))
    sets = {
        "Cherry's GPT-4 reviews": cherry(given.data),
        "held-out judgements": held,
        "held-out people's answers, spoilt": worse,
    }
    found = {"AlpaGasus": alpagasus(scorer, given.data)}
    found |= {name: preferences(scorer, pairs, by_length) for name, pairs in sets.items()}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
