"""Check texts for novelty as Self-Instruct's own code does: rouge_score in a pool of processes.

    python run_rouge_score.py TEXTS PROCESSES

TEXTS is JSON with the lists `kept` and `candidates`. For each candidate a pool of processes is
made and maps the scorer over all that was kept, as bootstrap_instructions.py does; what is
new is kept.
"""

import json
import sys
import time
from functools import partial
from multiprocessing import Pool
from pathlib import Path

from rouge_score.rouge_scorer import RougeScorer


def main() -> None:
    """Print seconds, and the greatest F of each candidate."""
    texts = json.loads(Path(sys.argv[1]).read_text())
    kept, nearest = texts["kept"], []
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    started = time.perf_counter()
    for candidate in texts["candidates"]:
        with Pool(int(sys.argv[2])) as processes:
            scores = processes.map(partial(scorer.score, candidate), kept)
        nearest.append(max(score["rougeL"].fmeasure for score in scores))
        if nearest[-1] <= 0.7:
            kept.append(candidate)
    print(json.dumps({"seconds": time.perf_counter() - started, "nearest": nearest}))


if __name__ == "__main__":
    main()
