"""What the bundled token classifier learns: which words of a text good compressions keep.

Two teachers. The language model's: a word's label is the share of all rates at which
LLMLingua, with the bundled model, keeps it (as it does in tamis: a number by the sum of its
tokens' surprise). And what is extracted in the data itself: answers
that stand in their passage (P3's open sets), numbers that a worked solution computes with
(GSM8K), words that a meeting's summary takes from it (QMSum, aligned as LLMLingua-2 aligns
GPT-4's compressions). Natural Questions is left out: the benchmark asks it.

    VR = share of C's words not in O         HR = |C's words in O| / |O|
    MR = share of O's words labelled         AG = HR - MR

for compressed words C and original words O (Pan et al., arXiv 2403.12968). What has the
worst tenth by VR goes, then the worst tenth by AG.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tamis.prompting.compression.ranking import unit_scores
from tamis.prompting.compression.surprise import Meter
from tamis.prompting.compression.units import between_characters, edges_of, with_digits
from training import data

__all__ = ["Alignment", "Extract", "Labelled", "aligned", "extracts", "faithful", "labelled"]

EXTRACTED = {"adversarial_qa_dbert", "adversarial_qa_dbidaf", "adversarial_qa_droberta",
             "duorc_ParaphraseRC", "duorc_SelfRC", "quoref", "ropes"}  # fmt: skip
ANSWER = 8.0
"""How much a token of an answer counts beside one that the language model alone judges."""

_WORD = re.compile(r"\w+|[^\w\s]")
_COMPUTED = re.compile(r"<<([^>]*)>>")
_NUMBER = re.compile(r"\d[\d,.]*")
_PASSAGE = 600  # characters
_SHARES = {"answered": 0.6, "texts": 0.15, "computed": 0.15, "summarised": 0.1}

Floats = npt.NDArray[np.float32]


class Alignment(NamedTuple):
    """Which words of an original a compression took, and how well it can be told."""

    labels: list[bool]
    variation_rate: float
    hitting_rate: float
    matching_rate: float

    @property
    def alignment_gap(self) -> float:
        """Words that were found somewhere, less those that were found in their order."""
        return self.hitting_rate - self.matching_rate


class Extract(NamedTuple):
    """A text, and the spans of it that were wanted."""

    text: str
    wanted: list[tuple[int, int]]


class Labelled(NamedTuple):
    """A text's tokens, after <s>: the share of rates at which each is kept, and its weight."""

    ids: npt.NDArray[np.int64]
    keep: Floats
    weights: Floats


def aligned(original: Sequence[str], compressed: Sequence[str], window: int = 400) -> Alignment:
    """Label the words that a compression kept, as LLMLingua-2 does.

    Each compressed word is looked for outwards from the last match, forwards before
    backwards, up to `window` words away, among the words without a label. After a match
    farther ahead than half the window, the search goes on from half a window.

    Parameters
    ----------
    original, compressed : sequence of str
        Compared without case; the paper's lemmas would need a parser.
    window : int

    Examples
    --------
    >>> found = aligned("the cat sat on the mat".split(), "cat sat mat".split())
    >>> [int(label) for label in found.labels], found.hitting_rate, found.alignment_gap
    ([0, 1, 1, 0, 0, 1], 0.5, 0.0)
    """
    words, wanted = [word.lower() for word in original], [word.lower() for word in compressed]
    labels, last = [False] * len(words), 0
    for word in wanted:
        for away in range(window):
            ahead, behind = last + away, last - away
            if ahead < len(words) and words[ahead] == word and not labels[ahead]:
                labels[ahead] = True
                last = ahead if away <= window // 2 else last + window // 2
                break
            if behind >= 0 and words[behind] == word and not labels[behind]:
                labels[behind] = True
                last = behind
                break
    known = set(words)
    hits = sum(word in known for word in wanted)
    n = max(1, len(words))
    missed = 1 - hits / len(wanted) if wanted else 0.0
    return Alignment(labels, missed, hits / n, sum(labels) / n)


def faithful(found: Sequence[Alignment], share: float = 0.1) -> list[int]:
    """Return which to keep: without the worst by variation, then by alignment gap.

    >>> worse = Alignment([], 0.9, 0.1, 0.1)
    >>> faithful([Alignment([], 0.0, 0.5, 0.5)] * 9 + [worse], share=0.1)
    [0, 1, 2, 3, 4, 5, 6, 7, 8]
    """
    kept = list(range(len(found)))
    for rate in (lambda i: found[i].variation_rate, lambda i: found[i].alignment_gap):
        best = sorted(kept, key=rate)[: len(kept) - int(len(kept) * share)]
        kept = sorted(best)
    return kept


def extracts(folder: Path, n: int, *, held_out: bool = False) -> list[Extract]:
    """Return about `n` texts, and what was wanted of them, of all sources mixed."""
    draw = random.Random(0)
    sources = {"answered": _answered, "texts": _texts, "computed": _computed}
    drawn: list[Extract] = []
    for name, source in (sources | {"summarised": _summarised}).items():
        found = list(source(folder, held_out))
        drawn += draw.sample(found, min(len(found), int(n * _SHARES[name])))
    return draw.sample(drawn, len(drawn))


def labelled(extracts: Sequence[Extract], lm: Any) -> list[Labelled]:  # noqa: ANN401
    """Return the texts with their labels; `lm` judges where nobody extracted."""
    read = Meter(lambda: lm).read([extract.text for extract in extracts])
    return [
        _labels(extract, said.spans, said.losses, lm.tokenizer)
        for extract, said in zip(extracts, read, strict=True)
    ]


def shares(
    losses: npt.NDArray[np.float64], words: npt.NDArray[np.int64], numbers: npt.NDArray[np.bool_]
) -> Floats:
    """Return the share of rates at which each token's word is kept.

    Words are kept in the order of what they are worth to LLMLingua; ties are kept together.

    >>> losses, words = np.array([1.0, 5.0, 3.0, 9.0]), np.array([0, 1, 1, 2])
    >>> shares(losses, words, np.array([False, False, False])).tolist()
    [0.125, 0.5, 0.5, 0.875]
    """
    known = np.nan_to_num(losses, nan=np.nanmax(losses))
    _, level = np.unique(unit_scores(known, words, numbers), return_inverse=True)
    counts = np.bincount(words, minlength=len(numbers))
    tokens = np.bincount(level, counts)
    middle = (np.cumsum(tokens) - tokens / 2) / counts.sum()
    kept: Floats = middle[level][words].astype(np.float32)
    return kept


def _labels(
    extract: Extract,
    spans: npt.NDArray[np.int64],
    losses: npt.NDArray[np.float64],
    tokenizer: Any,  # noqa: ANN401
) -> Labelled:
    edges = between_characters(extract.text, edges_of(extract.text, spans, "word"))
    words = np.searchsorted(edges, spans[:, 1])
    keep = shares(losses, words, with_digits(extract.text, edges))
    weights = np.ones(len(keep), np.float32)
    for start, end in extract.wanted:
        own = (spans[:, 1] > start) & (spans[:, 0] < end)
        keep[own], weights[own] = 1.0, ANSWER
    return Labelled(np.array(tokenizer(extract.text)["input_ids"], np.int64), keep, weights)


def _texts(folder: Path, held_out: bool) -> Iterator[Extract]:
    """Yield passages and prompts in which nothing is marked."""
    draw = random.Random(0)
    texts = [one.text for one in data.documents(folder, held_out=held_out)]
    texts += [one.prompt for one in data.examples(folder, held_out=held_out)]
    for text in texts:
        start = draw.randrange(max(1, len(text) - _PASSAGE))
        if piece := text[start : start + _PASSAGE].strip():
            yield Extract(piece, [])


def _answered(folder: Path, held_out: bool) -> Iterator[Extract]:
    """Yield passages in which an answer stands."""
    draw = random.Random(1)
    for row in data.rows(folder, "p3_pool"):
        text, answer = row["input"].strip(), row["output"].strip()
        if row["dataset"] not in EXTRACTED or data.is_held_out(row["input"]) is not held_out:
            continue
        found = [at.span() for at in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text)]
        if not found or len(answer) > 120:
            continue
        middle = draw.choice(found)[0]
        start = max(0, middle - draw.randrange(_PASSAGE))
        start = text.rfind(" ", 0, start + 1) + 1
        piece = text[start : start + _PASSAGE].rstrip()
        held = [(a - start, b - start) for a, b in found if a >= start and b - start <= len(piece)]
        yield Extract(piece, held)


def _computed(folder: Path, held_out: bool) -> Iterator[Extract]:
    """Yield problems with worked answers; wanted are the numbers that are computed with."""
    for row in data.rows(folder, "gsm8k"):
        if data.is_held_out(row["question"]) is not held_out:
            continue
        used = {
            number.rstrip(".,")
            for part in _COMPUTED.findall(row["answer"])
            for number in _NUMBER.findall(part)
        }
        worked = _COMPUTED.sub("", row["answer"]).replace("####", "The answer is")
        text = f"Question: {row['question']}\n{worked}"
        found = [at.span() for at in _NUMBER.finditer(text) if at.group().rstrip(".,") in used]
        yield Extract(text, found)


def _summarised(folder: Path, held_out: bool) -> Iterator[Extract]:
    """Yield turns of meetings; wanted are the words that their summaries take up."""
    turns = {row["id"]: row["turns"] for row in data.rows(folder, "qa_qmsum_meetings")}
    texts: list[str] = []
    found: list[Alignment] = []
    for row in data.rows(folder, "qa_qmsum_queries"):
        if data.is_held_out(row["meeting_id"]) is not held_out:
            continue
        said = [
            f"{turn['speaker']}: {turn['text']}"
            for first, last in row["gold_turns"]
            for turn in turns[row["meeting_id"]][first : last + 1]
        ]
        text = re.sub(r"\{\w+\}\s*", "", "\n".join(said))
        if 200 <= len(text) <= 6000:
            texts.append(text)
            found.append(aligned(_words(text), _words(row["answers"][0])))
    for i in faithful(found):
        spans = [at.span() for at in _WORD.finditer(texts[i])]
        taken = [
            span
            for span, label in zip(spans, found[i].labels, strict=True)
            if label and span[1] - span[0] > 3  # what is short stands everywhere
        ]
        for start in range(0, len(texts[i]), 2 * _PASSAGE):
            piece = texts[i][start : start + 2 * _PASSAGE]
            held = [
                (a - start, b - start) for a, b in taken if start <= a and b - start <= len(piece)
            ]
            if piece.strip():
                yield Extract(piece, held)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)
