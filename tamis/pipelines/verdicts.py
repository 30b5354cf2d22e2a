"""What the trials of a comparison say: gains with intervals, and plain verdicts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.kernels.intervals import Gain, gain
from tamis.pipelines.compare import BASELINE, Design
from tamis.pipelines.evidence import overlap, picks, trainings
from tamis.pipelines.results import Comparison, Failure, Result
from tamis.pipelines.trials import UNTRAINED, WHOLE, Amount, Trial

Floats = npt.NDArray[np.float64]

__all__ = ["concluded"]

CONFIDENCE = 0.95


def concluded(
    comparison_id: str,
    design: Design,
    trials: Sequence[Trial],
    failures: Sequence[Failure] = (),
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Return what the trials of a design say.

    Intervals hold together: with m comparisons each has the confidence 1 - (1 - c) / m
    (Bonferroni), so that a pool without any signal yields a false 'better' seldom, however
    many methods are tried on it.
    """
    done = {amount: _by_method(trials, amount) for amount in _amounts(trials)}
    compared = [
        (method, amount)
        for amount, by_method in done.items()
        for method in by_method
        if method != BASELINE
    ]
    wide = [trial for trial in trials if trial.method == WHOLE]
    m = max(1, len(compared) + len(wide) * len(done))
    level = 1 - (1 - confidence) / m
    results = []
    for by_method in done.values():
        base = by_method.get(BASELINE, [])
        for method, tried in by_method.items():
            other = None if method == BASELINE else base
            results.append(_result(tried, other, level, confidence))
    if wide and done:
        largest = list(done.values())[-1].get(BASELINE, [])
        results.append(_result(wide, largest, level, confidence))
    [untrained] = [trial.loss for trial in trials if trial.method == UNTRAINED] or [float("nan")]
    return Comparison(
        comparison_id,
        results,
        untrained,
        overlap(done, len(design.bench.pool)),
        picks(trials, design.bench.pool),
        trainings(trials),
        list(failures),
        [*design.notes, *_short_notes(results), _interval_note(confidence, m)],
        {
            "pool_rows": design.pool_rows,
            "exact_copies": len(design.leakage.exact),
            "near_copies": len(design.leakage.near),
            "shown": design.shown,
            "held_out": design.held_out,
            "confidence": confidence,
            "comparisons": m,
        },
    )


def _amounts(trials: Iterable[Trial]) -> list[Amount]:
    return sorted({trial.amount for trial in trials if trial.method not in {UNTRAINED, WHOLE}})


def _by_method(trials: Iterable[Trial], amount: Amount) -> dict[str, list[Trial]]:
    """Return the trials at a budget, method by method, the draws first."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.amount == amount and trial.method not in {UNTRAINED, WHOLE}:
            found.setdefault(trial.method, []).append(trial)
    return dict(sorted(found.items(), key=lambda item: item[0] != BASELINE))


def _result(
    tried: list[Trial], base: list[Trial] | None, level: float, confidence: float
) -> Result:
    better = right = None
    if base:
        better = _gain(tried, base, level, lambda trial: trial.nats, tried[0].weights)
    right_known = tried[0].right is not None
    if base and right_known:
        ones = np.ones(len(tried[0].weights))
        right = _gain(tried, base, level, lambda trial: -_known(trial.right), ones)
    return Result(
        method=tried[0].method,
        budget=tried[0].amount.count,
        unit=tried[0].amount.unit,
        loss=float(np.mean([trial.loss for trial in tried])),
        gain=None if better is None else better.mean,
        half_width=None if better is None else better.half_width,
        verdict=_verdict(better, base, confidence),
        accuracy=float(np.mean([_known(t.right).mean() for t in tried])) if right_known else None,
        accuracy_gain=None if right is None else right.mean,
        accuracy_half_width=None if right is None else right.half_width,
        rows=float(np.mean([trial.rows for trial in tried])),
        tokens=float(np.mean([trial.tokens for trial in tried])),
        trainings=len(tried),
        picks=len(set(_groups(tried).tolist())),
        **_costs(tried),
    )


def _gain(
    tried: list[Trial],
    base: list[Trial],
    level: float,
    lost: Callable[[Trial], Floats],
    weights: Floats,
) -> Gain:
    ours, theirs = (np.stack([lost(trial) for trial in some]) for some in (tried, base))
    return gain(ours, theirs, weights, _groups(tried), confidence=level)


def _groups(tried: list[Trial]) -> npt.NDArray[np.int64]:
    """Return a number for each trial, the same for those trained on the same rows."""
    rows = [np.sort(trial.positions).tobytes() for trial in tried]
    return np.unique(rows, return_inverse=True)[1]


def _costs(tried: list[Trial]) -> dict[str, Any]:
    """Return what the trials took in all; a pick that several share was made once.

    It is the one that took longest: what a model said for it, the others were spared.
    """
    picks: dict[int, Trial] = {}
    for group, trial in zip(_groups(tried).tolist(), tried, strict=True):
        made = picks.setdefault(group, trial)
        picks[group] = max(made, trial, key=lambda one: one.select_seconds)
    return {
        "select_seconds": sum(trial.select_seconds for trial in picks.values()),
        "train_seconds": sum(trial.train_seconds for trial in tried),
        "rows_scored": sum(trial.rows_scored for trial in picks.values()),
        "tokens_read": sum(trial.tokens_read for trial in picks.values()),
    }


def _known(right: Floats | None) -> Floats:
    assert right is not None
    return right


def _verdict(better: Gain | None, base: list[Trial] | None, confidence: float) -> str:
    if better is None:
        return "the draws" if base is None else "no draw to compare with"
    if np.isnan(better.half_width):
        return "no interval: too few draws or examples"
    if not better.clear:
        return "no difference seen"
    word = "better" if better.mean > 0 else "worse"
    size = f"{abs(better.mean):.3f} ± {better.half_width:.3f}"
    return f"{word} than random by {size} nats ({confidence:.0%})"


def _short_notes(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        if result.unit == "rows" and result.rows < result.budget and result.method != WHOLE:
            yield (
                f"{result.method} picked {result.rows:,.0f} rows where {result.budget:,} were "
                "asked for: the comparison is not at an equal budget."
            )


def _interval_note(confidence: float, m: int) -> str:
    together = f" for all {m} comparisons together (Bonferroni)" if m > 1 else ""
    return (
        f"Intervals: {confidence:.0%}{together}; Student's t over picks, a bootstrap over "
        "held-out examples, both methods examined on the same ones."
    )
