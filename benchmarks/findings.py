"""Which selections beat a random draw, on real data: makes docs/findings.md.

    python -m benchmarks.findings --data FOLDER              # all of it; hours on two cores
    python -m benchmarks.findings --data FOLDER --k 100 --seeds 2 --only domains

Three tasks: (a) an instruction pool, and people's own tasks as the target; (b) a pool of many
tasks, and few-shot examples of three others; (c) text of many domains, and one of them. The
proxy is the bundled model, or another (`--proxy`). A method is tried where it needs no more
than the bundled models; one that fails is named. What was trained once is not trained again:
the command may be stopped, and goes on.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from datasets import Dataset, concatenate_datasets

import tamis
from tamis.errors import TamisError
from tamis.pipelines.compare import Methods
from tamis.pipelines.results import Comparison
from tamis.selectors import Random

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"

DOMAINS = ["books", "math", "medical", "meetings", "software_docs", "speeches", "wikipedia"]
WANTED_DOMAIN = "medical"

ON_INSTRUCTIONS = [
    "alpagasus", "clean", "coreset", "cross-task-knn", "deduplicate", "deita", "dsir", "ifd",
    "instruct-mining", "kcenter", "knn-shapley", "less", "lima", "mods", "perplexity",
    "ts-dshapley", {"vote": {"methods": ["dsir", "ifd", "kcenter"]}},
]  # fmt: skip
ON_TASKS = ["cross-task-knn", "coreset", "dsir", "ifd", "kcenter", "less", "mods", "perplexity"]
ON_TEXT = ["coreset", "cross-task-knn", "doremi", "dsir", "kcenter", "perplexity"]


@dataclass(frozen=True)
class Question:
    """One comparison to be made."""

    name: str
    what: str
    pool: Dataset
    target: Dataset
    methods: Methods


def main() -> None:
    """Compare, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=200_000, help="for (c), instead of rows")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000, help="of each pool, at most")
    parser.add_argument("--proxy", default="bundled")
    parser.add_argument("--only", nargs="*", choices=["instructions", "tasks", "domains"])
    parser.add_argument("--methods", nargs="*", help="these alone")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()

    parts = [_opening(given)]
    for question in _questions(given.data, given.rows):
        if given.only and question.name not in given.only:
            continue
        started = time.perf_counter()
        budget = {"tokens": given.tokens} if question.name == "domains" else {"k": given.k}
        try:
            found = tamis.compare(
                question.pool,
                question.target,
                _wanted(question.methods, given.methods),
                seeds=given.seeds,
                proxy=given.proxy,
                lm="bundled",
                embedder="bundled",
                judge="bundled",
                whole=False,
                **budget,
            )
        except TamisError as error:
            parts.append(f"## {question.what}\n\nNot done: {error}\n")
            continue
        minutes = (time.perf_counter() - started) / 60
        print(f"{question.name}: {minutes:.0f} min\n{found}\n", flush=True)
        parts.append(_section(question, found))
        given.page.parent.mkdir(exist_ok=True)
        given.page.write_text("\n".join(parts), encoding="utf-8")


def _questions(data: Path, most: int) -> Iterator[Question]:
    pool = _first(tamis.load(data / "instructions_alpaca_labelled.jsonl.zst"), most)
    people = tamis.load(data / "instructions_alpaca_plus_validation.jsonl.zst")
    yield Question(
        "instructions",
        "(a) Alpaca's instructions, for tasks that people wrote",
        pool,
        people.filter(lambda row: row["task"] == "human"),
        ON_INSTRUCTIONS,
    )
    p3 = _first(tamis.load(data / "p3_pool.jsonl.zst"), most)
    shots = tamis.load(data / "deft_fewshot_targets.jsonl.zst")
    for task in ("storycloze", "rte", "copa"):
        own = shots.filter(lambda row, task=task: row["task"] == task)
        yield Question("tasks", f"(b) Many tasks, for {task}", p3, own, ON_TASKS)
    parts = {name: tamis.load(data / f"text_{name}.jsonl.zst") for name in DOMAINS}
    texts = [
        _first(part, most // len(parts)).select_columns(["domain", "text"])
        for part in parts.values()
    ]
    wanted = parts[WANTED_DOMAIN].select_columns(["domain", "text"])
    held = wanted.select(range(len(wanted) - min(400, len(wanted) // 2), len(wanted)))
    yield Question(
        "domains",
        f"(c) Text of {len(DOMAINS)} domains, for {WANTED_DOMAIN}",
        concatenate_datasets(texts),
        held,
        ON_TEXT,
    )


def _wanted(methods: Methods, only: list[str] | None) -> Methods:
    known = set(tamis.selectors.names())
    named = [
        (method if isinstance(method, str) else next(iter(method)), method) for method in methods
    ]
    return [method for name, method in named if name in known and (only is None or name in only)]


def _first(rows: Dataset, most: int) -> Dataset:
    """Return the rows a random selector keeps: the same ones whatever their order."""
    if len(rows) <= most:
        return rows
    return rows.select(sorted(Random(seed=7).select(rows, most, progress=False).indices))


def _opening(given: argparse.Namespace) -> str:
    return (
        "# Findings\n\n"
        f"Does a selection train better than a random draw? Measured on {date.today()} with "
        f"tamis {tamis.__version__}, the proxy `{given.proxy}`, {given.seeds} seeds and "
        f"{2 * given.seeds} random draws. A gain is how far the loss on held-out examples is "
        "below that after random draws, in nats a token; its interval holds for all the "
        "methods of a table together. A proxy is small: what it gains, a large model need not.\n\n"
        "Made by `python -m benchmarks.findings --data FOLDER`; the figures are what came out.\n"
    )


def _section(question: Question, found: Comparison) -> str:
    facts, (head, *lines) = found.facts, found.cells
    table = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)]
    failed = [f"- {one.method}, seed {one.seed}, failed: {one.reason}" for one in found.failures]
    return "\n".join(
        [
            f"## {question.what}",
            "",
            f"{facts['pool_rows']:,} rows in the pool; {facts['shown']} examples of the target "
            f"shown, {facts['held_out']} held out. Before training the loss is "
            f"{found.untrained:.3f}.",
            "",
            *table,
            "",
            *failed,
            *(f"- {note}" for note in found.notes),
            "",
        ]
    )


if __name__ == "__main__":
    main()
