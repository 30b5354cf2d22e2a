import struct
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, disable_progress_bars
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.data import ids
from tamis.data.batches import LocalEngine, using
from tamis.data.convert import convert
from tamis.data.ids import batch_ids, example_ids, id_array, id_texts, ids_of
from tamis.data.load import load
from tamis.errors import DataError

disable_progress_bars()


def hexes(batch):
    return id_texts(batch_ids(batch)).to_pylist()


def by_hand(*turns):
    """The id as the module's page says it, one step at a time."""
    content = b""
    for role, said in turns:
        role, said = role.encode(), said.encode()
        content += struct.pack("<qq", len(role), len(said)) + role + said
    return blake2b(content, digest_size=16).hexdigest()


def test_an_id_is_the_digest_of_the_turns():
    assert hexes(pa.table({"text": ["naïve", ""]})) == [by_hand(("", "naïve")), by_hand()]
    assert hexes(pa.table({"prompt": ["a"], "response": ["b"]})) == [
        by_hand(("user", "a"), ("assistant", "b"))
    ]
    turns = [("system", "s"), ("user", "a"), ("assistant", ""), ("user", "c")]
    messages = [[{"role": role, "content": said} for role, said in turns]]
    assert hexes(pa.table({"messages": messages})) == [
        by_hand(("system", "s"), ("user", "a"), ("user", "c"))
    ]


def test_the_same_words_have_the_same_id_in_every_format():
    pool = Dataset.from_dict({
        "instruction": ["Add", "Say hi", "Say"], "input": ["1, 2", "", ""], "output": ["3", "", "a"]
    })  # fmt: skip
    expected = example_ids(pool)
    for target in ("messages", "sharegpt", "prompt-completion", "question-answer", "alpaca"):
        assert (example_ids(convert(pool, target)) == expected).all(), target


_TURNS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "system", "us"]), st.text(max_size=3)),
    max_size=4,
)


@given(st.lists(_TURNS, min_size=1, max_size=12))
def test_other_turns_have_other_ids(conversations):
    messages = [[{"role": r, "content": c} for r, c in turns] for turns in conversations]
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    found = hexes(pa.table({"messages": pa.array(messages, kind)}))
    said = [tuple(turn for turn in turns if turn[1]) for turns in conversations]
    for this, turns in zip(found, said, strict=True):
        for that, others in zip(found, said, strict=True):
            assert (this == that) == (turns == others)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"prompt": "ab", "response": "c"}, {"prompt": "a", "response": "bc"}),
        ({"prompt": "a", "response": ""}, {"prompt": "", "response": "a"}),
        ({"text": "a"}, {"prompt": "a"}),
        ({"text": "é"}, {"text": "e\u0301"}),
        ({"text": "a"}, {"text": "a "}),
    ],
)
def test_what_differs_in_a_byte_differs(one, other):
    assert hexes(pa.Table.from_pylist([one])) != hexes(pa.Table.from_pylist([other]))


def test_columns_beside_the_text_do_not_count():
    one = pa.table({"text": ["a"], "n": [1]})
    assert hexes(one) == hexes(pa.table({"n": [2], "text": [b"a".decode()]}))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=4), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_order_batches_and_threads_change_no_id(values, shuffler):
    order = list(range(len(values)))
    shuffler.shuffle(order)
    pool = Dataset.from_dict({"text": values})
    expected = example_ids(pool)
    ids._known.clear()
    with using(LocalEngine(workers=2, batch_rows=3)):
        assert (example_ids(pool.select(order)) == expected[order]).all()


def test_ids_of_a_pool_are_reckoned_once_and_few_are_remembered(monkeypatch):
    pool = load([{"text": str(n)} for n in range(10)])
    first = example_ids(pool)
    assert first.dtype == "V16"
    assert first.shape == (10,)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = first[1]
    with monkeypatch.context() as patched:
        patched.setattr(ids, "batch_ids", lambda batch: pytest.fail("reckoned again"))
        assert example_ids(pool) is first
    for n in range(10):
        example_ids(pool.select([n]))
    assert len(ids._known) == 4
    assert (example_ids(pool) == first).all()


def test_ids_of_some_rows_of_a_known_pool_are_looked_up(tmp_path, monkeypatch):
    (tmp_path / "pool.jsonl").write_text("".join(f'{{"text": "{n}"}}\n' for n in range(50)))
    pool = load(tmp_path / "pool.jsonl", progress=False)
    known = example_ids(pool)
    monkeypatch.setattr(ids, "batch_ids", lambda batch: pytest.fail("reckoned again"))
    some = [40, 3, 3, 7]
    assert (example_ids(pool.select(some)) == known[some]).all()


def test_a_pool_without_rows_has_no_ids():
    assert example_ids(Dataset.from_dict({"text": []})).shape == (0,)


def test_ids_go_to_text_and_arrow_and_back():
    known = batch_ids(pa.table({"text": [str(n) for n in range(50)]}))
    texts = id_texts(known)
    assert texts[0].as_py() == bytes(known[0]).hex()
    for form in (texts, pa.chunked_array([texts[:3], texts[3:]]), texts.dictionary_encode()):
        assert (ids_of(form) == known).all()
    assert (ids_of(texts[7:9]) == known[7:9]).all()
    assert (id_texts(known[::2]).to_pylist()) == texts.to_pylist()[::2]
    assert id_array(known[::2]).to_pylist() == [bytes(one) for one in known[::2]]
    assert id_array(known).type == pa.binary(16)
    assert len(ids_of(id_texts(np.empty(0, "V16")))) == 0


@pytest.mark.parametrize("wrong", ["", "1a2b", "g" * 32, "é" * 16])
def test_what_is_no_id_is_named(wrong):
    right = id_texts(batch_ids(pa.table({"text": ["a"]})))[0].as_py()
    with pytest.raises(DataError, match=f"'{wrong}' is no example id; ids have 32 hex"):
        ids_of(pa.array([right, wrong, right]))


def test_few_rows_and_many_have_the_same_ids():
    texts = [str(n) * (n % 90) for n in range(1500)]
    few = [batch_ids(pa.table({"text": texts[n : n + 100]})) for n in range(0, 1500, 100)]
    assert batch_ids(pa.table({"text": texts})).tolist() == np.concatenate(few).tolist()
