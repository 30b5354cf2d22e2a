from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.report import RunView, StepView
from tamis.selectors.selection import Selection


def make_step(scores, kept, reasons=None, *, ids=None, method="score", **more):
    """Make a step that kept the rows `kept`, best first; ids count up from 0."""
    rows = len(scores)
    told = np.array(reasons or ["dropped"] * rows, object)
    told[list(kept)] = "kept"
    if ids is None:
        ids = np.frombuffer(b"".join(n.to_bytes(16, "big") for n in range(rows)), "V16")
    selection = Selection(list(kept), scores, told, pa.table({}), ids, method)
    return StepView(selection=selection, settings=f"{method}()", **more)


def make_view(pool, steps=(), **more):
    """Make a run over a pool (rows, or a Dataset)."""
    pool = pool if isinstance(pool, Dataset) else Dataset.from_list(pool)
    facts = {
        "name": "tiny",
        "run_id": "20250102-0304-abcd",
        "status": "done",
        "started": datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
        "seconds": 1.5,
        "seed": 0,
        "pool_name": "tiny.jsonl",
        "pool_key": "0123abcd",
        "versions": {"tamis": "0.1.0"},
        "recipe": "steps: [score]\n",
        "command": "tamis run tiny.yaml",
        "rejected": Dataset(pa.table({"file": [], "line": [], "reason": []})),
    }
    return RunView(pool=pool, steps=list(steps), **facts | more)


def make_pool(rows):
    """Make prompts that tell their row, responses ever longer, and three sources in turn."""
    return [
        {"prompt": f"prompt {n}", "completion": "again " * (n + 1), "source": f"source {n % 3}"}
        for n in range(rows)
    ]


@pytest.fixture
def step():
    return make_step


@pytest.fixture
def view():
    return make_view


@pytest.fixture
def pool():
    return make_pool


@pytest.fixture(scope="session")
def sieve():
    """60 rows, of which a rule drops 10 and a score 25: a run as it comes."""
    pool = Dataset.from_list(make_pool(60))
    ids = example_ids(pool)
    rule = make_step(
        [np.nan] * 60, range(10, 60), ["too short"] * 60, ids=ids, method="clean", seconds=2.0
    )
    scores = np.linspace(-1, 1, 50)
    score = make_step(
        scores,
        np.argsort(-scores)[:25],
        ["score below 0"] * 50,
        ids=ids[10:],
        method="dsir",
        seconds=0.5,
        costs={"USD": 0.02},
    )
    return make_view(pool, [rule, score])
