"""Rows of one format, written in another."""

import pytest
from datasets import Dataset

from tamis.data.convert import convert
from tamis.errors import DataError, SettingError


def said(*roles_and_contents, names=("role", "content")):
    return [dict(zip(names, turn, strict=True)) for turn in roles_and_contents]


@pytest.mark.parametrize("target", ["messages", "sharegpt", "prompt-completion", "question-answer"])
def test_a_single_exchange_goes_there_and_back(target):
    pool = Dataset.from_dict({
        "instruction": ["Add", "Say hi", "Say no"], "input": ["1, 2", "", ""],
        "output": ["3", "hi", ""], "tamis_id": ["x", "y", "z"], "other": [1, 2, 3],
    })  # fmt: skip
    back = convert(convert(pool, target), "alpaca")
    assert back.to_list() == [
        {"instruction": "Add\n1, 2", "input": "", "output": "3", "tamis_id": "x"},
        {"instruction": "Say hi", "input": "", "output": "hi", "tamis_id": "y"},
        {"instruction": "Say no", "input": "", "output": "", "tamis_id": "z"},
    ]
    assert convert(pool, "alpaca")[0]["input"] == "1, 2"
    assert convert(pool, "messages")[2]["messages"] == said(("user", "Say no"))
    assert convert(pool, target).with_format("arrow")[:].num_rows == 3


def test_a_conversation_keeps_its_turns():
    row = said(("system", "S"), ("user", "a"), ("assistant", "b"), ("tool", "c"))
    pool = Dataset.from_list([{"messages": row}, {"messages": []}])
    shared = convert(pool, "sharegpt")
    assert shared[0]["conversations"] == said(
        ("system", "S"), ("human", "a"), ("gpt", "b"), ("tool", "c"), names=("from", "value")
    )
    assert convert(shared, "messages").to_list() == pool.to_list()
    assert convert(pool, "text")[0] == {"text": "system: S\nuser: a\nb"}


def test_what_cannot_be_written_is_refused():
    pool = Dataset.from_dict({"text": ["a"]})
    with pytest.raises(SettingError, match=r"no format 'alpca'; did you mean 'alpaca'\?"):
        convert(pool, "alpca")
    with pytest.raises(DataError, match="column 'text' is plain text"):
        convert(pool, "messages")
    assert convert(pool.select([]), "text").column_names == ["text"]
