"""What slow machines and failures cost a run on 100 nodes, by simulation.

    python -m benchmarks.cluster
    python -m benchmarks.cluster --nodes 1000 --task-seconds 60 --tasks 200000

There is no such cluster here: `tamis plan` imagines one, and this shows what it imagines, one
trouble at a time. Tasks are as the plan makes them for a step with a small model: 1.6B rows in
tasks of 65,536, at 20 ms a row. 'Calm' is what the plan says without troubles, and has to be
the number of turns times a task's seconds. Times are the mean of the runs, each with draws of
its own.
"""

import argparse
from dataclasses import replace

import numpy as np

from tamis.pipelines.cluster import Phase, Troubles, simulate

ALL = Troubles()
NONE = Troubles.none()
CASES = {
    "calm": NONE,
    "slow nodes (5 %, twice as slow)": replace(NONE, slow_nodes=ALL.slow_nodes),
    "stragglers (3 %, heavy tail)": replace(NONE, stragglers=ALL.stragglers),
    "both, and a node fails every 30 days": ALL,
    "… every 3 days": replace(ALL, days_between_failures=3),
    "… every day": replace(ALL, days_between_failures=1),
    "… every 30 days, stragglers copied": replace(ALL, copy_after=1.5),
    "… every day, stragglers copied": replace(ALL, days_between_failures=1, copy_after=1.5),
}


def main() -> None:
    """Print a row for each kind of trouble."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--tasks", type=int, default=24_415)
    parser.add_argument("--task-seconds", type=float, default=1311)
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    turns = -(-given.tasks // (given.nodes * given.cores))
    print(
        f"{given.tasks:,} tasks of {given.task_seconds:,.0f} s on {given.nodes} nodes of "
        f"{given.cores} cores: {turns} turns, {turns * given.task_seconds / 3600:.2f} h; "
        f"mean of {given.runs} runs"
    )
    print(
        f"{'':40} {'hours':>6} {'more':>7} {'lost':>7} {'spare':>7} {'failures':>9} {'copies':>7}"
    )
    calm = None
    for name, troubles in CASES.items():
        runs = [
            simulate(
                [given.task_seconds] * given.tasks, nodes=given.nodes, slots=given.cores,
                troubles=troubles, seed=seed,
            )
            for seed in range(given.runs)
        ]  # fmt: skip
        calm = calm or _mean(runs, "seconds")
        seconds, work = _mean(runs, "seconds"), _mean(runs, "useful")
        print(
            f"{name:40} {seconds / 3600:6.2f} {seconds / calm - 1:7.1%} "
            f"{_mean(runs, 'lost') / work:7.2%} {_mean(runs, 'spare') / work:7.2%} "
            f"{_mean(runs, 'failures'):9.1f} {_mean(runs, 'copies'):7.0f}"
        )


def _mean(runs: list[Phase], of: str) -> float:
    return float(np.mean([getattr(run, of) for run in runs]))


if __name__ == "__main__":
    main()
