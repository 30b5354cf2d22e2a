"""Which columns of a pool are prompt, response and text.

A format is found by the columns that are there. Looked for in this order, the first that
fits is taken; of columns parted by a bar, the first that is there:

    messages           messages: a list of objects with role and content
    sharegpt           conversations: a list of objects with from and value
    alpaca             instruction, [input | context], output | response
    prompt-completion  prompt | input | query, response | completion | output | target
    question-answer    question, answer
    text               text
    alpaca             instruction, [input | context]
    prompt-completion  prompt | query
    question-answer    question

The last three are examples that have no response yet. Where the order finds the wrong one,
`tamis.load(..., format=…)` or `columns={…}` says which. That is done by renaming columns,
so that what was said travels with the rows through anything: a chosen column gets the
format's own name, and a column that stood in its way is called `original_…`. What is not
said is found by its name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.errors import DataError, SettingError, did_you_mean

__all__ = [
    "ASSISTANT",
    "FORMATS",
    "USER",
    "Fields",
    "Format",
    "Turns",
    "buffers",
    "exchange",
    "fields",
    "licences",
    "lines",
    "of",
    "renamed",
    "reworded",
    "sources",
    "texts",
    "turns",
]

USER, ASSISTANT = "user", "assistant"

_SPEAKERS = {"human": USER, "gpt": ASSISTANT, "chatgpt": ASSISTANT, "bing": ASSISTANT,
             "bard": ASSISTANT, "model": ASSISTANT}  # fmt: skip
_EMPTY = pa.scalar("", pa.large_string())


@dataclass(frozen=True)
class Format:
    """Names that a format gives its columns.

    Attributes
    ----------
    name : str
    roles : tuple of (role, names)
        What a column is for, and the names it may have, the format's own one first.
    optional : frozenset of str
        Roles that may be missing.
    """

    name: str
    roles: tuple[tuple[str, tuple[str, ...]], ...]
    optional: frozenset[str] = frozenset()

    @property
    def conversational(self) -> bool:
        """Whether a row is a list of turns."""
        return self.roles[0][0] == "turns"

    def columns(self, names: Iterable[str]) -> dict[str, str] | None:
        """Return the column of each role, or None where a needed one is missing."""
        there = set(names)
        found = {}
        for role, known in self.roles:
            name = next((name for name in known if name in there), None)
            if name is not None:
                found[role] = name
            elif role not in self.optional:
                return None
        return found


_INSTRUCTION = (("prompt", ("instruction",)), ("input", ("input", "context")))
FORMATS = (
    Format("messages", (("turns", ("messages",)),)),
    Format("sharegpt", (("turns", ("conversations",)),)),
    Format("alpaca", (*_INSTRUCTION, ("response", ("output", "response"))), frozenset({"input"})),
    Format(
        "prompt-completion",
        (
            ("prompt", ("prompt", "input", "query")),
            ("response", ("response", "completion", "output", "target")),
        ),
    ),
    Format("question-answer", (("prompt", ("question",)), ("response", ("answer",)))),
    Format("text", (("text", ("text",)),)),
    Format("alpaca", _INSTRUCTION, frozenset({"input"})),
    Format("prompt-completion", (("prompt", ("prompt", "query")),)),
    Format("question-answer", (("prompt", ("question",)),)),
)
"""Formats in the order in which they are looked for."""


class Fields(NamedTuple):
    """What the rows of a batch say: three large_string arrays, '' where there is nothing."""

    prompt: pa.LargeStringArray
    response: pa.LargeStringArray
    text: pa.LargeStringArray


class Turns(NamedTuple):
    """The turns of a batch of conversations, one after the other.

    Attributes
    ----------
    offsets : int64 array of shape (n + 1,)
        The turns of row i are those from offsets[i] up to offsets[i + 1].
    roles : large_string array
        'user', 'assistant', 'system', …; other words for a user or an assistant (human,
        gpt, …) are made one.
    contents : large_string array
    """

    offsets: npt.NDArray[np.int64]
    roles: pa.LargeStringArray
    contents: pa.LargeStringArray


def of(table: pa.Table | Dataset) -> Format:
    """Return the format of a pool or of a batch of it.

    Raises
    ------
    DataError
        If no format fits; the columns that are there are named.

    Examples
    --------
    >>> of(pa.table({"question": ["1 + 1?"], "answer": ["2"]})).name
    'question-answer'
    """
    return _found(table.column_names)[0]


def fields(batch: pa.Table) -> Fields:
    """Return prompt, response and text of each row.

    Of Alpaca the prompt is the instruction, then the input on a new line if there is one. Of
    a conversation the response is the last assistant turn, the prompt all before it: a user's
    turn alone as it is, more as lines `role: content`. `text` is what a scorer reads: the
    text column, or prompt, a new line and response (either alone where the other is empty).

    Parameters
    ----------
    batch : pyarrow.Table
        Columns as in the pool. Numbers count as their text, null as ''.

    Raises
    ------
    DataError
        If no format fits the columns.

    Notes
    -----
    A large_string column without nulls is passed on without a copy.
    """
    form, columns = _found(batch.column_names)
    if form.name == "text":
        nothing = pa.repeat(_EMPTY, batch.num_rows)
        return Fields(nothing, nothing, texts(batch[columns["text"]], columns["text"]))
    prompt, response = exchange(batch)
    return Fields(prompt, response, lines(prompt, response))


def exchange(batch: pa.Table) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return prompt and response of each row, as `fields` does, of any format but text.

    Raises
    ------
    DataError
        If the pool is plain text, or no format fits.
    """
    form, columns = _found(batch.column_names)
    if form.name == "text":
        raise DataError(
            f"column '{columns['text']}' is plain text, without prompt and response; "
            "say columns={'prompt': …, 'response': …} if others have them"
        )
    if form.conversational:
        return _last_exchange(turns(batch))
    held = {role: texts(batch[name], name) for role, name in columns.items()}
    prompt = lines(held["prompt"], held["input"]) if "input" in held else held["prompt"]
    return prompt, held.get("response", pa.repeat(_EMPTY, batch.num_rows))


def turns(batch: pa.Table) -> Turns:
    """Return the turns of each row, of any format but text.

    Prompt and response are a user's and an assistant's turn; an empty one is none.

    Raises
    ------
    DataError
        If the pool is plain text, or a conversation is not a list of objects with role and
        content, or from and value.
    """
    form, columns = _found(batch.column_names)
    if not form.conversational:
        return _as_turns(*exchange(batch))
    name = columns["turns"]
    lists = _one_array(batch[name])
    said, counts = lists, np.zeros(len(lists), np.int64)
    if pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type):
        said, counts = lists.flatten(), pc.list_value_length(lists).fill_null(0).to_numpy()
    for role, content in (("role", "content"), ("from", "value")):
        if pa.types.is_struct(said.type) and {role, content} <= set(said.type.names):
            return Turns(
                np.concatenate([[0], np.cumsum(counts)]),
                reworded(texts(pc.struct_field(said, role), name), _SPEAKERS),
                texts(pc.struct_field(said, content), name),
            )
    if not len(said) or not pc.count(said).as_py():
        nothing = pa.array([], pa.large_string())
        return Turns(np.zeros(batch.num_rows + 1, np.int64), nothing, nothing)
    raise DataError(
        f"column '{name}' is {lists.type}, but {form.name} are lists of objects with role and "
        "content, or from and value; say columns={'text': …} for another column"
    )


def sources(batch: pa.Table) -> pa.LargeStringArray | None:
    """Return where each row is from: the first column of source, domain, dataset; or None."""
    for name in ("source", "domain", "dataset"):
        if name in batch.column_names and not pa.types.is_nested(batch[name].type):
            return texts(batch[name], name)
    return None


def licences(batch: pa.Table) -> pa.LargeStringArray | None:
    """Return what each row may be used for: the first column of licence, license; or None."""
    for name in ("licence", "license"):
        if name in batch.column_names and not pa.types.is_nested(batch[name].type):
            return texts(batch[name], name)
    return None


def texts(column: pa.Array | pa.ChunkedArray, name: str) -> pa.LargeStringArray:
    """Return a column of text or numbers as one large_string array, '' for null.

    Parameters
    ----------
    column : pyarrow.Array or ChunkedArray
    name : str
        What an error calls it.

    Raises
    ------
    DataError
        If the values have no text (lists, objects, bytes that are not UTF-8).
    """
    array = _one_array(column)
    try:
        array = array.cast(pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise DataError(
            f"column '{name}' is {array.type}, which is no text; say another: columns={{'text': …}}"
        ) from error
    return array.fill_null(_EMPTY) if array.null_count else array


def buffers(array: pa.LargeStringArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return the offsets and bytes of a text array, as kernels take them, without a copy.

    Text i is data[offsets[i]:offsets[i + 1]]; the first offset of a slice is not 0.

    Returns
    -------
    offsets : int64 array of shape (n + 1,)
    data : uint8 array

    Examples
    --------
    >>> offsets, data = buffers(pa.array(["to", "be", "or"], pa.large_string())[1:])
    >>> offsets.tolist(), bytes(data[offsets[0]:offsets[1]])
    ([2, 4, 6], b'be')
    """
    _, starts, data = array.buffers()
    if not len(array):
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    offsets = np.frombuffer(starts, np.int64)[array.offset : array.offset + len(array) + 1]
    return offsets, np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)


def reworded(words: pa.LargeStringArray, other: Mapping[str, str]) -> pa.LargeStringArray:
    """Put other words for some, such as 'assistant' for 'gpt'; all in small letters."""
    coded = words.dictionary_encode()
    new = [other.get(word, word) for word in map(str.lower, coded.dictionary.to_pylist())]
    return pa.array(new, pa.large_string()).take(coded.indices)


def renamed(
    names: list[str], format: str | None = None, columns: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return how to rename columns so that `of` finds the format that is asked for.

    Parameters
    ----------
    names : list of str
        The columns that are there.
    format : str, optional
        A name from the table above.
    columns : mapping of str to str, optional
        Which column is 'text', or which are 'prompt' and 'response'.

    Returns
    -------
    dict of str to str
        New names by old; columns that keep theirs are left out.

    Raises
    ------
    SettingError
        If there is no such format, or `columns` says something else.
    DataError
        If a column is missing.

    Examples
    --------
    >>> renamed(["instruction", "output", "text"], format="text")
    {'instruction': 'original_instruction'}
    >>> renamed(["q", "a", "prompt"], columns={"prompt": "q", "response": "a"})
    {'prompt': 'original_prompt', 'q': 'prompt', 'a': 'response'}
    """
    wanted = dict(columns or {})
    if columns and not (
        set(wanted) == {"text"} or {"prompt"} <= set(wanted) <= {"prompt", "response"}
    ):
        raise SettingError(
            f"columns={wanted}: give {{'text': …}}, or {{'prompt': …, 'response': …}}"
        )
    for name in wanted.values():
        if name not in names:
            raise DataError(f"no column '{name}'; {did_you_mean(name, names)}")
    if format is None and columns:
        format = "text" if "text" in wanted else "prompt-completion"
    if format is None:
        return {}
    known = [form for form in FORMATS if form.name == format]
    if not known:
        raise SettingError(
            f"no format '{format}'; {did_you_mean(format, {f.name for f in FORMATS})}"
        )
    changes = {old: f"original_{old}" for old in wanted if old in names and wanted[old] != old}
    changes |= {old: new for new, old in wanted.items() if old != new}
    return changes | _out_of_the_way(names, changes, format)


def _out_of_the_way(names: list[str], changes: dict[str, str], wanted: str) -> dict[str, str]:
    """Rename the columns that make `of` find another format than the wanted one."""
    now = {changes.get(name, name): name for name in names}
    moved: dict[str, str] = {}
    while True:
        form, columns = _found(now)
        if form.name == wanted:
            return moved
        name = next(iter(columns.values()))
        if form is FORMATS[-1] or all(f.columns(now) is None for f in FORMATS if f.name == wanted):
            raise DataError(
                f"format='{wanted}' does not fit the columns {', '.join(names)}; "
                "say columns={'text': …} or columns={'prompt': …, 'response': …}"
            )
        moved[now[name]] = f"original_{name}"
        now[f"original_{name}"] = now.pop(name)


def _found(names: Iterable[str]) -> tuple[Format, dict[str, str]]:
    there = list(names)
    for form in FORMATS:
        columns = form.columns(there)
        if columns is not None:
            return form, columns
    raise DataError(
        f"no prompt, response or text among the columns {', '.join(there)}; "
        "say columns={'text': …} or columns={'prompt': …, 'response': …}"
    )


def _last_exchange(says: Turns) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Split each conversation into its last assistant turn and what stands before it."""
    starts, ends = says.offsets[:-1], says.offsets[1:]
    answers = np.flatnonzero(pc.equal(says.roles, ASSISTANT).to_numpy(zero_copy_only=False))
    before = np.searchsorted(answers, ends) - 1
    last = np.append(answers, -1)[before]  # -1 where no assistant speaks before the row's end
    answered = last >= starts
    response = says.contents.take(pa.array(last, mask=~answered)).fill_null(_EMPTY)
    return _rendered(says, np.where(answered, last, ends)), response


def _rendered(says: Turns, ends: npt.NDArray[np.int64]) -> pa.LargeStringArray:
    """Write the turns of each row up to `ends` as text."""
    starts = says.offsets[:-1]
    counts = ends - starts
    rows = np.repeat(np.arange(len(counts)), counts)
    where = np.arange(len(rows)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    roles, contents = says.roles.take(pa.array(where)), says.contents.take(pa.array(where))
    alone = pc.and_(pa.array((counts == 1)[rows]), pc.equal(roles, USER))
    named = pc.binary_join_element_wise(roles, contents, pa.scalar(": ", pa.large_string()))
    lines = pc.if_else(alone, contents, named)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pc.binary_join(
        pa.ListArray.from_arrays(pa.array(offsets), lines), pa.scalar("\n", pa.large_string())
    )


def lines(first: pa.LargeStringArray, second: pa.LargeStringArray) -> pa.LargeStringArray:
    """Join the texts of each row by a new line, where it has both."""
    both = pc.and_(pc.not_equal(first, _EMPTY), pc.not_equal(second, _EMPTY))
    between = pc.if_else(both, pa.scalar("\n", pa.large_string()), _EMPTY)
    return pc.binary_join_element_wise(first, between, second, _EMPTY)


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _as_turns(prompt: pa.LargeStringArray, response: pa.LargeStringArray) -> Turns:
    """Put prompt and response one after the other; leave out what is empty."""
    rows = len(prompt)
    places = np.arange(2 * rows).reshape(2, rows).T.ravel()
    said = np.concatenate([pc.binary_length(prompt), pc.binary_length(response)])[places] > 0
    roles = pa.array([USER, ASSISTANT], pa.large_string()).take(
        pa.array((places >= rows)[said] * 1)
    )
    contents = pa.concat_arrays([prompt, response]).take(pa.array(places[said]))
    ends = np.cumsum(said.reshape(rows, 2).sum(axis=1))
    return Turns(np.concatenate([[0], ends]), roles, contents)
