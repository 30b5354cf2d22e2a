import json

import numpy as np
import pytest
from browsing import HOSTILE
from offline import ran

from tamis.selectors.selection import Selection

RECIPE = """
name: {name}
pool: {pool}
steps:
  - clean
  - random: {{k: {k}}}
"""


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A TAMIS_HOME with two runs of a small recipe, and one over rows that would do harm."""
    folder = tmp_path_factory.mktemp("explorer")
    rows = [
        {"instruction": f"say {n} aloud", "output": f"it is the number {n}", "source": "ab"[n % 2]}
        for n in range(60)
    ]
    pool = written(folder / "pool.jsonl", [*rows, {"instruction": "x", "output": ""}])
    harm = [
        {"instruction": text, "output": f"{n} {text}", "source": text[:60]}
        for n, text in enumerate(HOSTILE)
    ]
    hostile = written(folder / "hostile.jsonl", harm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAMIS_HOME", str(folder / "home"))
        ran(RECIPE.format(name="small", pool=pool, k=30), "20260101-000000-small-0001")
        ran(RECIPE.format(name="small", pool=pool, k=32), "20260102-000000-small-0002")
        name = json.dumps(HOSTILE[0])
        run = ran(RECIPE.format(name=name, pool=hostile, k=1), "20260103-000000-hostile-0003")
        path = run.folder / "steps" / "01-clean.parquet"
        said = Selection.load(path)  # as if a judge had been talked into its words
        words = np.array([f"no: {text[:200]}" for text in HOSTILE], object)
        words[said.indices] = "kept"
        Selection(said.indices, said.scores, words, said.signals, said.ids, said.method).save(path)
    return folder / "home"


@pytest.fixture(autouse=True)
def _its_home(home, monkeypatch):
    monkeypatch.setenv("TAMIS_HOME", str(home))
