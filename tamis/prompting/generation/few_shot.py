"""Few-shot answers: questions answered with solved examples before each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from tamis.data.formats import fields
from tamis.data.ids import example_ids, id_texts
from tamis.data.load import Source, load
from tamis.kernels.draws import uniforms
from tamis.models.fingerprint import seed_of
from tamis.prompting import demonstrations
from tamis.prompting.demonstrations import Retriever, Shots, Template
from tamis.prompting.generation.base import Answer, Asked, Generator
from tamis.prompting.generation.filters import damage, instance_fault
from tamis.prompting.generation.journal import Round

__all__ = ["FewShot"]


@dataclass
class _Questions:
    """The questions in the order of their turns, and what finds examples for them."""

    pool: Dataset
    ids: list[str]
    order: npt.NDArray[np.int64]
    retriever: Retriever
    shown_ids: list[str]
    done: int = 0


@dataclass(kw_only=True)
class FewShot(Generator[_Questions]):
    """Answer the questions of a pool, each after the solved examples that suit it.

    Parameters
    ----------
    lm : LanguageModel or str
    target : Dataset, or anything `tamis.load` takes
        Solved examples to show.
    retriever : str
        How they are found: 'knn', 'bm25', … (`tamis.prompting.demonstrations.names()`).
    shown : int
        Examples a question, at most.
    requests : int
        Questions a round.
    temperature, max_tokens
        Of the answers.
    chat, seed, patience
        As every generator; with `chat` the examples are turns of a conversation.

    Notes
    -----
    Answers that the pool has are not looked at. `seeds` holds the ids of the examples that
    were shown.
    """

    name: ClassVar[str] = "few-shot"
    target: Source
    retriever: str = "knn"
    shown: int = 4
    requests: int = 16
    temperature: float = 0.0
    max_tokens: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(1, "shown", "requests", "max_tokens")
        self._check(0, "temperature")

    @property
    def _template(self) -> Template:
        return Template(chat=self.chat)

    def _remember(self, pool: Dataset, rounds: Sequence[Round]) -> _Questions:
        solved = load(self.target, progress=False)
        retriever = demonstrations.get(self.retriever)(template=self._template).fit(solved)
        ids = example_ids(pool)
        _, first = np.unique(ids, return_index=True)
        order = first[np.argsort(uniforms(ids[first], self.seed), kind="stable")]
        named = (id_texts(each).to_pylist() for each in (ids, example_ids(solved)))
        questions = _Questions(pool, next(named), order, retriever, next(named))
        questions.done = sum(one.memory[0] for one in rounds)
        return questions

    def _round(self, number: int, memory: _Questions, asked: Asked) -> Round | None:
        turn = memory.order[memory.done : memory.done + self.requests]
        if not len(turn):
            return None
        one = Round(requests=asked.requests, memory=[len(turn)])
        memory.done += len(turn)
        questions = fields(memory.pool.with_format("arrow")[turn]).prompt.to_pylist()
        shots = memory.retriever.retrieve(questions, self.shown)
        asks = {
            f"{number + 1:05}.{place:02}": each.prompt(question, self._template)
            for place, (each, question) in enumerate(zip(shots, questions, strict=True))
        }
        answers = asked(
            "answer", asks, self.max_tokens, temperature=self.temperature,
            stop=None if self.chat else [self._template.stop], seed=seed_of(self.seed, number),
        )  # fmt: skip
        for answer, question, each in zip(answers, questions, shots, strict=True):
            self._judge(answer, question, each, memory, one)
        return one

    def _judge(
        self, answer: Answer, question: str, shots: Shots, known: _Questions, one: Round
    ) -> None:
        """Keep an answer, or refuse it by name."""
        output = answer.text.strip()
        row = {
            "instruction": question, "input": "", "output": output, "request": answer.request,
            "seeds": [known.shown_ids[i] for i in shots.rows.tolist()], "model": self._model,
        }  # fmt: skip
        reason = instance_fault(question, output) or damage(output)
        if not answer.whole:
            reason = "cut off" if answer.finish == "length" else "no answer"
        if reason is not None:
            one.refused.append({**row, "filter": reason, "detail": answer.finish})
        else:
            one.rows.append({**row, "source": self.name, "task": answer.request})
