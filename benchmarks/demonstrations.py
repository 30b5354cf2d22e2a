"""Do retrieved demonstrations help? Log-probability of the gold answer on held-out tasks.

Tasks are parted in two. UDR learns from the bundled model's feedback on one part alone; on the
other every method finds demonstrations for the same questions in the same pool, and the model
says how likely the gold answer is after them, a token. 'UDR, learnt here' learns from the
examples that it then finds, of the questions' own tasks. Second, VoteK and a random draw choose as
many examples to annotate, of `--pools` random halves of all that are no questions (nothing is
learnt from them, so all tasks are there), and their nearest are shown.

Intervals are 95 %, by bootstrap of questions, and of halves where there are several; what is
gained over another row is of pairs, question by question.

    python -m benchmarks.demonstrations        # with --pool FILE of prompts by task
"""

import argparse
import os
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset, concatenate_datasets

import tamis
from tamis.data import formats
from tamis.models.base import LanguageModel
from tamis.prompting.demonstrations import KNN, UDR, Random, Retriever, Template, VoteK
from tamis.prompting.demonstrations.feedback import log_likelihoods

TEMPLATE = Template(example="Input: {prompt}\nOutput: {response}")
Floats = npt.NDArray[np.float64]
Told = Callable[[Retriever | None], Floats]


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", default="data/instructions.jsonl.zst")
    parser.add_argument("--task", default="task", help="the column that says which task")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--characters", type=int, default=400, help="of the longest example")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--shots", type=int, default=3)
    parser.add_argument("--training", type=int, default=400)
    parser.add_argument("--mined", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--draws", type=int, default=5, help="of random demonstrations")
    parser.add_argument("--annotations", type=int, default=100)
    parser.add_argument("--pools", type=int, default=6, help="halves to annotate; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="of the parting and of learning")
    arguments = parser.parse_args()
    os.environ.setdefault("TAMIS_HOME", ".benchmarks/home")
    lm = tamis.models.load(arguments.model)
    pool = short(tamis.load(arguments.pool, progress=False), arguments.characters)
    known, asked, held = parts(pool, arguments.task, arguments.questions, arguments.seed)
    print(
        f"seed {arguments.seed}: {len(known):,} examples of {tasks(known, arguments.task)} tasks "
        f"to learn from; {len(asked)} questions and {len(held):,} examples of "
        f"{tasks(held, arguments.task)} other tasks"
    )

    def told(shown: Retriever | None) -> Floats:
        texts = questions(asked)
        prompts = [TEMPLATE.render([], text) for text in texts]
        if shown is not None:
            prompts = shown.prompts(texts, arguments.shots, max_tokens=900)
        return log_likelihoods(lm, prompts, answers(asked), TEMPLATE, mean=True)

    found(arguments, lm, known, held, told)
    if arguments.pools:
        annotated(arguments, concatenate_datasets([known, held]), told)


def found(
    arguments: argparse.Namespace,
    lm: LanguageModel,
    known: Dataset,
    held: Dataset,
    told: Told,
) -> None:
    """Print how well each way to find demonstrations does."""
    how: dict[str, Any] = {
        "lm": lm, "training": arguments.training, "mined": arguments.mined,
        "rounds": arguments.rounds, "task": arguments.task, "template": TEMPLATE,
        "seed": arguments.seed,
    }  # fmt: skip
    elsewhere, here = UDR(**how).fit(known), UDR(**how).fit(held)
    with TemporaryDirectory() as folder:
        elsewhere.save(f"{folder}/udr.npz")
        learnt = UDR(maps=f"{folder}/udr.npz", template=TEMPLATE).fit(held)
    draws = [told(Random(seed=i, template=TEMPLATE).fit(held)) for i in range(arguments.draws)]
    show(
        {
            "no demonstrations": told(None),
            "random": np.mean(draws, axis=0),
            "KNN": told(KNN(template=TEMPLATE).fit(held)),
            "UDR": told(learnt),
            "UDR, learnt here": told(here),
        },
        "random", "KNN",
    )  # fmt: skip
    print(f"maps followed: UDR {elsewhere.trust_}, learnt here {here.trust_}")


def annotated(arguments: argparse.Namespace, pool: Dataset, told: Told) -> None:
    """Print how well the nearest of those do that each way chooses to annotate."""
    n = arguments.annotations
    drawn, voted = [], []
    for i in range(arguments.pools):
        half = pool.shuffle(seed=i).select(range(len(pool) // 2))
        drawn.append(told(KNN(template=TEMPLATE).fit(half.select(range(n)))))  # they are shuffled
        voted.append(told(VoteK(annotations=n, template=TEMPLATE).fit(half)))
    print(f"\nthe nearest of {n} annotated, of {arguments.pools} halves of {len(half):,} examples")
    show({"random": np.array(drawn), "VoteK": np.array(voted)}, "random")


def short(pool: Dataset, characters: int) -> Dataset:
    """Return the rows that are short enough for a few to fit a prompt."""
    prompts, responses = formats.exchange(pool.with_format("arrow")[:])
    lengths = [
        len(a) + len(b) for a, b in zip(prompts.to_pylist(), responses.to_pylist(), strict=True)
    ]
    return pool.select(np.flatnonzero(np.array(lengths) <= characters))


def parts(
    pool: Dataset, column: str, questions: int, seed: int
) -> tuple[Dataset, Dataset, Dataset]:
    """Return the examples to learn from, and the questions and examples of every other task."""
    names = sorted(set(pool[column]))
    rng = np.random.default_rng(seed)
    other = set(rng.permutation(names)[: max(1, len(names) // 3)].tolist())
    apart = np.array([name in other for name in pool[column]])
    rows = rng.permutation(np.flatnonzero(apart))
    return (
        pool.select(np.flatnonzero(~apart)),
        pool.select(rows[:questions]),
        pool.select(rows[questions:]),
    )


def tasks(pool: Dataset, column: str) -> int:
    """Return how many tasks there are."""
    return len(set(pool[column]))


def questions(pool: Dataset) -> list[str]:
    """Return the prompts of a pool."""
    return formats.exchange(pool.with_format("arrow")[:])[0].to_pylist()  # type: ignore[no-any-return]


def answers(pool: Dataset) -> list[str]:
    """Return the responses of a pool."""
    return formats.exchange(pool.with_format("arrow")[:])[1].to_pylist()  # type: ignore[no-any-return]


def show(found: dict[str, Floats], *baselines: str) -> None:
    """Print the mean of each, and of its differences to the baselines, with intervals."""
    heads = ["log-probability a token", *(f"over {name}" for name in baselines)]
    print(f"{'':18}" + "".join(f"{head:>28}" for head in heads))
    for name, scores in found.items():
        cells = [scores, *(scores - found[baseline] for baseline in baselines)]
        print(f"{name:18}" + "".join(f"{interval(cell):>28}" for cell in cells))


def interval(scores: Floats, rounds: int = 2000) -> str:
    """Return the mean and its 95 % interval, by bootstrap of questions, and of rows before."""
    rows = np.atleast_2d(scores)
    rows = rows[:, np.isfinite(rows).all(axis=0)]
    rng = np.random.default_rng(0)
    means = [
        rows[rng.integers(len(rows), size=len(rows))]
        .mean(axis=0)[rng.integers(rows.shape[1], size=rows.shape[1])]
        .mean()
        for _ in range(rounds)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{rows.mean():.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
