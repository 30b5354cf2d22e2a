"""Self-Instruct's novelty check beside its own: ROUGE-L of candidates against kept tasks.

    python -m benchmarks.rouge                            # the peer on 20 a round, as it is slow
    python -m benchmarks.rouge --peer-candidates 300 --rounds 1     # ten minutes
    python -m benchmarks.rouge --kept 50000

Kept tasks and candidates are instructions of the sample in data/, with words changed at
random; a third of the candidates are near a kept task. The peer is rouge_score in a pool of
as many processes as there are cores, as Self-Instruct's released code runs it; tamis runs on
one core. Seconds are by the clock, from texts to decisions; for tamis the first reading of the
kept tasks counts too. Each round the peer gets other candidates, fewer as it is slow, and
tamis all of them. Both must decide alike.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import tamis
from benchmarks.common import answer, environment, in_turns
from benchmarks.results import Row, shown
from tamis.prompting.generation.novelty import RougeL

PEER = ("rouge_score==0.1.2",)
SAMPLE = "data/instructions.jsonl.zst"


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=1_000)
    parser.add_argument("--peer-candidates", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    for row in rows(*vars(parser.parse_args()).values()):
        print(shown(row), flush=True)


def rows(
    n_kept: int = 10_000, n_candidates: int = 1_000, n_peer: int = 20, rounds: int = 3
) -> Iterator[Row]:
    """Measure checks a second, and whether the decisions agree."""
    kept, candidates = _texts(n_kept, n_candidates)
    _checked(kept[:10], candidates[:10])  # compiles
    few = (candidates[n_peer * i : n_peer * (i + 1)] for i in count())
    ours, theirs, error = in_turns(
        rounds, lambda: _checked(kept, candidates), lambda: _theirs(kept, next(few))
    )
    agree = 0
    for number, run in enumerate(theirs):
        new = _checked(kept, candidates[n_peer * number : n_peer * (number + 1)])[1]
        agree += sum((near <= 0.7) == ours for near, ours in zip(run["nearest"], new, strict=True))
    asked = n_peer * len(theirs)
    yield Row(
        what="ROUGE-L of new tasks against kept ones",
        size=f"{n_candidates:,} against {n_kept:,}, the peer {n_peer}",
        peer=f"Self-Instruct's filter, {PEER[0].replace('==', ' ')} on {os.cpu_count()} cores",
        unit="checks/s",
        tamis=[n_candidates / seconds for seconds, _ in ours],
        theirs=[n_peer / run["seconds"] for run in theirs],
        wanted=50,
        note=f"they agree on {agree} of {asked}" if theirs else "",
        error=error,
    )


def _theirs(kept: list[str], candidates: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps({"kept": kept, "candidates": candidates}))
        python = environment("rouge_score", *PEER)
        return answer(python, "peers/run_rouge_score.py", path, os.cpu_count() or 1)


def _texts(kept: int, candidates: int) -> tuple[list[str], list[str]]:
    """Return tasks to keep, each changed in a third of its words, and candidates."""
    draw = random.Random(0)
    found = list(dict.fromkeys(tamis.load(SAMPLE, progress=False)["instruction"]))
    words = [word for text in found for word in text.split()]

    def changed(text: str, share: float) -> str:
        return " ".join(
            draw.choice(words) if draw.random() < share else word for word in text.split()
        )

    tasks = [changed(draw.choice(found), 0.35) for _ in range(kept)]
    near = [changed(draw.choice(tasks), draw.uniform(0, 0.4)) for _ in range(candidates // 3)]
    far = [changed(draw.choice(found), 0.5) for _ in range(candidates - len(near))]
    mixed = near + far
    draw.shuffle(mixed)
    return tasks, mixed


def _checked(kept: list[str], candidates: list[str]) -> tuple[float, list[bool]]:
    """Return the seconds, and which are new: F up to 0.7, as released."""
    started = time.perf_counter()
    pool, new = RougeL(kept), []
    for candidate in candidates:
        new.append(pool.nearest(candidate, at_least=0.7).f <= 0.7)
        if new[-1]:
            pool.add(candidate)
    return time.perf_counter() - started, new


if __name__ == "__main__":
    main()
