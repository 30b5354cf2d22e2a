"""Do retrieved demonstrations help? Log-probability of the gold answer on held-out tasks.

Tasks are parted in two. UDR learns from the bundled model's feedback on one part alone; on the
other every method finds demonstrations for the same questions in the same pool, and the model
says how likely the gold answer is after them, a token. 'UDR, learnt here' learns from the
examples that it then finds, of the questions' own tasks. Second, VoteK and a random draw choose as
many examples to annotate, of `--pools` random halves of all that are no questions (nothing is
learnt from them, so all tasks are there), and their nearest are shown.

Intervals are 95 %, by bootstrap of questions, and of halves where there are several; what is
gained over another row is of pairs, question by question.

    python -m benchmarks.demonstrations --seed 0 1 2     # with --pool FILE of prompts by task
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from tempfile import TemporaryDirectory

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
Table = dict[str, list[Floats]]  # of each seed (questions,), or (halves, questions)


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
    parser.add_argument("--pools", type=int, default=6, help="halves to annotate")
    parser.add_argument("--seed", type=int, default=[0], nargs="+", help="of partings, learning")
    arguments = parser.parse_args()
    os.environ.setdefault("TAMIS_HOME", ".benchmarks/home")
    lm = tamis.models.load(arguments.model)
    pool = short(tamis.load(arguments.pool, progress=False), arguments.characters)
    tables = [measured(arguments, lm, pool, seed) for seed in arguments.seed]
    if len(tables) > 1:
        print(f"\nthe mean of seeds {arguments.seed}")
        found, annotated = (
            {name: [one for table in each for one in table[name]] for name in each[0]}
            for each in zip(*tables, strict=True)
        )
        show(found, "random", "KNN")
        show(annotated, "random")


def measured(
    arguments: argparse.Namespace, lm: LanguageModel, pool: Dataset, seed: int
) -> tuple[Table, Table]:
    """Print and return what is measured for one parting of the tasks."""
    known, asked, held = parts(pool, arguments.task, arguments.questions, seed)
    print(
        f"\nseed {seed}: {len(known):,} examples of {tasks(known, arguments.task)} tasks "
        f"to learn from; {len(asked)} questions and {len(held):,} examples of "
        f"{tasks(held, arguments.task)} other tasks"
    )

    def told(shown: Retriever | None) -> Floats:
        texts = questions(asked)
        prompts = [TEMPLATE.render([], text) for text in texts]
        if shown is not None:
            prompts = shown.prompts(texts, arguments.shots, max_tokens=900)
        return log_likelihoods(lm, prompts, answers(asked), TEMPLATE, mean=True)

    learner = UDR(
        lm=lm, training=arguments.training, mined=arguments.mined, rounds=arguments.rounds,
        task=arguments.task, template=TEMPLATE, seed=seed,
    )  # fmt: skip
    found = retrieved(learner, known, held, told, arguments.draws)
    show(found, "random", "KNN")
    n, halves = arguments.annotations, arguments.pools
    others = concatenate_datasets([known, held])
    annotated = chosen(others, told, n, halves)
    print(f"the nearest of {n} annotated, of {halves} halves of {len(others) // 2:,} examples")
    show(annotated, "random")
    return found, annotated


def retrieved(learner: UDR, known: Dataset, held: Dataset, told: Told, draws: int) -> Table:
    """Return how well each way to find demonstrations does."""
    drawn = [told(Random(seed=i, template=TEMPLATE).fit(held)) for i in range(draws)]
    with TemporaryDirectory() as folder:
        apart = replace(learner, unseen="tasks").fit(known)
        apart.save(f"{folder}/udr.npz")
        elsewhere = told(UDR(maps=f"{folder}/udr.npz", template=TEMPLATE).fit(held))
    here = told(learner.fit(held))
    print(f"maps are followed: UDR {apart.trust_}, learnt here {learner.trust_}")
    return {
        "no demonstrations": [told(None)],
        "random": [np.mean(drawn, axis=0)],
        "KNN": [told(KNN(template=TEMPLATE).fit(held))],
        "UDR": [elsewhere],
        "UDR, learnt here": [here],
    }


def chosen(pool: Dataset, told: Told, annotations: int, halves: int) -> Table:
    """Return how well the nearest of those do that each way chooses to annotate."""
    drawn, voted = [], []
    for i in range(halves):
        half = pool.shuffle(seed=i).select(range(len(pool) // 2))
        some = half.select(range(annotations))  # they are shuffled
        drawn.append(told(KNN(template=TEMPLATE).fit(some)))
        voted.append(told(VoteK(annotations=annotations, template=TEMPLATE).fit(half)))
    return {"random": [np.array(drawn)], "VoteK": [np.array(voted)]}


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


def show(table: Table, *baselines: str) -> None:
    """Print the mean of each, and of its differences to the baselines, with intervals."""
    heads = ["log-probability a token", *(f"over {name}" for name in baselines)]
    print(f"{'':18}" + "".join(f"{head:>28}" for head in heads))
    for name, scores in table.items():
        cells = [scores]
        for baseline in baselines:
            cells.append([a - b for a, b in zip(scores, table[baseline], strict=True)])
        print(f"{name:18}" + "".join(f"{interval(cell):>28}" for cell in cells))


def interval(scores: list[Floats], rounds: int = 2000) -> str:
    """Return the mean of all seeds and its 95 % interval: questions, and halves, drawn again."""
    rng = np.random.default_rng(0)
    means = np.zeros(rounds)
    for one in map(np.atleast_2d, scores):
        known = one[:, np.isfinite(one).all(axis=0)]
        n, q = known.shape
        for i in range(rounds):
            halves = known[rng.integers(n, size=n)].mean(axis=0)
            means[i] += halves[rng.integers(q, size=q)].mean() / len(scores)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{np.mean([np.nanmean(one) for one in scores]):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
