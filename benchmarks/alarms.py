"""How often a comparison finds what is not there: 5 times in 100 is what its intervals allow.

    python -m benchmarks.alarms [--pools 100]

A pool's words are drawn alike, and the methods are random draws under other names: whoever is
called better, is so by mistake. The proxy counts words, as in the tests. There is no peer.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from datasets import Dataset

from tamis.pipelines.compare import designed
from tamis.pipelines.trials import run_trial
from tamis.pipelines.verdicts import concluded
from tamis.selectors import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from proxies import WordCounts


def counted(pools: int) -> tuple[int, int, int]:
    """Return how many comparisons, and how many verdicts, said 'better'; and all verdicts."""
    alarms = said = verdicts = 0
    for number in range(pools):
        draw = np.random.default_rng(number)
        pool, target = (
            Dataset.from_dict({"text": [" ".join(row) for row in draw.choice(_WORDS, (n, 12))]})
            for n in (200, 40)
        )
        methods = {f"method {i}": Random(seed=1000 + 10 * number + i) for i in range(3)}
        design = designed(pool, target, methods, k=30, seeds=2, proxy=WordCounts(60), whole=False)
        found = concluded("", design, [run_trial(turn, design.bench) for turn in design.turns])
        better = ["better" in verdict for verdict in found.verdicts.values()]
        alarms, said, verdicts = alarms + any(better), said + sum(better), verdicts + len(better)
    return alarms, said, verdicts


_WORDS = np.array([f"w{i}" for i in range(50)])

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pools", type=int, default=100)
    pools = parser.parse_args().pools
    alarms, said, verdicts = counted(pools)
    print(f"{alarms} of {pools} comparisons, and {said} of {verdicts} verdicts, said 'better'")
