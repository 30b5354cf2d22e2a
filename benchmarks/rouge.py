"""Self-Instruct's novelty check beside its own: ROUGE-L of candidates against kept tasks.

    python -m benchmarks.rouge                            # the peer on 100: it takes seconds each
    python -m benchmarks.rouge --peer-candidates 1000     # half an hour
    python -m benchmarks.rouge --kept 50000 --peer-candidates 0

Kept tasks and candidates are instructions of the sample in data/, with words changed at
random; a third of the candidates are near a kept task. The peer is rouge_score in a pool of
as many processes as there are cores, as Self-Instruct's released code runs it; tamis runs on
one core. Seconds are by the clock, from texts to decisions; for tamis the first reading of the
kept tasks counts too. Both must decide alike.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

import tamis
from benchmarks.common import answer, environment
from tamis.prompting.generation.novelty import RougeL

PEER = ("rouge_score==0.1.2",)
SAMPLE = "data/instructions.jsonl.zst"


def main() -> None:
    """Print checks a second, and whether the decisions agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=1_000)
    parser.add_argument("--peer-candidates", type=int, default=100, help="0 leaves the peer out")
    arguments = parser.parse_args()
    kept, candidates = _texts(arguments.kept, arguments.candidates)
    _checked(kept[:10], candidates[:10])  # compiles
    read, seconds, ours = _checked(kept, candidates)
    rate = len(candidates) / (read + seconds)
    print(f"{len(candidates):,} candidates against {len(kept):,} kept tasks; {sum(ours):,} are new")
    print(f"  tamis         {rate:10,.1f} checks/s on one core")
    rest = len(candidates) / seconds
    print(f"    {rest:,.1f} checks/s once the kept tasks are read in {read:.2f} s")
    if few := arguments.peer_candidates:
        _beside_the_peer(kept, candidates[:few], ours[:few], rate)


def _beside_the_peer(kept: list[str], candidates: list[str], ours: list[bool], rate: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps({"kept": kept, "candidates": candidates}))
        cores = os.cpu_count() or 1
        peer = answer(environment("rouge_score", *PEER), "peers/run_rouge_score.py", path, cores)
    theirs = len(candidates) / peer["seconds"]
    alike = sum(near <= 0.7 for near in peer["nearest"]), sum(ours)
    agree = sum((near <= 0.7) == new for near, new in zip(peer["nearest"], ours, strict=True))
    print(
        f"  Self-Instruct {theirs:10,.1f} checks/s on {cores} cores, {len(candidates):,} candidates"
    )
    print(f"  tamis is {rate / theirs:,.0f} times as fast; they agree on {agree:,}; new: {alike}")


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


def _checked(kept: list[str], candidates: list[str]) -> tuple[float, float, list[bool]]:
    """Return seconds of reading and of checking, and which are new: F up to 0.7, as released."""
    started = time.perf_counter()
    pool, new = RougeL(kept), []
    read = time.perf_counter() - started
    for candidate in candidates:
        new.append(pool.nearest(candidate, at_least=0.7).f <= 0.7)
        if new[-1]:
            pool.add(candidate)
    return read, time.perf_counter() - started - read, new


if __name__ == "__main__":
    main()
