"""Real questions with planted wrong labels: methods that value examples must find them."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from doubles import Letters

from tamis.selectors import DataShapley, KNNShapley, TransferredShapley

SAMPLE = json.loads((Path(__file__).parents[1] / "golden" / "questions.json").read_text())
TEXTS, LABELS = np.array(SAMPLE["text"]), np.array(SAMPLE["label"])
POOL, TARGET = slice(0, 450), slice(450, 700)


def dataset(some, labels):
    return Dataset.from_dict({"text": TEXTS[some].tolist(), "label": labels[some].tolist()})


@pytest.fixture(scope="module")
def planted():
    """A pool in which each tenth label is wrong, and which rows these are."""
    draw = np.random.default_rng(0)
    wrong = np.arange(len(TEXTS)) % 10 == 0
    kinds, labels = np.unique(LABELS), LABELS.copy()
    labels[wrong] = [draw.choice(kinds[kinds != label]) for label in LABELS[wrong]]
    return dataset(POOL, labels), wrong[POOL]


def area_under_curve(scores, wrong):
    """How often a wrong label is worth less than a right one."""
    return (scores[wrong][:, None] < scores[~wrong][None]).mean()


@pytest.mark.parametrize(
    ("method", "settings", "least"),
    [
        (KNNShapley, {}, 0.8),
        (DataShapley, {"permutations": 200}, 0.78),
        (DataShapley, {"permutations": 200, "semivalue": "beta"}, 0.78),
        (DataShapley, {"permutations": 32, "learner": "logistic"}, 0.72),
        (TransferredShapley, {"share": 0.1}, 0.76),
    ],
)
def test_wrong_labels_are_worth_less(method, settings, least, planted):
    pool, wrong = planted
    valuer = method(target=dataset(TARGET, LABELS), embedder=Letters(), **settings)
    found = area_under_curve(valuer.select(pool).scores, wrong)
    assert least < found < 1, found
