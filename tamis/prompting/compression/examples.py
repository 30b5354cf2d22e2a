"""Prompts with answers from a file: what `tamis compress --check` reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from tamis.data.formats import fields
from tamis.data.ids import example_ids
from tamis.data.load import Source, load
from tamis.errors import DataError
from tamis.kernels.draws import uniforms

__all__ = ["Examples", "examples"]


@dataclass(frozen=True)
class Examples:
    """Prompts with answers.

    Attributes
    ----------
    prompts : list of str, or of lists of str
        A list is one prompt's documents.
    answers : list of lists of str
        Any of them is right.
    questions : list of str
        Stay whole; '' where the prompt holds its question.
    """

    prompts: list[str | Sequence[str]]
    answers: list[list[str]]
    questions: list[str]


def examples(source: Source, n: int | None = None, seed: int = 0) -> Examples:
    """Return the examples of a file.

    A row has `contexts` (texts, or objects with a `text` and perhaps a `title`), `question`
    and `answers` or `answer`; or a prompt and a response in any format that `tamis.load`
    reads.

    Parameters
    ----------
    source : as for `tamis.load`
    n : int, optional
        So many, drawn by content and seed; default all.
    seed : int
    """
    rows = load(source, progress=False)
    if n is not None and n < len(rows):
        chosen = np.sort(np.argsort(uniforms(example_ids(rows), seed), kind="stable")[:n])
        rows = rows.select(chosen)
    if "contexts" in rows.column_names:
        return _with_contexts(rows)
    held = fields(rows.with_format("arrow")[:])
    return Examples(
        [str(prompt) for prompt in held.prompt.to_pylist()],
        [[str(response)] for response in held.response.to_pylist()],
        [""] * len(rows),
    )


def _with_contexts(rows: Dataset) -> Examples:
    right = next((name for name in ("answers", "answer") if name in rows.column_names), None)
    if right is None or "question" not in rows.column_names:
        raise DataError(
            "check: rows with contexts need a question and answers; they have "
            + ", ".join(rows.column_names)
        )
    answers = [[one] if isinstance(one, str) else list(one) for one in rows[right]]
    documents = [[_words(one) for one in contexts] for contexts in rows["contexts"]]
    return Examples(list(documents), answers, list(rows["question"]))


def _words(context: str | Mapping[str, Any]) -> str:
    if isinstance(context, str):
        return context
    title = context.get("title")
    return f"{title}\n{context['text']}" if title else str(context["text"])
