"""Whether an answer is right, by the measures of Instruction Induction."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from tamis.errors import SettingError, did_you_mean

__all__ = ["METRICS", "Metric", "measure", "normalised"]

Metric = Literal["exact", "f1", "set", "contains"]
METRICS: tuple[str, ...] = get_args(Metric)

_MARKS = str.maketrans("", "", string.punctuation)


def measure(metric: str, answer: str, gold: Sequence[str], *, reference: bool = False) -> float:
    """Return how right an answer is, 0 to 1: the greatest over the right ones.

    Parameters
    ----------
    metric : str
        'exact' (all words in order), 'f1' (of words), 'set' (of words), or 'contains' (the
        gold answer stands in it, between borders of words).
    answer : str
    gold : sequence of str
        Each of them is right.
    reference : bool
        End an answer at its first full stop even in a number, as the released code does.

    Examples
    --------
    >>> measure("f1", "The cat and the dog.", ["the cat dog"]).__round__(3)
    0.857
    """
    if metric not in _BY_NAME:
        raise SettingError(f"no metric '{metric}'; {did_you_mean(metric, METRICS)}")
    said = normalised(answer, reference=reference)
    right = (normalised(one, reference=reference) for one in gold)
    return max((_BY_NAME[metric](said, one) for one in right), default=0.0)


def normalised(text: str, *, reference: bool = False) -> str:
    """Return the first sentence of the first line as lower-case words without marks.

    >>> normalised("Sentence 1: Well-known, and 3.5 m. Indeed"), normalised("3.5", reference=True)
    ('well known 35 m', '3')
    """
    for dropped in ("Sentence 1:", "Sentence 2:"):
        text = text.replace(dropped, "")
    line = text.replace(" and ", " ").strip().split("\n")[0]
    end = r"\." if reference else r"\.(?!\d)"  # a number's point ends nothing
    words = re.split(end, line)[0].lower().replace("-", " ").translate(_MARKS)
    return " ".join(words.split())


def _f1(said: str, gold: str) -> float:
    words, right = Counter(said.split()), Counter(gold.split())
    common = (words & right).total()
    if not common:
        return 0.0
    precision, recall = common / words.total(), common / right.total()
    return 2 * precision * recall / (precision + recall)


_BY_NAME: dict[str, Callable[[str, str], float]] = {
    "exact": lambda said, gold: float(said == gold),
    "f1": _f1,
    "set": lambda said, gold: float(set(said.split()) == set(gold.split())),
    "contains": lambda said, gold: float(re.search(rf"\b{re.escape(gold)}\b", said) is not None),
}
