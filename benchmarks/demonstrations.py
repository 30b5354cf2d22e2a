"""Do retrieved demonstrations help? Log-probability of the gold answer on held-out tasks.

Tasks are parted in two. UDR learns from the bundled model's feedback on one part alone; on the
other every method finds demonstrations for the same questions in the same pool, and the model
says how likely the gold answer is after them, a token. Intervals are 95 %, by bootstrap of
questions; 'over random' is of pairs, question by question. VoteK and a random draw choose as
many examples to annotate, and their nearest are shown.

    python -m benchmarks demonstrations        # with --pool FILE of prompts by task
"""

import argparse
import os

import numpy as np
import numpy.typing as npt
from datasets import Dataset

import tamis
from tamis.data import formats
from tamis.prompting.demonstrations import KNN, UDR, Random, Retriever, Template, VoteK
from tamis.prompting.demonstrations.feedback import log_likelihoods

TEMPLATE = Template(example="Input: {prompt}\nOutput: {response}")
Floats = npt.NDArray[np.float64]


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
    parser.add_argument("--annotations", type=int, default=100)
    parser.add_argument("--draws", type=int, default=5, help="random choices of annotations")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ.setdefault("TAMIS_HOME", ".benchmarks/home")
    lm = tamis.models.load(arguments.model)
    pool = short(tamis.load(arguments.pool, progress=False), arguments.characters)
    known, asked, held = parts(pool, arguments.task, arguments.questions, arguments.seed)
    print(
        f"{len(known):,} examples of {tasks(known, arguments.task)} tasks to learn from; "
        f"{len(asked)} questions and {len(held):,} examples of "
        f"{tasks(held, arguments.task)} other tasks"
    )
    learnt = UDR(
        lm=lm, training=arguments.training, mined=arguments.mined, rounds=arguments.rounds,
        task=arguments.task, template=TEMPLATE, seed=arguments.seed,
    ).fit(known)  # fmt: skip
    learnt.save(".benchmarks/udr.npz")

    def told(retriever: Retriever, examples: Dataset = held) -> Floats:
        prompts = retriever.fit(examples).prompts(asked, arguments.shots, max_tokens=900)
        return log_likelihoods(lm, prompts, answers(asked), TEMPLATE, mean=True)

    found = {
        "no demonstrations": log_likelihoods(
            lm, [TEMPLATE.render([], text) for text in questions(asked)],
            answers(asked), TEMPLATE, mean=True,
        ),
        "random": np.mean(
            [told(Random(seed=i, template=TEMPLATE)) for i in range(arguments.draws)], axis=0
        ),
        "KNN": told(KNN(template=TEMPLATE)),
        "UDR": told(UDR(maps=".benchmarks/udr.npz", template=TEMPLATE)),
    }  # fmt: skip
    show(found, "random")
    n = arguments.annotations
    drawn = [held.shuffle(seed=i).select(range(n)) for i in range(arguments.draws)]
    print(f"\nthe nearest of {n} annotated examples")
    show(
        {
            "random": np.mean([told(KNN(template=TEMPLATE), some) for some in drawn], axis=0),
            "VoteK": told(VoteK(annotations=n, template=TEMPLATE)),
        },
        "random",
    )


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


def show(found: dict[str, Floats], baseline: str) -> None:
    """Print the mean of each, and of its difference to the baseline, with intervals."""
    print(f"{'':18} {'log-probability a token':>32} {'over ' + baseline:>32}")
    for name, scores in found.items():
        print(f"{name:18} {interval(scores):>32} {interval(scores - found[baseline]):>32}")


def interval(scores: Floats, rounds: int = 2000) -> str:
    """Return the mean and its 95 % interval, by bootstrap."""
    known = scores[~np.isnan(scores)]
    rng = np.random.default_rng(0)
    means = [known[rng.integers(len(known), size=len(known))].mean() for _ in range(rounds)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{known.mean():.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
