"""Does a selection train better than a random draw? What is to be tried to know it.

The target is parted: half of it (or what `test` does not say) is shown to the methods, the
rest is held out, and only that is examined. Rows of the pool that are in the target, or
nearly, may not be picked. Then each method picks under each seed, random draws beside them at
each budget, and a proxy is trained on every pick.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, concatenate_datasets

from tamis.data import formats
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.data.pools import open_pool, pool_key, stored
from tamis.errors import BudgetError, DataError, SettingError
from tamis.kernels.draws import uniforms
from tamis.models.fingerprint import digest
from tamis.models.proxies import Proxy, Task, TunedLM
from tamis.pipelines.leakage import Leakage, leaked
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.trials import UNTRAINED, WHOLE, Amount, Bench, Turn
from tamis.selectors.base import Selector
from tamis.selectors.chained import chain
from tamis.selectors.configure import configured

__all__ = ["BASELINE", "Design", "Methods", "designed", "designed_for"]

BASELINE = "random"
HELD_OUT = 200
"""Examples held out, at most."""

Make = Callable[[int, Dataset], Selector]
"""From a seed, and the part of the target that methods see, to a selector."""

Method = str | Selector | Mapping[str, object]
Methods = Sequence[Method] | Mapping[str, Selector | Make]

_WHOLE_MOST = 10  # times the largest budget: a training on more is not worth its time
_FEW = 20  # held-out examples: with fewer an interval says little
_LABELS, _LABEL_LENGTH = 20, 30


@dataclass(frozen=True, eq=False)
class Design:
    """All that a comparison will do.

    Attributes
    ----------
    bench : Bench
    turns : list of Turn
        What is tried: nothing, draws and methods by budget, the whole pool.
    methods : list of str
        What is compared with the draws, in the order given.
    leakage : Leakage
    pool_rows, shown, held_out : int
        Rows of the pool, and of the target's two parts.
    notes : list of str
        What a reader of the figures must know.
    """

    bench: Bench
    turns: list[Turn]
    methods: list[str]
    leakage: Leakage
    pool_rows: int
    shown: int
    notes: list[str] = field(default_factory=list)

    @property
    def held_out(self) -> int:
        """How many examples are examined."""
        return len(self.bench.task.examples)


def designed(
    pool: Source,
    target: Source,
    methods: Methods,
    *,
    proxy: Proxy,
    k: int | Sequence[int] | None = None,
    tokens: int | Sequence[int] | None = None,
    seeds: int = 3,
    draws: int | None = None,
    seed: int = 0,
    test: Source | None = None,
    held_out: int = HELD_OUT,
    near: float = 0.8,
    whole: bool | None = None,
    lent: Mapping[str, object] | None = None,
) -> Design:
    """Return what a comparison will do; the arguments are those of `tamis.compare`.

    Raises
    ------
    SettingError, BudgetError, DataError
        If it cannot be done.
    """
    rows = stored(pool)
    if seeds < 1 or (draws is not None and draws < 1):
        raise SettingError("compare: seeds and draws are at least 1")
    shown, held = _parted(load(target, progress=False), test, held_out, seed)
    leakage = leaked(rows, _joined(shown, held), near)
    free = leakage.rest(len(rows))
    amounts = _amounts(k, tokens, len(free), len(rows))
    candidates = open_pool(pool_key(rows)).select(free)
    key = digest(pool_key(rows), leakage.exact.tolist(), leakage.near.tolist())
    bench = Bench(candidates, key, _task(shown, held), proxy)
    notes = [*_leakage_note(leakage, len(rows)), *_target_notes(held)]
    makers = _makers(methods, shown, lent or {}, seed)
    turns = [Turn(UNTRAINED, seed, Amount(0))]
    for amount in amounts:
        for number in range(draws or 2 * seeds):
            turns.append(Turn(BASELINE, seed + number, amount, makers[BASELINE]))
        for name, make in makers.items():
            if name != BASELINE:
                turns += [Turn(name, seed + number, amount, make) for number in range(seeds)]
    if _worth_training_whole(whole, amounts, bench, notes):
        turns += [Turn(WHOLE, seed + number, Amount(len(free))) for number in range(1)]
    named = [name for name in makers if name != BASELINE]
    return Design(bench, turns, named, leakage, len(rows), len(shown), notes)


def designed_for(recipe: Recipe, pool: Dataset, kept: int) -> Design:
    """Return what the `compare` block of a recipe asks for: its steps as a method among others.

    The recipe chooses again, as many rows as its run kept: from rows that are not in the
    target, and seeing only that part of the target that is not held out.
    """
    given = recipe.compare
    assert given is not None
    assert recipe.target is not None

    def steps(seed: int, shown: Dataset) -> Selector:
        seeded = recipe.model_copy(update={"seed": seed})
        chosen = seeded.selectors(target=shown)
        return chain(*zip(chosen, (step.k for step in recipe.steps), strict=True))

    lent = {"seed": recipe.seed, **recipe.models.model_dump()}
    others = {name: _configured(name, settings, lent) for name, settings in given.methods}
    return designed(
        pool,
        recipe.target,
        {recipe.name: steps, **others},
        proxy=TunedLM(given.proxy, given.epochs, given.learning_rate, given.lora),
        k=kept,
        seeds=given.seeds,
        draws=given.draws,
        seed=recipe.seed,
        test=given.test,
        held_out=given.held_out,
        near=given.near,
    )


def _makers(
    methods: Methods, shown: Dataset, lent: Mapping[str, object], seed: int
) -> dict[str, Callable[[int], Selector]]:
    """Return how each method is made for a seed, by the name the table calls it; draws first."""
    made: dict[str, Callable[[int], Selector]] = {
        BASELINE: lambda number: configured(BASELINE, {}, {"seed": number})
    }
    for name, method in _named(methods):
        if name == BASELINE:
            continue
        if name in made:
            raise SettingError(
                f"compare: two methods are called '{name}'; name them: {{'name': method}}"
            )
        made[name] = partial(_maker(method, lent), target=shown)
        made[name](seed)  # what is wrong with it is wrong now
    return made


def _named(methods: Methods) -> Iterator[tuple[str, object]]:
    if isinstance(methods, str):
        methods = [methods]
    if isinstance(methods, Mapping):
        yield from methods.items()
        return
    for method in methods:
        if isinstance(method, Mapping):
            yield from ((name, {name: settings}) for name, settings in method.items())
        else:
            yield (method if isinstance(method, str) else method.name), method


def _maker(method: object, lent: Mapping[str, object]) -> Callable[..., Selector]:
    if isinstance(method, Selector):
        return partial(_seeing, method)
    if callable(method):
        return lambda seed, target: cast(Make, method)(seed, target)
    if isinstance(method, str):
        method = {method: {}}
    if not isinstance(method, Mapping) or len(method) != 1:
        raise SettingError(f"compare: {method!r} is no method; give a name, or a selector")
    ((name, settings),) = method.items()
    return _configured(name, settings or {}, lent)


def _seeing(method: Selector, _: int, target: Dataset) -> Selector:
    """Return a selector as it is, but for its target: it must not see what is held out."""
    if getattr(method, "target", None) is None:
        return method
    return cast(Selector, replace(cast(Any, method), target=target))


def _configured(
    name: str, settings: Mapping[str, Any], lent: Mapping[str, object]
) -> Callable[..., Selector]:
    def make(seed: int, target: Dataset) -> Selector:
        own = {key: value for key, value in settings.items() if key != "target"}
        if "seed" in own:
            own["seed"] += seed
        return configured(name, own, {**lent, "seed": seed, "target": target})

    return make


def _amounts(
    k: int | Sequence[int] | None, tokens: int | Sequence[int] | None, free: int, rows: int
) -> list[Amount]:
    if (k is None) == (tokens is None):
        raise BudgetError("compare: give k (rows) or tokens, and not both")
    unit, given = ("rows", k) if tokens is None else ("tokens", tokens)
    counts = sorted({int(count) for count in np.atleast_1d(np.asarray(given))})
    for count in counts:
        if count < 1:
            raise BudgetError(f"compare: a budget of {count} {unit}; give at least 1")
        if unit == "rows" and count >= free:
            left = "" if free == rows else f" that are not in the target (of {rows:,})"
            raise BudgetError(
                f"compare: k={count}, but the pool has {free:,} rows{left}; there is nothing to "
                "choose: give a smaller k"
            )
    return [Amount(count, unit) for count in counts]  # type: ignore[arg-type]


def _parted(
    target: Dataset, test: Source | None, held_out: int, seed: int
) -> tuple[Dataset, Dataset]:
    """Return the target's examples that methods see, and those that are held out."""
    if held_out < 1:
        raise SettingError(f"compare: held_out={held_out}; give at least 1")
    target = _distinct(target)
    if test is not None:
        held = _telling(_distinct(load(test, progress=False)))
        inside = np.isin(example_ids(held), example_ids(target))
        held = held.select(np.flatnonzero(~inside))
        if not len(held):
            raise DataError("compare: every row of `test` is in the target; give other examples")
        first = np.argsort(uniforms(example_ids(held), seed), kind="stable")[:held_out]
        return target, held.select(np.sort(first))
    target = _telling(target)
    if len(target) < 2:
        raise DataError(
            f"compare: the target has {len(target)} different examples; give at least 2: some "
            "are shown to the methods, the others held out"
        )
    order = np.argsort(uniforms(example_ids(target), seed), kind="stable")
    count = min(held_out, len(target) // 2)
    return target.select(np.sort(order[count:])), target.select(np.sort(order[:count]))


def _distinct(rows: Dataset) -> Dataset:
    _, first = np.unique(example_ids(rows), return_index=True)
    return rows.select(np.sort(first))


def _telling(rows: Dataset) -> Dataset:
    """Return the rows that can be examined: with a response, or text where none has one."""
    said = formats.fields(rows.with_format("arrow")[:])
    part = said.text if _is_whole(rows) else said.response
    full = pc.not_equal(pc.utf8_trim_whitespace(part), "").to_numpy(zero_copy_only=False)
    return rows.select(np.flatnonzero(full))


def _is_whole(rows: Dataset) -> bool:
    """Whether no row has a response: then all of the text counts."""
    response = formats.fields(rows.with_format("arrow")[:]).response
    return not pc.any(pc.not_equal(pc.utf8_trim_whitespace(response), "")).as_py()


def _joined(shown: Dataset, held: Dataset) -> Dataset:
    parts = [formats.fields(part.with_format("arrow")[:]).text for part in (shown, held)]
    texts = [Dataset.from_dict({"text": part.to_pylist()}) for part in parts]
    return concatenate_datasets(texts)


def _task(shown: Dataset, held: Dataset) -> Task:
    whole = _is_whole(held)
    return Task(held, whole, None if whole else _options(shown, held))


def _options(shown: Dataset, held: Dataset) -> list[list[str]] | None:
    """Return the labels each held-out example may have, if its answers are labels.

    They are those of a column `options`; or, where the target's answers are a few short
    words, each several times, all of these.
    """
    answers = formats.exchange(held.with_format("arrow")[:])[1].to_pylist()
    if "options" in held.column_names:
        given = [list(map(str, some or [])) for some in held["options"]]
        if all(answer in some for answer, some in zip(answers, given, strict=True)):
            return given
    both = answers + formats.fields(shown.with_format("arrow")[:]).response.to_pylist()
    labels = sorted({answer for answer in both if answer})
    if len(labels) < 2 or len(labels) > min(_LABELS, len(both) // 4):
        return None
    return None if max(map(len, labels)) > _LABEL_LENGTH else [labels] * len(answers)


def _worth_training_whole(
    asked: bool | None, amounts: list[Amount], bench: Bench, notes: list[str]
) -> bool:
    if asked is not None:
        return asked
    size = len(bench.pool)
    if amounts[-1].unit == "tokens":
        some = bench.pool.select(range(0, size, max(1, size // 500)))
        size = int(size * bench.proxy.tokens(some).mean())
    if size <= _WHOLE_MOST * amounts[-1].count:
        return True
    notes.append(
        f"The whole pool was not trained on: it is {size / amounts[-1].count:.0f} times the "
        "largest budget; whole=True does it."
    )
    return False


def _leakage_note(leakage: Leakage, rows: int) -> list[str]:
    if not len(leakage.exact) + len(leakage.near):
        return [f"No row of the pool ({rows:,}) is in the target, nor nearly."]
    return [
        f"{len(leakage.exact):,} of {rows:,} rows of the pool are in the target, and "
        f"{len(leakage.near):,} more nearly; none of them may be picked."
    ]


def _target_notes(held: Dataset) -> list[str]:
    if len(held) >= _FEW:
        return []
    return [
        f"Only {len(held)} examples are held out: the intervals are too wide to tell much; "
        "give a larger target."
    ]
