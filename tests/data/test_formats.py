from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from tamis.data import formats
from tamis.data.formats import buffers, fields, sources, turns
from tamis.errors import DataError


def rows_of(batch):
    prompt, response, text = fields(batch)
    assert all(column.type == pa.large_string() for column in (prompt, response, text))
    assert not any(column.null_count for column in (prompt, response, text))
    return list(zip(prompt.to_pylist(), response.to_pylist(), text.to_pylist(), strict=True))


def said(*roles_and_contents, names=("role", "content")):
    return [dict(zip(names, turn, strict=True)) for turn in roles_and_contents]


def chat(*rows):
    return pa.table({"messages": list(rows)})


# Which format


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ("instruction input output", "alpaca"),
        ("instruction output text", "alpaca"),
        ("instruction context response category", "alpaca"),
        ("prompt completion", "prompt-completion"),
        ("prompt response", "prompt-completion"),
        ("input output", "prompt-completion"),
        ("input target", "prompt-completion"),
        ("query response", "prompt-completion"),
        ("prompt response messages", "messages"),
        ("conversations id", "sharegpt"),
        ("question answer choices", "question-answer"),
        ("question answer text", "question-answer"),
        ("text prompt", "text"),
        ("instruction", "alpaca"),
        ("prompt chosen rejected", "prompt-completion"),
        ("question", "question-answer"),
    ],
)
def test_a_format_is_found_by_its_columns(columns, name):
    names = columns.split()
    assert formats.of(pa.table({column: ["x"] for column in names})).name == name
    assert formats.of(Dataset.from_dict({column: ["x"] for column in names[::-1]})).name == name


def test_columns_without_text_are_named():
    with pytest.raises(DataError, match=r"among the columns q, a; say columns={'text': …} or"):
        formats.of(pa.table({"q": [1], "a": [2]}))


# What a row says


def test_a_flat_row_is_prompt_response_and_both():
    assert rows_of(pa.table({"question": ["1+1?", None], "answer": [2, 3]})) == [
        ("1+1?", "2", "1+1?\n2"),
        ("", "3", "3"),
    ]
    assert rows_of(pa.table({"prompt": ["a", ""], "completion": ["", None]})) == [
        ("a", "", "a"),
        ("", "", ""),
    ]
    assert rows_of(pa.table({"text": ["a", None], "other": [1, 2]})) == [
        ("", "", "a"),
        ("", "", ""),
    ]


def test_an_alpaca_prompt_is_the_instruction_and_then_the_input():
    batch = pa.table({
        "instruction": ["Add", "Say hi", None], "input": ["1, 2", None, "only this"],
        "output": ["3", "hi", "ok"],
    })  # fmt: skip
    assert [prompt for prompt, _, _ in rows_of(batch)] == ["Add\n1, 2", "Say hi", "only this"]


def test_a_conversation_ends_in_its_last_assistant_turn():
    batch = chat(
        said(("user", "Hi"), ("assistant", "Hello")),
        said(("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
        said(("user", "a"), ("assistant", "b"), ("user", "thanks")),
        said(("user", "no answer")),
        said(("assistant", "no question")),
        said(("system", "alone")),
        [],
        None,
        said(("user", None), ("assistant", "x")),
    )
    assert rows_of(batch) == [
        ("Hi", "Hello", "Hi\nHello"),
        ("system: S\nuser: a\nassistant: b\nuser: c", "d",
         "system: S\nuser: a\nassistant: b\nuser: c\nd"),
        ("a", "b", "a\nb"),
        ("no answer", "", "no answer"),
        ("", "no question", "no question"),
        ("system: alone", "", "system: alone"),
        ("", "", ""),
        ("", "", ""),
        ("", "x", "x"),
    ]  # fmt: skip


def test_sharegpt_is_read_like_messages():
    names = ("from", "value")
    batch = pa.table({"conversations": [said(("human", "Hi"), ("gpt", "Hello"), names=names)]})
    assert rows_of(batch) == [("Hi", "Hello", "Hi\nHello")]
    assert turns(batch).roles.to_pylist() == ["user", "assistant"]
    other = pa.table({"conversations": [said(("USER", "Hi"), ("Assistant", "Hello"))]})
    assert rows_of(other) == [("Hi", "Hello", "Hi\nHello")]


def test_a_slice_of_a_batch_says_what_its_rows_say():
    batch = chat(
        said(("user", "a"), ("assistant", "b")), None, said(("user", "c")),
        said(("user", "d"), ("assistant", "e"), ("user", "f"), ("assistant", "g")),
    )  # fmt: skip
    whole = rows_of(batch)
    for start in range(5):
        for length in range(5 - start):
            assert rows_of(batch.slice(start, length)) == whole[start : start + length]


def test_chunks_and_types_of_text_do_not_matter():
    parts = [pa.array(["a"]), pa.array([], pa.string()), pa.array(["b", None])]
    column = pa.chunked_array(parts)
    expected = [("", "", "a"), ("", "", "b"), ("", "", "")]
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        assert rows_of(pa.table({"text": column.cast(kind)})) == expected
    assert rows_of(pa.table({"text": pa.nulls(2)})) == [("", "", "")] * 2


def test_what_is_no_text_is_named():
    with pytest.raises(
        DataError, match=r"column 'text' is list<.*>, which is no text; say another"
    ):
        fields(pa.table({"text": [["a"]]}))
    with pytest.raises(DataError, match=r"column 'messages' is .*, but messages are lists of obj"):
        fields(pa.table({"messages": ["Hi"]}))
    with pytest.raises(DataError, match=r"column 'messages' is list<.*'answer'.*|.*lists of objec"):
        fields(pa.table({"messages": [[{"who": "user", "what": "Hi"}]]}))
    with pytest.raises(DataError, match="column 'text' is plain text, without prompt and respon"):
        turns(pa.table({"text": ["a"]}))


def test_the_source_of_a_row_is_a_column():
    assert sources(pa.table({"text": ["a"], "domain": ["law"], "dataset": ["x"]})).to_pylist() == [
        "law"
    ]
    assert sources(pa.table({"source": ["web", None]})).to_pylist() == ["web", ""]
    assert sources(pa.table({"text": ["a"], "source": [{"url": "x"}]})) is None


# Buffers


@given(st.lists(st.text(max_size=6)), st.data())
def test_buffers_hold_the_bytes_of_any_slice(values, data):
    array = pa.array(values, pa.large_string())
    start = data.draw(st.integers(0, len(values)))
    length = data.draw(st.integers(0, len(values) - start))
    offsets, content = buffers(array.slice(start, length))
    assert offsets.dtype == np.int64
    assert content.dtype == np.uint8
    assert len(offsets) == length + 1
    found = [bytes(content[a:b]).decode() for a, b in pairwise(offsets)]
    assert found == values[start : start + length]


def test_buffers_and_fields_copy_nothing():
    batch = pa.table({"text": pa.array(["to", "be", "or"], pa.large_string())})
    array = batch["text"].chunk(0)
    _, content = buffers(fields(batch.slice(1)).text)
    assert content.ctypes.data == array.buffers()[2].address


# Saying which columns


@pytest.mark.parametrize(
    ("names", "wanted", "changes"),
    [
        ("text", {"format": "text"}, {}),
        ("prompt response text", {"format": "text"}, {"prompt": "original_prompt"}),
        ("messages instruction output", {"format": "alpaca"}, {"messages": "original_messages"}),
        ("text body", {"columns": {"text": "body"}}, {"text": "original_text", "body": "text"}),
        ("text", {"columns": {"text": "text"}}, {}),
        ("q a", {"columns": {"prompt": "q", "response": "a"}}, {"q": "prompt", "a": "response"}),
        (
            "response prompt",
            {"columns": {"prompt": "response", "response": "prompt"}},
            {"response": "prompt", "prompt": "response"},
        ),
        ("q completion", {"columns": {"prompt": "q"}}, {"q": "prompt"}),
        ("text", {}, {}),
    ],
)  # fmt: skip
def test_columns_are_renamed_so_that_the_format_is_found(names, wanted, changes):
    names = names.split()
    assert formats.renamed(names, **wanted) == changes
    if wanted:
        form = formats.of(pa.table({changes.get(name, name): ["x"] for name in names}))
        assert form.name == wanted.get("format") or form.name in ("text", "prompt-completion")


def test_the_columns_said_are_the_ones_read():
    pool = Dataset.from_dict(
        {"q": ["question"], "a": ["answer"], "prompt": ["other"], "completion": ["third"]}
    )
    for response, expected in (({"response": "a"}, "answer"), ({}, "third")):
        changes = formats.renamed(pool.column_names, columns={"prompt": "q"} | response)
        batch = pool.rename_columns(changes).with_format("arrow")[:]
        assert rows_of(batch) == [("question", expected, f"question\n{expected}")]
