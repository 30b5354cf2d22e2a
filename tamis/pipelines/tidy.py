"""What may be thrown away: pools and step results that no recent run needs.

A night on a growing pool writes the pool anew, and every step's verdicts on it. What always
stays: each run's record, recipe, outcomes, curated set and report, and the feature store,
which is the models' work. Of each recipe the newest finished runs, and a run that began after
the newest finished one and did not end well, which may be resumed, keep their pools and steps
too, so that each of their rows can be explained. Of the others these go: `tamis explain` has
nothing more to say of them, nor have the views `examples`, `scores` and `selections`.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tamis.data import catalog
from tamis.data.files import home
from tamis.errors import SettingError
from tamis.pipelines.runs import Run, runs

__all__ = ["KEPT_RUNS", "Tidied", "tidy"]

KEPT_RUNS = 7


@dataclass(frozen=True)
class Tidied:
    """What was thrown away, or would be.

    Attributes
    ----------
    pools, steps : int
        Folders of pools, and files of step results.
    runs : tuple of str
        Runs that give up their steps.
    bytes : int
        What all of it takes on the disk.
    """

    pools: int
    steps: int
    runs: tuple[str, ...]
    bytes: int


def tidy(keep: int = KEPT_RUNS, *, dry_run: bool = False) -> Tidied:
    """Throw away what only runs that were superseded long ago need.

    Parameters
    ----------
    keep : int
        Finished runs of each recipe that keep all their files, at least 1.
    dry_run : bool
        Only say what would go.
    """
    if keep < 1:
        raise SettingError(f"tidy: keep={keep}; give 1 or more, so that the newest run stays whole")
    known = runs()
    whole = _whole(known, keep)
    pools, steps = _unneeded(whole)
    superseded = [run for run in known if run not in whole and (run.folder / "steps").is_dir()]
    files = [file for folder in pools for file in folder.rglob("*")] + steps
    files += [file for run in superseded for file in (run.folder / "steps").iterdir()]
    size = {path.stat().st_ino: path.stat().st_size for path in files}
    if not dry_run:
        _throw_away(pools, steps, superseded)
    return Tidied(len(pools), len(steps), tuple(run.id for run in superseded), sum(size.values()))


def _whole(known: Sequence[Run], keep: int) -> list[Run]:
    """Return the runs that keep all their files; `known` has the newest first."""
    finished: Counter[str] = Counter()
    whole = []
    for run in known:
        recipe = run.record.recipe
        done = run.status == "done"
        finished[recipe] += done
        stays = finished[recipe] <= keep if done else not finished[recipe]
        if stays or run.status == "running":
            whole.append(run)
    return whole


def _unneeded(whole: Iterable[Run]) -> tuple[list[Path], list[Path]]:
    """Return the pools' folders and the step results that none of these runs needs."""
    done = [run for run in whole if run.status == "done"]
    begun = [run.record.started.timestamp() for run in whole if run.status != "done"]
    since = min(begun, default=float("inf"))  # what came later may be an unfinished run's

    def is_old(path: Path) -> bool:
        return path.stat().st_mtime < since

    pools = {run.record.pool for run in whole}
    keys = {outcome.key for run in done for outcome in run.outcomes}
    return (
        [path for path in (home() / "pools").glob("*/") if path.name not in pools and is_old(path)],
        [p for p in (home() / "steps").glob("*.parquet") if p.stem not in keys and is_old(p)],
    )


def _throw_away(pools: Iterable[Path], steps: Iterable[Path], superseded: Iterable[Run]) -> None:
    for folder in pools:
        try:  # whoever reads the pool's source right now holds the lock
            with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0):
                shutil.rmtree(folder)
        except Timeout:
            continue
    for path in steps:
        path.unlink(missing_ok=True)
    for run in superseded:
        shutil.rmtree(run.folder / "steps")
    catalog.rebuild()
