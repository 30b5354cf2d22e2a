"""What `benchmarks.findings` asks: pools, targets, methods, proxies and budgets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets

import tamis
from tamis.data.files import home
from tamis.models.proxies import TunedLM
from tamis.pipelines.compare import Methods
from tamis.selectors import (
    DEITA,
    IFD,
    AlpaGasus,
    Clean,
    InstructMining,
    MoDS,
    Perplexity,
    Random,
    chain,
)  # fmt: skip

DOMAINS = ["books", "math", "medical", "meetings", "software_docs", "speeches", "wikipedia"]
WANTED_DOMAIN = "medical"
TASKS = ["rte", "copa", "storycloze"]

ON_INSTRUCTIONS: Methods = [
    "alpagasus", "clean", "coreset", "cross-task-knn", "deduplicate", "deita", "dsir", "ifd",
    "instruct-mining", "kcenter", "knn-shapley", "lima", "perplexity", "ts-dshapley",
    {"vote": {"methods": ["dsir", "ifd", "kcenter"]}}, "mods",
]  # fmt: skip
ON_TASKS = ["cross-task-knn", "coreset", "dsir", "ifd", "kcenter", "perplexity"]
ON_TEXT: Methods = ["dsir", "cross-task-knn", "coreset", "kcenter", "perplexity"]
SALAD_ALONE = ["alpagasus", "clean", "deita", "ifd", "instruct-mining", "lima", "perplexity"]
LOWER_HALF = Perplexity(low=0.0, high=0.5)
ON_SALAD: Methods = {
    **{name: tamis.selectors.get(name)() for name in SALAD_ALONE},
    "clean(min_ended=0.5)": Clean(min_ended=0.5),
    "perplexity(low=0, high=0.5)": LOWER_HALF,
    "the same, then ifd": chain(LOWER_HALF, IFD()),
    "mods": MoDS(),
}
AGAINST_SALAD: Methods = {
    "alpagasus(least=None)": AlpaGasus(least=None),
    "clean(min_ended=0.5)": Clean(min_ended=0.5),
    "deita": DEITA(),
    "instruct-mining": InstructMining(),
    "perplexity(low=0, high=0.5)": LOWER_HALF,
}
"""Those that, set like this, had picked little of it; of `mods` too, which takes long."""

QUICK = TunedLM("bundled", epochs=3, learning_rate=3e-3)
SLOW = TunedLM("bundled", epochs=2)
"""What (b) and (d) ask again with more rows; tried on two other tasks than (b)'s."""


@dataclass(frozen=True)
class Question:
    """One comparison to be made.

    Attributes
    ----------
    what : str
        The heading.
    pool, target : Dataset
    methods : list
    proxy : TunedLM
    budget : dict
        `k` or `tokens`, `seeds`, `draws`.
    test : Dataset, optional
        Held out; else a part of the target.
    bad : Dataset, optional
        Rows of the pool that no method should pick.
    """

    what: str
    pool: Dataset
    target: Dataset
    methods: Methods
    proxy: TunedLM
    budget: dict[str, int]
    test: Dataset | None = None
    bad: Dataset | None = field(default=None, repr=False)


def _instructions(data: Path) -> Iterator[Question]:
    yield Question(
        "(a) Alpaca's instructions, for tasks that people wrote",
        _first(_short(_alpaca(data), 600), 2000),
        _people(data),
        ON_INSTRUCTIONS,
        QUICK,
        {"k": 200, "seeds": 1, "draws": 8},
    )


def _tasks(data: Path) -> Iterator[Question]:
    """At 200 rows, ten steps of training; and at 1,000, some thirty."""
    yield from _for_each_task(data, 3000, 200, ON_TASKS, QUICK)
    yield from _for_each_task(data, 10_000, 1000, ON_TASKS[:1], SLOW)


def _for_each_task(
    data: Path, rows: int, k: int, methods: Methods, proxy: TunedLM
) -> Iterator[Question]:
    pool = _first(_short(_read(data, "p3_pool"), 400), rows)
    shots = _read(data, "deft_fewshot_targets")
    for task in TASKS:
        yield Question(
            f"(b) Many tasks, for {task}: {k:,} of {rows:,} rows",
            pool,
            shots.filter(lambda row, task=task: row["task"] == task),
            methods,
            proxy,
            {"k": k, "seeds": 1, "draws": 10},
        )


def _domains(data: Path) -> Iterator[Question]:
    """Pretraining is measured by pretraining, as DSIR's authors do: the proxy knows nothing."""
    parts = {name: _cut(_read(data, f"text_{name}"), 500) for name in DOMAINS}
    wanted = parts[WANTED_DOMAIN]
    parts[WANTED_DOMAIN], held = (
        wanted.select(rows) for rows in np.split(np.arange(len(wanted)), [-400])
    )
    yield Question(
        f"(c) Text of {len(DOMAINS)} domains, for {WANTED_DOMAIN}",
        concatenate_datasets([_first(part, 250) for part in parts.values()]),
        held,
        ON_TEXT,
        TunedLM(_newborn(), epochs=4),
        {"tokens": 20_000, "seeds": 3, "draws": 10, "held_out": 100},
    )


def _salad(data: Path) -> Iterator[Question]:
    """Of every other row, prompt and answer keep their words but not the order of them."""
    rows = _short(_alpaca(data), 600).select_columns(["instruction", "input", "output"])
    pool, salad, _ = _stirred(rows, 1200, 500)
    what = "(d) Alpaca's instructions, every other row's words shuffled, for"
    yield Question(
        f"{what} tasks that people wrote: 200 of 1,200 rows",
        pool,
        _people(data),
        ON_SALAD,
        QUICK,
        {"k": 200, "seeds": 1, "draws": 8},
        bad=salad,
    )
    for n, k, draws in ((1200, 500, 12), (2400, 1000, 16)):
        pool, salad, others = _stirred(rows, n, 500)
        yield Question(
            f"{what} other rows of Alpaca: {k:,} of {n:,} rows",
            pool,
            _people(data),
            AGAINST_SALAD,
            SLOW,
            {"k": k, "seeds": 1, "draws": draws, "held_out": 500},
            test=others,
            bad=salad,
        )


def _stirred(rows: Dataset, n: int, held: int) -> tuple[Dataset, Dataset, Dataset]:
    """Return a pool of `n` rows of which every other is salad, that salad, and `held` others."""
    chosen = Random(seed=7).select(rows, n + held, progress=False).indices
    rows, others = rows.select(sorted(chosen[:n])), rows.select(sorted(chosen[n:]))
    mixed = np.random.default_rng(0).random(len(rows)) < 0.5

    def stirred(row: dict[str, str], number: int) -> dict[str, str]:
        draw = np.random.default_rng(number)
        return {name: " ".join(draw.permutation(text.split())) for name, text in row.items()}

    salad = rows.select(np.flatnonzero(mixed)).map(stirred, with_indices=True)
    return concatenate_datasets([rows.select(np.flatnonzero(~mixed)), salad]), salad, others


def _alpaca(data: Path) -> Dataset:
    """Return what is a fair sample of Alpaca among the rows that some method once picked."""
    return _read(data, "instructions_alpaca_labelled").filter(lambda row: row["in_random_9k"])


def _people(data: Path) -> Dataset:
    rows = _read(data, "instructions_alpaca_plus_validation")
    return rows.filter(lambda row: row["task"] == "human")


def _read(data: Path, name: str) -> Dataset:
    return tamis.load(data / f"{name}.jsonl.zst", progress=False)


def _short(rows: Dataset, most: int) -> Dataset:
    """Return the rows of at most so many characters: more of them for the same time."""
    own = [name for name in ("instruction", "input", "output") if name in rows.column_names]
    return rows.filter(lambda row: sum(len(row[name]) for name in own) <= most)


def _cut(rows: Dataset, most: int) -> Dataset:
    """Return the beginning of each text: many short ones vary less than a few long ones."""
    return rows.select_columns(["domain", "text"]).map(lambda row: {"text": row["text"][:most]})


def _first(rows: Dataset, most: int) -> Dataset:
    """Return the rows a random selector keeps: the same ones whatever their order."""
    if len(rows) <= most:
        return rows
    return rows.select(sorted(Random(seed=7).select(rows, most, progress=False).indices))


def _newborn() -> str:
    """Return a model like the bundled one, smaller, that has learnt nothing; made once."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    bundled = Path(tamis.__file__).parent / "models" / "bundled" / "lm"
    folder = home() / "newborn"
    if not (folder / "model.safetensors").exists():
        config = AutoConfig.from_pretrained(
            bundled, num_hidden_layers=2, hidden_size=64, intermediate_size=176,
            num_attention_heads=1, num_key_value_heads=1, dtype="float32",
        )  # fmt: skip
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(bundled).save_pretrained(folder)
    return f"transformers:{folder}"


QUESTIONS: dict[str, Callable[[Path], Iterator[Question]]] = {
    "instructions": _instructions,
    "tasks": _tasks,
    "domains": _domains,
    "salad": _salad,
}
"""By the names that `--only` takes: from the folder of the data sets to what is asked."""
