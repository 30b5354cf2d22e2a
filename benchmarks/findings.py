"""Which selections beat a random draw, on real data: makes docs/findings.md.

    python -m benchmarks.findings --data FOLDER [--only domains salad …] [--methods dsir …]

Four kinds of question: (a) an instruction pool, and people's own tasks as the target; (b) a
pool of many tasks, and few-shot examples of three others; (c) text of many domains, and one
of them; (d) a pool of which half is word salad. And (e): pools in which nothing is to be
found, a hundred of them. A method that fails is named.

What was trained once is not trained again: the command may be stopped, and goes on. Sections are
kept, and the page is written from all that is kept. The sizes below are what two cores allow.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import tamis
from benchmarks.alarms import counted
from benchmarks.common import CACHE
from benchmarks.questions import QUESTIONS, Question
from benchmarks.results import machine
from tamis.data.ids import example_ids, id_texts
from tamis.models.proxies import TunedLM
from tamis.pipelines.compare import designed
from tamis.pipelines.results import Comparison
from tamis.pipelines.tried import tried
from tamis.pipelines.verdicts import concluded

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"
NOTHING = "nothing"
PARTS = [*QUESTIONS, NOTHING]
KEPT = CACHE / "findings"
OPENING = """\
# Findings

Does a selection train better than a random draw? A gain is how far the loss on held-out
examples is below that after random draws, in nats a token; its interval holds for all the
methods of a table together. A proxy is small: what it gains, a large model need not, and what
it does not show may still be there.

Made by `python -m benchmarks.findings --data FOLDER`, piece by piece (`--only`); the figures
are what came out. Sizes are what the machine allowed, and each comparison was made once; seconds
are by the clock, and other work often took its share of them. Learning rates are the default, or
three times the default as it says; nothing was tuned on the targets. (b) and (d) are asked a
second time, of more rows, after the first had shown little; the sizes were tried on two other
tasks (HellaSwag and WinoGrande). The 500 rows of (d) were held against people's tasks first, 112
of them, which was too few to tell (+0.038 to +0.053 ± 0.07 for the five methods); then against 500
rows of Alpaca, where two intervals just held zero; so once more with twice the rows. The bundled
embedder and judge were trained again since: with the new ones (d) was measured again at 200 and 500
rows, where two verdicts at the edge changed; the rest is of those before. Left out
everywhere are `less` and `data-shapley`, to save time, and `doremi`, which knows no target.
"""


def main() -> None:
    """Compare, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--methods", nargs="+", help="these alone")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()

    for name in given.only:
        for number, section in enumerate(_sections(name, given.data, given.methods)):
            KEPT.mkdir(parents=True, exist_ok=True)
            (KEPT / f"{name}-{number}.md").write_text(section, encoding="utf-8")
            given.page.write_text(_page(), encoding="utf-8")


def _sections(name: str, data: Path, only: list[str] | None) -> Iterator[str]:
    if name == NOTHING:
        yield _alarms()
        return
    for question in QUESTIONS[name](data):
        found = _compared(question, only)
        print(f"{question.what}\n{found}\n", flush=True)
        yield _section(question, found, only)


def _page() -> str:
    made = {name: sorted(KEPT.glob(f"{name}-*.md")) for name in PARTS}
    texts = [part.read_text(encoding="utf-8") for parts in made.values() for part in parts]
    missing = [f"`--only {name}`" for name, parts in made.items() if not parts]
    short = [_in_short(text) for text in texts if "| verdict |" in text]
    if missing:
        texts.append(f"Not measured yet: {', '.join(missing)}.\n")
    return "\n".join([OPENING, "Better than random:\n", *short, "", *texts])


def _in_short(section: str) -> str:
    """Return a line of what a section's table calls better."""
    heading, *lines = section.splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    better = [f"`{row[0]}`" for row in rows if row[-1].startswith("better")]
    return f"- {heading.removeprefix('## ')}: {', '.join(better) or 'none, so far as was seen'}"


def _compared(question: Question, only: list[str] | None) -> Comparison:
    """Do as `tamis.compare` does, without Prefect's server; trials are named as they end."""
    design = designed(
        question.pool,
        question.target,
        question.methods,
        proxy=question.proxy,
        test=question.test,
        whole=False,
        lent={"lm": "bundled", "embedder": "bundled", "judge": "bundled"},
        **question.budget,
    )
    if only:
        left_out = {*design.methods} - {*only}
        turns = [turn for turn in design.turns if turn.method not in left_out]
        design = replace(design, turns=turns)
    return concluded("findings", design, *tried(design, told=lambda turn: print(turn, flush=True)))


def _section(question: Question, found: Comparison, only: list[str] | None) -> str:
    facts, (head, *lines) = found.facts, found.cells
    shares = _salad_picked(question, found)
    if shares:
        head = [*head[:-1], "salad picked", head[-1]]
        lines = [[*line[:-1], f"{shares[line[0]]:.0%}", line[-1]] for line in lines]
    table = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)]
    failed = [f"- {one.method}, seed {one.seed}, failed: {one.reason}" for one in found.failures]
    proxy = question.proxy
    return "\n".join(
        [
            f"## {question.what}",
            "",
            f"{facts['pool_rows']:,} rows in the pool; {facts['shown']} examples of the target "
            f"shown, {facts['held_out']} held out. Proxy: {_named(proxy)}, {proxy.epochs} "
            f"epoch{'s' * (proxy.epochs > 1)}, learning rate "
            f"{proxy.learning_rate or 'by default'}; before training its loss is "
            f"{found.untrained:.3f}.",
            "",
            *table,
            "",
            *failed,
            *(f"- {note}" for note in found.notes),
            *([f"- Other methods were not run: `--methods {' '.join(only)}`."] if only else []),
            f"- {_measured()}",
            "",
        ]
    )


def _measured() -> str:
    return f"Measured on {date.today()} with tamis {tamis.__version__}: {machine()}."


def _named(proxy: TunedLM) -> str:
    if proxy.lm == "bundled":
        return "the bundled model"
    return (
        "a model like the bundled one, of 2 layers and width 64, that has learnt nothing (and "
        "learns from so few tokens hardly more than which are frequent)"
    )


def _salad_picked(question: Question, found: Comparison) -> dict[str, float]:
    """Return the share of bad rows in what each method picked, over its seeds."""
    if question.bad is None:
        return {}
    bad = set(id_texts(example_ids(question.bad)).to_pylist())
    picks = found.picks.to_pandas()
    return dict(picks["example_id"].isin(bad).groupby(picks["method"]).mean())


def _alarms() -> str:
    started = time.perf_counter()
    alarms, said, verdicts = counted(100)
    seconds = time.perf_counter() - started
    return (
        "## (e) Pools in which nothing is to be found\n\n"
        f"Three random draws under other names, on 100 pools of words drawn alike: in {alarms} "
        f"of 100 comparisons a method was called better, and {said} of {verdicts} verdicts said "
        f"so ({seconds:.0f} s; the proxy counts words).\n\n- {_measured()}\n"
    )


if __name__ == "__main__":
    main()
