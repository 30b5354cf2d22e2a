"""A real Ray on this machine, of two processes, for all tests of this folder."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

pytest.importorskip("ray")


@pytest.fixture(scope="session")
def ray(tmp_path_factory):
    """Ray itself, begun as `tamis run --engine ray` begins it, with a small object store.

    It stands until the session ends, and tests of other folders come in between: unlike
    `opened`, it leaves 'vllm:ID' to this process.
    """
    from tamis.pipelines.engines import engine_of
    from tamis.pipelines.engines.joining import leaving

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAMIS_HOME", str(tmp_path_factory.mktemp("ray")))
        patch.setenv("RAY_DEFAULT_OBJECT_STORE_MEMORY_PROPORTION", "0.01")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # doubles.py, elsewhere.py
        patch.delenv("RAY_ADDRESS", raising=False)
        engine = engine_of("ray", workers=2)
        with leaving():
            assert list(engine.each([1, 2], str, "begin")) == ["1", "2"]
            import ray

            yield ray


@pytest.fixture
def engine(ray):
    """The engine, in small batches, so that a pool of some hundred rows is many of them."""
    from tamis.pipelines.engines.ray import RayEngine

    return RayEngine(batch_rows=16)


WORDS = "red green blue moon sun star sky sea sand stone one two three".split()  # noqa: SIM905


def rows(count, seed=0):
    """A pool of sentences; every tenth is a copy, or one but for a word."""
    draw = np.random.default_rng(seed)
    texts = [" ".join(draw.choice(WORDS, size=draw.integers(8, 40))) for _ in range(count)]
    for row in range(10, count, 10):
        texts[row] = texts[row - 7] if row % 20 else f"{texts[row - 7]} moon"
    words = [text.split() for text in texts]
    return Dataset.from_dict(
        {
            "prompt": [" ".join(some[:3]) for some in words],
            "response": [" ".join(some[3:]) for some in words],
        }
    )


@pytest.fixture(scope="session")
def pool():
    return rows(600)


@pytest.fixture(scope="session")
def target():
    return rows(20, seed=1)
