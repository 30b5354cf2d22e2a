"""TeGit: from texts that people wrote, tasks whose answers stand in them.

A model reads a passage and writes a task, its input and its output together, or says that
nothing worth asking stands there. What it wrote is then held to the passage: an output that
is not supported by it, or a task that only one who sees the passage can read, is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data.formats import fields
from tamis.data.ids import example_ids, id_texts
from tamis.kernels.draws import uniforms
from tamis.models.fingerprint import seed_of
from tamis.prompting.generation.base import Answer, Asked, Generator
from tamis.prompting.generation.filters import damage, instance_fault
from tamis.prompting.generation.grounding import grounding, passages
from tamis.prompting.generation.journal import Round
from tamis.prompting.generation.novelty import rouge_l
from tamis.prompting.generation.parsing import cleaned, labels_of
from tamis.prompting.generation.templates import template

__all__ = ["TeGit"]

_LABELS = ("Task", "Instruction", "Input", "Output")
_NOTHING = {"", "none", "none.", "n/a", "no input", "<noinput>"}
_LEANS = re.compile(
    r"\b(the|this|that|above|given|provided|following)\s+"
    r"(text|passage|article|document|paragraph|excerpt|context|author|story|section)\b"
    r"|\baccording to (it|the above)\b|\b(mentioned|described|stated) (above|here)\b",
    re.I,
)
_COPY = 0.9


@dataclass
class _Documents:
    """The documents in the order of their turns, a draw for each, and the tasks so far."""

    pool: Dataset
    ids: list[str]
    order: npt.NDArray[np.int64]
    draws: npt.NDArray[np.float64]
    done: int = 0
    tasks: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class _Passage:
    """A part of a document that a model is to read."""

    document: str
    start: int
    text: str


@dataclass(kw_only=True)
class TeGit(Generator[_Documents]):
    """Make tasks whose outputs are grounded in documents.

    Parameters
    ----------
    lm : LanguageModel or str
        The paper tunes one for this; any will do that writes what is asked.
    domain : str
        Which prompt: 'general' or 'technical', each with worked examples that a model goes on
        with, or 'plain', which asks a chat model in a sentence (give `chat=True`).
    passage_words : int
        Words of a document that are read, at most; of a longer one a passage is drawn.
    grounding : float
        The least share of the words of each sentence of an output that the passage must
        have (see `tamis.prompting.generation.grounding`).
    requests : int
        Documents a round.
    temperature, max_tokens
        Of the tasks.
    chat, seed, patience
        As every generator: ask by a user's message; of the draws; rounds in a row without a
        new task after which to end.

    Notes
    -----
    A document has one turn; which come first is drawn by their content. Rows have
    `grounding`; `seeds` holds the document's id, and `passage` where in it the passage
    starts and ends, in characters. A passage is shown on one line, so that nothing in it can
    pass for a label of the prompt.

    The paper's prompts and its tuned generator are not released with it; the chain is its
    description's, and the least grounding our own choice: outputs that quote and rephrase
    pass, those to another text do not.

    References
    ----------
    Chen et al., arXiv 2309.05447.
    """

    name: ClassVar[str] = "tegit"
    columns: ClassVar[dict[str, pa.DataType]] = {
        "grounding": pa.float64(),
        "passage": pa.list_(pa.int64()),
    }
    domain: Literal["general", "technical", "plain"] = "general"
    passage_words: int = 200
    grounding: float = 0.6
    requests: int = 16
    temperature: float = 0.7
    max_tokens: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(1, "passage_words", "requests", "max_tokens")
        self._check(0, "grounding", "temperature")

    def _remember(self, pool: Dataset, rounds: Sequence[Round]) -> _Documents:
        ids = example_ids(pool)
        _, first = np.unique(ids, return_index=True)  # a document that stands twice has one turn
        order = first[np.argsort(uniforms(ids[first], self.seed), kind="stable")]
        known = _Documents(pool, id_texts(ids).to_pylist(), order, uniforms(ids, self.seed + 1))
        for one in rounds:
            known.done += one.memory[0]
            known.tasks |= {(row["instruction"], row["input"]) for row in one.rows}
        return known

    def _round(self, number: int, memory: _Documents, asked: Asked) -> Round | None:
        turn = memory.order[memory.done : memory.done + self.requests]
        if not len(turn):
            return None
        one = Round(requests=asked.requests, memory=[len(turn)])
        memory.done += len(turn)
        read = {
            f"{number + 1:05}.{place:02}": passage
            for place, passage in enumerate(self._passages(memory, turn))
        }
        prompt = template(f"tegit-{self.domain}")
        asks = {
            name: prompt.format(document=" ".join(passage.text.split()))
            for name, passage in read.items()
        }
        answers = asked(
            "task", asks, self.max_tokens, temperature=self.temperature, stop=["\nText:"],
            seed=seed_of(self.seed, number),
        )  # fmt: skip
        for answer in answers:
            self._judge(answer, read[answer.request], memory, one)
        return one

    def _passages(self, known: _Documents, turn: npt.NDArray[np.int64]) -> list[_Passage]:
        """Return a passage of each document: of several, one drawn with the document."""
        texts = fields(known.pool.with_format("arrow")[turn]).text.to_pylist()
        found = []
        for row, text in zip(turn.tolist(), texts, strict=True):
            parts = passages(text, self.passage_words) or [(0, 0)]
            start, end = parts[int(known.draws[row] * len(parts))]
            found.append(_Passage(known.ids[row], start, cleaned(text[start:end])))
        return found

    def _judge(self, answer: Answer, read: _Passage, known: _Documents, one: Round) -> None:
        """Keep what a model wrote about a passage, or refuse it by name."""
        said = labels_of(f"Task:\n{answer.text}", _LABELS)
        first, instruction, given, output = (said.get(label, "") for label in _LABELS)
        task = " ".join((first or instruction).split())
        given = "" if given.lower() in _NOTHING else given
        row: dict[str, Any] = {
            "instruction": task, "input": given, "output": output, "request": answer.request,
            "seeds": [read.document], "model": self._model,
        }  # fmt: skip
        support = grounding(output, read.text)
        reason = self._fault(answer, task, given, output, read.text, support)
        if reason is None and (task, given) in known.tasks:
            reason = "the same task before"
        if reason is not None:
            detail = f"grounding {support:.3f}" if reason == "not grounded" else answer.finish
            one.refused.append({**row, "filter": reason, "detail": detail})
            return
        known.tasks.add((task, given))
        where = {"grounding": support, "passage": [read.start, read.start + len(read.text)]}
        one.rows.append({**row, "source": self.name, "task": answer.request, **where})

    def _fault(
        self, answer: Answer, task: str, given: str, output: str, text: str, support: float
    ) -> str | None:
        """Return which filter refuses a task, or None."""
        if not answer.whole:
            return "cut off" if answer.finish == "length" else "no answer"
        if task.lower() in _NOTHING:
            return "nothing worth asking"
        if not output:
            return "off format"
        if fault := instance_fault(given or task, output):
            return fault
        if fault := damage(task) or damage(given) or damage(output):
            return fault
        if not given and _LEANS.search(task):
            return "leans on the hidden text"
        if rouge_l(output, text) >= _COPY:
            return "copies the text"
        return None if support >= self.grounding else "not grounded"
