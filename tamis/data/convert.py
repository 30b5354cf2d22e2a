"""Rows of one format, written in another."""

from collections.abc import Callable, Mapping

import pyarrow as pa
from datasets import Dataset

from tamis.data.formats import ASSISTANT, USER, exchange, fields, of, reworded, texts, turns
from tamis.errors import SettingError, did_you_mean

__all__ = ["convert"]


def convert(dataset: Dataset, format: str) -> Dataset:
    """Write the rows of a data set in another format.

    Columns that begin with `tamis_` are kept, the others left out. Where a conversation of
    several turns becomes a prompt and a response, they are as in `fields`; a prompt and a
    response become a user's and an assistant's turn.

    Parameters
    ----------
    dataset : Dataset
    format : str
        'alpaca', 'messages', 'sharegpt', 'prompt-completion', 'question-answer' or 'text'.

    Raises
    ------
    SettingError
        If there is no such format.
    DataError
        If the rows are plain text, and another format is asked for.

    Examples
    --------
    >>> pool = Dataset.from_dict({"prompt": ["1 + 1?"], "completion": ["2"]})
    >>> convert(pool, "sharegpt")[0]
    {'conversations': [{'from': 'human', 'value': '1 + 1?'}, {'from': 'gpt', 'value': '2'}]}
    """
    if format not in _WRITTEN:
        raise SettingError(f"no format '{format}'; {did_you_mean(format, _WRITTEN)}")
    rows = dataset.with_format("arrow")
    if not len(rows):
        return Dataset(_converted(rows[:], format))
    return rows.map(
        _converted,
        fn_kwargs={"format": format},
        batched=True,
        remove_columns=rows.column_names,
        desc=f"to {format}",
    ).with_format(None)


def _converted(batch: pa.Table, format: str) -> pa.Table:
    kept = [name for name in batch.column_names if name.startswith("tamis_")]
    columns = {name: batch[name] for name in kept}
    return pa.table(_WRITTEN[format](batch) | columns)


def _as_text(batch: pa.Table) -> dict[str, pa.Array]:
    return {"text": fields(batch).text}


def _as_alpaca(batch: pa.Table) -> dict[str, pa.Array]:
    prompt, response = exchange(batch)
    given = pa.repeat(pa.scalar("", pa.large_string()), batch.num_rows)
    form = of(batch)
    columns = form.columns(batch.column_names) or {}
    if form.name == "alpaca" and "input" in columns:
        prompt = texts(batch[columns["prompt"]], columns["prompt"])
        given = texts(batch[columns["input"]], columns["input"])
    return {"instruction": prompt, "input": given, "output": response}


def _as_pair(prompt: str, response: str) -> Callable[[pa.Table], dict[str, pa.Array]]:
    return lambda batch: dict(zip((prompt, response), exchange(batch), strict=True))


def _as_conversation(
    column: str, role: str, content: str, words: Mapping[str, str]
) -> Callable[[pa.Table], dict[str, pa.Array]]:
    def written(batch: pa.Table) -> dict[str, pa.Array]:
        offsets, roles, contents = turns(batch)
        roles = reworded(roles, words)
        said = pa.StructArray.from_arrays([roles, contents], [role, content])
        return {column: pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), said)}

    return written


_WRITTEN: dict[str, Callable[[pa.Table], dict[str, pa.Array]]] = {
    "alpaca": _as_alpaca,
    "messages": _as_conversation("messages", "role", "content", {}),
    "prompt-completion": _as_pair("prompt", "completion"),
    "question-answer": _as_pair("question", "answer"),
    "sharegpt": _as_conversation(
        "conversations", "from", "value", {USER: "human", ASSISTANT: "gpt"}
    ),
    "text": _as_text,
}
