import gzip
import json
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.data import jsonl, streams
from tamis.data.files import home
from tamis.data.load import begun, load, rejected
from tamis.data.streams import Cut, Lines, blocks, line_chunks
from tamis.errors import DataError, SettingError

load_module = sys.modules["tamis.data.load"]

GOOD = b'{"text": "to be"}\n'


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def aside(pool):
    return [(row["line"], row["reason"]) for row in rejected(pool)]


def texts(pool):
    return list(pool["text"])


# What is read


def test_reads_every_kind_of_file(tmp_path):
    rows = [{"text": "to be", "n": 1}, {"text": "or not", "n": 2}]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    table = pa.Table.from_pylist(rows)
    written(tmp_path / "a.jsonl", lines)
    written(tmp_path / "a.ndjson", lines)
    written(tmp_path / "a.jsonl.gz", gzip.compress(lines))
    written(tmp_path / "a.jsonl.zst", zstandard.compress(lines))
    written(tmp_path / "lines.json", lines)
    written(tmp_path / "array.json", json.dumps(rows).encode())
    written(tmp_path / "indented.json", json.dumps(rows, indent=2).encode())
    written(tmp_path / "objects.json", b"".join(json.dumps(r, indent=1).encode() for r in rows))
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.ipc.new_file(tmp_path / "file.arrow", table.schema) as sink:
        sink.write_table(table)
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as sink:
        sink.write_table(table)
    for packed in ("a.parquet", "file.arrow"):
        content = (tmp_path / packed).read_bytes()
        written(tmp_path / f"{packed}.gz", gzip.compress(content))
        written(tmp_path / f"{packed}.zst", zstandard.compress(content))

    for path in sorted(tmp_path.glob("*.*")):
        assert load(path).to_list() == rows, path
        assert len(rejected(load(path))) == 0, path


def test_reads_rows_in_memory():
    rows = [{"text": "to be", "n": 1}, {"text": "or not", "n": None}]
    table = pa.Table.from_pylist(rows)
    assert load(rows).to_list() == rows
    assert load(table).to_list() == rows
    assert load(table[1:]).to_list() == rows[1:]
    assert load(pd.DataFrame({"text": ["a", None]}, index=[7, 9])).to_list() == [
        {"text": "a"},
        {"text": None},
    ]
    assert load(pd.DataFrame({"text": ["a", 1]})).to_list() == [{"text": "a"}, {"text": "1"}]


def test_a_dataset_comes_back_as_it_is():
    pool = Dataset.from_dict({"text": ["a"]})
    assert load(pool) is pool


def test_a_csv_file_is_text(tmp_path):
    content = 'text,n\r\n"a, ""b""\r\nc",007\r\n\r\n,1.50\r\n'
    pool = load(written(tmp_path / "a.csv", content.encode()))
    assert pool.to_list() == [{"text": 'a, "b"\r\nc', "n": "007"}, {"text": "", "n": "1.50"}]


def test_a_folder_and_a_glob_are_read_in_the_order_of_names(tmp_path):
    written(tmp_path / "data/b.jsonl", b'{"text": "b"}\n')
    written(tmp_path / "data/deep/a.csv", b"text\nc\n")
    written(tmp_path / "data/a.jsonl.gz", gzip.compress(b'{"text": "a"}\n'))
    written(tmp_path / "data/notes.txt", b"no data")
    written(tmp_path / "data/.hidden.jsonl", b'{"text": "hidden"}\n')
    assert texts(load(tmp_path / "data")) == ["a", "b", "c"]
    assert texts(load(str(tmp_path / "data/*.jsonl*"))) == ["a", "b"]
    assert texts(load(str(tmp_path / "**/*.csv"))) == ["c"]


def test_a_name_with_a_star_in_it_is_a_file(tmp_path):
    assert texts(load(written(tmp_path / "a[1].jsonl", GOOD))) == ["to be"]


def test_text_is_what_the_bytes_say(tmp_path):
    text = "caf\u00e9 e\u0301 \u2028\u2029\x85 \U0001f600 \x00 end"
    lines = b"\xef\xbb\xbf" + json.dumps({"text": text}, ensure_ascii=False).encode() + b"\r\n\r\n"
    lines += json.dumps({"text": text}).encode()
    assert texts(load(written(tmp_path / "a.jsonl", lines))) == [text, text]


def test_text_that_looks_like_a_date_stays_text(tmp_path):
    lines = b'{"text": "2020-01-01", "more": ["2020-01-01"]}\n' * 200
    lines += b'{"text": "2020-01-01", "late": "2020-01-01"}\n'
    pool = load(written(tmp_path / "a.jsonl", lines))
    assert pool[200] == {"text": "2020-01-01", "more": None, "late": "2020-01-01"}


def test_a_row_of_50_megabytes_is_a_row(tmp_path):
    long = "0123456789" * 5_000_000
    lines = GOOD + json.dumps({"text": long}).encode() + b"\n" + GOOD
    pool = load(written(tmp_path / "a.jsonl", lines))
    assert [len(text) for text in pool["text"]] == [5, 50_000_000, 5]
    assert pool[1]["text"] == long


# One type a column, whatever rows disagree on


def test_a_column_of_mixed_plain_values_is_text_as_written(tmp_path):
    lines = b'{"text": 1.50}\n{"text": "x"}\n{"text": true}\n{"text": 007e1}\n{"text": 12}\n'
    pool = load(written(tmp_path / "a.jsonl", lines))
    assert texts(pool) == ["1.50", "x", "true", "12"]
    assert [line for line, _ in aside(pool)] == [4]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5"], [1.0, 2.5]),
        (["1", "null"], [1, None]),
        (["NaN", "0.5"], [None, 0.5]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["12345678901234567890"], ["12345678901234567890"]),
        (["[1]", "[0.5]", "[]"], [[1.0], [0.5], []]),
        (['{"a": 1}', '{"b": []}', "{}"], [{"a": 1, "b": None}, {"a": None, "b": []},
                                           {"a": None, "b": None}]),
        (["{}", "null"], [None, None]),
        (["[null, null]", "[]"], [[None, None], []]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [0, 150])
def test_types_are_joined_wherever_they_meet(tmp_path, values, expected, before):
    # After 150 rows of the first value, the others come as a surprise.
    lines = [*values[:1] * before, *values]
    content = "".join(f'{{"text": "x", "v": {value}}}\n' for value in lines)
    pool = load(written(tmp_path / "a.jsonl", content.encode()))
    assert pool["v"][before:] == expected


def test_most_values_say_what_a_column_is_in_any_order(tmp_path):
    lines = [b'{"text": {"a": 1}}\n', b'{"text": "x"}\n', b'{"text": "y"}\n', b'{"text": [2]}\n']
    for number, order in enumerate(permutations(lines)):
        pool = load(written(tmp_path / f"{number}.jsonl", b"".join(order)))
        assert sorted(texts(pool)) == ["x", "y"]
        assert sorted(reason for _, reason in aside(pool)) == [
            "a list where text is expected in 'text'",
            "an object where text is expected in 'text'",
        ]


def test_null_is_not_counted_and_the_first_rows_count_once(tmp_path):
    # One text and two objects; then a hundred objects, which are looked at first, and more texts.
    nulls = pa.table({"text": ["t"] * 6, "v": ["x", *[None] * 5]})
    pq.write_table(nulls, written(tmp_path / "1/1.parquet", b""))
    written(tmp_path / "1/2.jsonl", b'{"text": "t", "v": {"a": 1}}\n' * 2)
    assert aside(load(tmp_path / "1")) == [(1, "text where an object is expected in 'v'")]

    lines = b'{"text": "t", "v": {"a": 1}}\n' * 100 + b'{"text": "t", "v": "x"}\n' * 150
    assert len(load(written(tmp_path / "2.jsonl", lines))) == 150


def test_a_long_number_in_a_late_column_keeps_its_digits(tmp_path):
    lines = GOOD * 200 + b'{"text": "x", "late": 12345678901234567890}\n'
    assert load(written(tmp_path / "a.jsonl", lines))[200]["late"] == "12345678901234567890"


def test_a_stray_text_among_conversations_is_set_aside(tmp_path):
    turn = b'{"messages": [{"role": "user", "content": "Hi"}]}\n'
    lines = b'{"messages": "Hi"}\n' + turn * 2 + b'{"messages": [{"role": "user", "content": 7}]}\n'
    lines += b'{"messages": [{"role": "user", "content": ["Hi"]}]}\n' + b'{"messages": 5}\n'
    pool = load(written(tmp_path / "a.jsonl", lines))
    assert [row["messages"][0]["content"] for row in pool] == ["Hi", "Hi", "7"]
    assert aside(pool) == [
        (1, "text where a list is expected in 'messages'"),
        (5, "a list where text is expected in 'messages[].content'"),
        (6, "a number where a list is expected in 'messages'"),
    ]


def test_files_with_other_columns_and_types_become_one_pool(tmp_path):
    pq.write_table(
        pa.table({"text": ["a"], "n": pa.array([1], pa.int32())}), tmp_path / "1.parquet"
    )
    written(tmp_path / "2.jsonl", b'{"text": "b", "n": 1.5, "m": {"k": 1}}\n')
    written(tmp_path / "3.jsonl", b'{"m": {"k": 2, "l": "z"}, "text": "c"}\n')
    written(tmp_path / "4.csv", b"text,o\nd,1\n")
    assert load(tmp_path).to_list() == [
        {"text": "a", "n": 1.0, "m": None, "o": None},
        {"text": "b", "n": 1.5, "m": {"k": 1, "l": None}, "o": None},
        {"text": "c", "n": None, "m": {"k": 2, "l": "z"}, "o": None},
        {"text": "d", "n": None, "m": None, "o": "1"},
    ]


_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
)  # fmt: skip
_VALUE = st.recursive(
    _PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(_VALUE, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_type_and_no_value(tmp_path_factory, values, shuffler):
    folder = tmp_path_factory.mktemp("order")
    rows = [{"text": "no value"}, *({"text": str(i), "v": v} for i, v in enumerate(values))]
    lines = [json.dumps(row) + "\n" for row in rows]
    first = load(written(folder / "1.jsonl", "".join(lines).encode()))
    shuffler.shuffle(lines)
    second = load(written(folder / "2.jsonl", "".join(lines).encode()))
    assert by_text(first) == by_text(second)
    assert sorted(rejected(first)["raw"]) == sorted(rejected(second)["raw"])


def by_text(pool):
    return sorted(pool.to_list(), key=lambda row: row["text"])


@settings(deadline=None, max_examples=60)
@given(st.lists(_VALUE, min_size=1, max_size=8))
def test_a_chunk_at_once_gives_what_line_by_line_gives(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("paths")
    values = [None, *values]
    lines = "".join(json.dumps({"text": str(i), "v": v}) + "\n" for i, v in enumerate(values))
    fast = load(written(folder / "fast.jsonl", lines.encode()))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jsonl, "_table", lambda data, schema: None)
        slow = load(written(folder / "slow.jsonl", lines.encode()))
    assert fast.features == slow.features
    assert fast.to_list() == slow.to_list()
    assert aside(fast) == aside(slow)


# What is set aside


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "to be', "not JSON (unterminated string)"),
        (b"to be", "not JSON (expecting value)"),
        (b'{"text": "a"} {"text": "b"}', "not JSON (extra data)"),
        (b'{"text": "a",}', "not JSON (expecting property name enclosed in double quotes)"),
        (b'{"text": "a\tb"}', "not JSON (invalid control character)"),
        ('{"text": "Müller"}'.encode("latin-1"), "not UTF-8 (byte 0xfc at 12)"),
        (b'{"text": "a\0b"}', "NUL bytes"),
        (b"\0" * 20, "NUL bytes"),
        (b'["to be"]', "not an object"),
        (b"17", "not an object"),
        (b"null", "not an object"),
        (b'{"\\u0000": 1}', "a name with a NUL in it, which no column can have"),
        (b'{"text": {"a": {"\\u0000": 1}}}', "a name with a NUL in it, which no column can have"),
        (b'{"text": "\\ud83d"}', "half a surrogate pair, which is no text"),
        (b'{"text": ' + b"[" * 70 + b"]" * 70 + b"}", "nested more than 64 deep"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested more than 64 deep"),
        (b'{"text": {"a": 1}}', "an object where text is expected in 'text'"),
    ],
)
@pytest.mark.parametrize("before", [6, 5000])
def test_a_line_that_cannot_be_used_is_set_aside(tmp_path, line, reason, before):
    path = written(tmp_path / "a.jsonl", GOOD * before + line + b"\n" + GOOD)
    pool = load(path)
    assert texts(pool) == ["to be"] * (before + 1)
    (row,) = rejected(pool)
    assert (row["file"], row["line"], row["reason"]) == (str(path), before + 1, reason)
    assert row["raw"] == line.decode(errors="replace")[:1000]

    with pytest.raises(DataError) as error:
        load(path, strict=True)
    assert str(error.value) == (
        f"{path}, line {before + 1}: {reason}; mend it, or drop --strict to set it aside"
    )


def test_strict_refuses_before_and_after_the_pool_is_made(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD * 6 + b'{"text": "to be\n')
    message = r"a.jsonl, line 7: not JSON \(unterminated string\); mend it, or drop --strict"
    with pytest.raises(DataError, match=message):
        load(path, strict=True)
    load(path)
    with pytest.raises(DataError, match=message):
        load(path, strict=True)
    assert len(load(written(tmp_path / "b.jsonl", GOOD), strict=True)) == 1


def test_what_was_set_aside_is_found_after_select_and_shuffle(tmp_path):
    pool = load(written(tmp_path / "a.jsonl", GOOD * 3 + b"broken\n"))
    for derived in (pool.select([2, 0]), pool.shuffle(seed=0), pool.with_format("arrow")):
        assert aside(derived) == [(4, "not JSON (expecting value)")]
    assert rejected(Dataset.from_dict({"text": ["a"]})).column_names == [
        "file", "line", "reason", "raw",
    ]  # fmt: skip


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_truncated_file_gives_all_before_the_cut(tmp_path, packing):
    shuffler = random.Random(0)
    rows = [f"{shuffler.getrandbits(2000):x}" for _ in range(20_000)]
    lines = "".join(json.dumps({"text": row}) + "\n" for row in rows).encode()
    packed = gzip.compress(lines, 1) if packing == "gz" else zstandard.compress(lines)
    pool = load(written(tmp_path / f"a.jsonl.{packing}", packed[: len(packed) // 2]))
    kept = len(pool)
    assert 8_000 < kept < 12_000
    assert texts(pool) == rows[:kept]
    (row,) = rejected(pool)
    assert row["line"] == kept + 1
    assert row["reason"] == f"the .{packing} file is truncated, the rest is missing"
    assert json.dumps({"text": rows[kept]}).startswith(row["raw"])


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_the_progress_of_a_packed_file_is_that_of_its_bytes(tmp_path, packing):
    data = random.Random(0).randbytes(9_000_000)
    packed = gzip.compress(data, 1) if packing == "gz" else zstandard.compress(data)
    told = []
    path = written(tmp_path / f"a.{packing}", packed)
    assert b"".join(blocks(path, packing, told.append)) == data
    assert sum(told) == len(packed)
    assert len(told) > 1


def test_a_damaged_file_says_so(tmp_path):
    pool = load(written(tmp_path / "a.jsonl.gz", gzip.compress(GOOD * 3) + b"garbage"))
    ((line, reason),) = aside(pool)
    assert len(pool) == 3
    assert line == 4
    assert reason.startswith("damaged .gz data, the rest cannot be read")


def test_several_compressed_files_in_one_are_read_on(tmp_path):
    for packing, pack in (("gz", gzip.compress), ("zst", zstandard.compress)):
        two = pack(b'{"text": "a"}\n{"te') + pack(b'xt": "b"}\n')
        assert texts(load(written(tmp_path / f"a.jsonl.{packing}", two))) == ["a", "b"]


def test_a_broken_array_gives_all_before_the_fault(tmp_path):
    rows = [json.dumps({"text": str(i)}) for i in range(5)]
    pool = load(written(tmp_path / "a.json", f"[{rows[0]},\n7,\n{rows[1]},\n{{oops".encode()))
    assert texts(pool) == ["0", "1"]
    assert aside(pool) == [
        (2, "not an object"),
        (4, "not JSON (expecting property name enclosed in double quotes); "
            "nothing after it can be told apart"),
    ]  # fmt: skip
    pool = load(written(tmp_path / "b.json", f"[{rows[0]},\n{rows[1]}\n".encode()))
    assert texts(pool) == ["0", "1"]
    assert aside(pool) == [(3, "the array has no end: rows may be missing")]


def test_an_array_is_read_through_a_small_window(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_BLOCK", 7)
    rows = [{"text": "é" * n, "n": -n, "f": 1.25e-3, "b": None} for n in range(50)]
    for indent in (None, 2):
        content = json.dumps(rows, ensure_ascii=False, indent=indent).encode()
        assert load(written(tmp_path / f"{indent}.json", content)).to_list() == [
            {key: value if key != "b" else None for key, value in row.items()} for row in rows
        ]


def test_csv_rows_that_cannot_be_used_are_set_aside(tmp_path):
    content = (
        b'text,n\nok,1\n"two\nlines",2\none\n"a"b,3\n\xe9,4\n\0,5\nok,6\n"never closed,7\nok,8\n'
    )
    pool = load(written(tmp_path / "a.csv", content))
    assert pool.to_list() == [
        {"text": "ok", "n": "1"}, {"text": "two\nlines", "n": "2"},
        {"text": "ok", "n": "6"}, {"text": "ok", "n": "8"},
    ]  # fmt: skip
    assert sorted(aside(pool)) == [
        (5, "1 fields where the header has 2"),
        (6, "not CSV (',' expected after '\"')"),
        (7, "not UTF-8 (byte 0xe9 at 1)"),
        (8, "NUL bytes"),
        (10, "not CSV (unexpected end of data)"),
    ]


def test_a_csv_field_may_be_long(tmp_path):
    pool = load(written(tmp_path / "a.csv", b"text\n" + b"x" * 1_000_000 + b"\n"))
    assert len(pool[0]["text"]) == 1_000_000


def test_parquet_text_that_is_not_utf8_is_set_aside(tmp_path):
    bad = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    pq.write_table(pa.table({"text": bad}), tmp_path / "a.parquet")
    pool = load(tmp_path / "a.parquet")
    assert texts(pool) == ["a", "c"]
    assert aside(pool) == [(2, "not UTF-8")]


def test_an_arrow_file_without_its_end_gives_what_it_has(tmp_path):
    table = pa.table({"text": ["a", "b"]})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as sink:
        sink.write_table(table, max_chunksize=1)
    content = (tmp_path / "a.arrow").read_bytes()
    pool = load(written(tmp_path / "b.arrow", content[:-20]))
    assert texts(pool) == ["a", "b"]
    assert aside(pool) == [(None, "the file has no end: rows may be missing")]


def test_a_file_that_is_no_table_leaves_the_others(tmp_path):
    written(tmp_path / "1.jsonl", GOOD)
    written(tmp_path / "2.parquet", b"PAR1 but not really")
    written(tmp_path / "3.arrow", b"no")
    written(tmp_path / "4.csv", b"a,a\n1,2\n")
    written(tmp_path / "5.jsonl", GOOD.decode().encode("utf-16"))
    pool = load(tmp_path)
    assert texts(pool) == ["to be"]
    assert [Path(row["file"]).name for row in rejected(pool)] == [
        "2.parquet", "3.arrow", "4.csv", "5.jsonl",
    ]  # fmt: skip
    reasons = [row["reason"] for row in rejected(pool)]
    assert reasons[0].startswith("not a Parquet file (Parquet magic bytes not found")
    assert reasons[1].startswith("not an Arrow file (")
    assert reasons[2:] == ["the header names 'a' twice", "not UTF-8 but UTF-16; convert the file"]


def test_python_objects_that_are_no_rows_are_set_aside():
    pool = load([{"text": "a"}, 3, {"text": "\ud800"}, {"text": b"\xff"}, {2: "b"}])
    assert texts(pool) == ["a"]
    assert sorted(aside(pool)) == [
        (2, "not a dict with names for its values"),
        (3, "half a surrogate pair, which is no text"),
        (4, "bytes that are not UTF-8 in 'text'"),
        (5, "not a dict with names for its values"),
    ]


def test_a_line_beyond_the_bound_is_set_aside():
    stream = iter([b"a\nb", b"bbbbbbbb", b"bb\nc\n", b"d"])
    chunks = list(line_chunks(stream, largest=6))
    assert [c if isinstance(c, Lines) else (c.line, c.reason) for c in chunks] == [
        Lines(1, b"a\n", 1), (2, "longer than 6 bytes"), Lines(3, b"c\n", 1), Lines(4, b"d", 0),
    ]  # fmt: skip


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"bc", b""])), st.data())
def test_lines_are_cut_the_same_however_bytes_come(pieces, data):
    content = b"".join(pieces)
    breaks_off = data.draw(st.booleans())

    def stream():
        yield from pieces
        if breaks_off:
            raise Cut("cut")

    chunks = list(line_chunks(stream()))
    lines = [chunk for chunk in chunks if isinstance(chunk, Lines)]
    whole = content[: content.rfind(b"\n") + 1] if breaks_off else content
    assert b"".join(chunk.data for chunk in lines) == whole
    assert all(chunk.data.endswith(b"\n") for chunk in lines[:-1])
    first = 1
    for chunk in lines:
        assert chunk.first == first
        first += chunk.data.count(b"\n")
    assert [c.raw for c in chunks[len(lines) :]] == (
        [content[len(whole) :].decode().rstrip("\r")] if breaks_off else []
    )


# What cannot be read at all


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "a.jsonl: no rows; give data that has some"),
        ("a.jsonl", b"\n\n", "a.jsonl: no rows; give data that has some"),
        ("a.json", b"[]", "a.json: no rows; give data that has some"),
        ("a.csv", b"text\n", "a.csv: no rows; give data that has some"),
        (
            "a.jsonl",
            b"one\n{}x\n",
            r"a.jsonl: no row can be used, 2 set aside; the first, line 1: not JSON \(expecting v",
        ),
        ("a.jsonl", b"null", r"no row can be used, 1 set aside; the first, line 1: not an object"),
        ("a.parquet", b"x", "a.parquet: no row can be used, 1 set aside; the first: not a Parquet"),
        ("a.jsonl.gz", b"no gzip", r"can be used, 1 set aside; the first, line 1: damaged .gz"),
        ("a.jsonl", b'{"q": 1, "a": 2}\n', "a.jsonl: no prompt, response or text among the columns"
                                           " q, a; say columns="),
        ("a.txt", b"text", r"a.txt: not a kind of file that is read; give .jsonl, .json, .csv"),
    ],
)  # fmt: skip
def test_a_file_without_rows_is_refused_in_one_line(tmp_path, name, content, message):
    path = written(tmp_path / name, content)
    for _ in range(2):
        with pytest.raises(DataError, match=message) as error:
            load(path)
        assert "\n" not in str(error.value)


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    written(tmp_path / "alpaca.jsonl", GOOD)
    with pytest.raises(DataError, match=r"alpca.jsonl: no such file; did you mean 'alpaca.jsonl'"):
        load(tmp_path / "alpca.jsonl")
    with pytest.raises(DataError, match=r"no such file, and no folder .*nowhere"):
        load(tmp_path / "nowhere/alpaca.jsonl")
    with pytest.raises(DataError, match=r"\*\.csv: no file has such a name"):
        load(str(tmp_path / "*.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no data in this folder; what is read are"):
        load(tmp_path / "empty")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["text", "text"], "two columns are called 'text'; give one another name"),
        (["text", "a\0b"], r"a NUL in the name of column 'a\\x00b'; give it another"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(tmp_path, names, message):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=names)
    pq.write_table(table, tmp_path / "a.parquet")
    for source in (table, tmp_path / "a.parquet"):
        with pytest.raises(DataError, match=message):
            load(source)


def test_what_has_no_rows_is_refused():
    with pytest.raises(DataError, match="a set cannot be read; give a path, a Dataset"):
        load({1})
    with pytest.raises(DataError, match="the list: no rows"):
        load([])


# Saying which columns


def test_the_columns_said_stay_with_the_rows(tmp_path):
    lines = b'{"instruction": "i", "output": "o", "text": "t", "q": "1+1", "a": "2"}\n' * 3
    path = written(tmp_path / "a.jsonl", lines)
    pool = load(path, columns={"prompt": "q", "response": "a"})
    for derived in (
        pool,
        pool.select([1]),
        pool.shuffle(seed=0),
        load(path, columns={"prompt": "q"}),
    ):
        assert set(derived["prompt"]) == {"1+1"}
    assert pool.column_names == ["original_instruction", "output", "text", "prompt", "response"]
    assert load(path, format="text").column_names[0] == "original_instruction"
    assert load(path).column_names == ["instruction", "output", "text", "q", "a"]


def test_columns_of_a_dataset_can_be_said_too():
    pool = Dataset.from_dict({"body": ["b"], "text": ["t"]})
    said = load(pool, columns={"text": "body"})
    assert said.to_list() == [{"text": "b", "original_text": "t"}]
    assert pool.column_names == ["body", "text"]


def test_columns_that_make_no_sense_are_refused(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD)
    with pytest.raises(DataError, match=r"a.jsonl: no column 'txt'; did you mean 'text'\?"):
        load(path, columns={"text": "txt"})
    with pytest.raises(DataError, match=r"a.jsonl: format='alpaca' does not fit the columns text;"):
        load(path, format="alpaca")
    with pytest.raises(SettingError, match=r"no format 'alpca'; did you mean 'alpaca'\?"):
        load(path, format="alpca")
    with pytest.raises(SettingError, match=r"columns=.*: give {'text': …}, or {'prompt': …"):
        load(path, columns={"txt": "text"})


# The cache


def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    path = written(tmp_path / "a.jsonl", GOOD)
    first = load(path)
    assert str(home()) in first.cache_files[0]["filename"]
    monkeypatch.setattr("tamis.data.load.read_file", lambda *_: pytest.fail("was read again"))
    again = load(path)
    assert again.cache_files == first.cache_files
    assert again._fingerprint == first._fingerprint


def test_content_decides_and_not_where_it_lies(tmp_path, monkeypatch):
    path = written(tmp_path / "a.jsonl", GOOD)
    first = load(path)
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "b.jsonl")
    monkeypatch.chdir(moved.parent)
    assert load("b.jsonl").cache_files == load(moved).cache_files == first.cache_files
    with pytest.raises(DataError, match="no rows"):  # the kind is a part of it
        load(written(tmp_path / "a.csv", GOOD))


def test_a_changed_file_is_read_again(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD)
    stat = path.stat()
    load(path)
    written(path, GOOD.replace(b"to", b"we"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # bytes count, not times
    assert texts(load(path)) == ["we be"]


def test_a_load_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(DataError):
        load(written(tmp_path / "a.jsonl", b"x"))
    assert [p.suffix for p in (home() / "pools").iterdir()] == [".lock"]


def test_what_a_killed_load_left_is_cleared(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD)
    folder = Path(load(path).cache_files[0]["filename"]).parent
    part = folder.rename(folder.with_name(f"{folder.name}.part"))
    (part / "pool.arrow").write_bytes(b"half")
    assert texts(load(path)) == ["to be"]
    assert not part.exists()


def test_many_may_load_one_file_at_once(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD * 1000)
    with ThreadPoolExecutor(8) as threads:
        pools = list(threads.map(lambda _: load(path), range(16)))
    assert {len(pool) for pool in pools} == {1000}
    assert len({pool.cache_files[0]["filename"] for pool in pools}) == 1


def test_memory_does_not_grow_with_the_file(tmp_path):
    # 200 MB of rows in a process that may have 1.2 GB of addresses more than it starts with.
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        line = json.dumps({"text": "word " * 400}).encode() + b"\n"
        for _ in range(100):
            file.write(line * 1000)
    measure = (
        "import resource, sys; from tamis.data.load import load; load(sys.argv[2]);"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; load(sys.argv[1]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    small = written(tmp_path / "small.jsonl", line * 1000)
    run = subprocess.run(
        [sys.executable, "-c", measure, str(path), str(small)],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert int(run.stdout) < 120_000  # kilobytes; the file has 200,000


# The hub


class Hub:
    """A hub of one data set, which lies in a folder here."""

    def __init__(self, file):
        self.file = file
        self.asked = []

    def dataset_info(self, name):
        if name != "org/name":
            raise ConnectionError("no such repository")
        return type("Info", (), {"sha": "c0ffee"})

    def load_dataset(self, name, *, split, revision, streaming):
        self.asked.append((name, split, revision, streaming))
        return _load_dataset(
            "json", data_files={split: str(self.file)}, split=split, streaming=True
        )


_load_dataset = datasets.load_dataset


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(written(tmp_path / "hub.jsonl", b'{"text": "a"}\n{"text": "b"}\n'))
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("datasets.load_dataset", hub.load_dataset)
    return hub


def test_reads_a_data_set_of_the_hub(hub):
    assert texts(load("hf://org/name")) == ["a", "b"]
    assert texts(load("hf://org/name:test")) == ["a", "b"]
    assert hub.asked == [("org/name", s, "c0ffee", True) for s in ("train", "test")]


def test_a_data_set_that_breaks_off_may_come_when_asked_again(hub, monkeypatch):
    broken = _Breaking(hub.load_dataset("org/name", split="s", revision="r", streaming=True))
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: broken)
    with pytest.raises(DataError, match=r"hf://org/name: .* \(cut off\)") as caught:
        load("hf://org/name")
    assert caught.value.retryable


class _Breaking:
    """A stream of rows that breaks off after the first."""

    def __init__(self, stream):
        self._stream = stream

    def with_format(self, kind):
        return _Breaking(self._stream.with_format(kind))

    def iter(self, batch_size):
        yield next(self._stream.iter(batch_size=1))
        raise ConnectionResetError("cut off")


def test_a_data_set_that_cannot_be_reached_is_refused_in_one_line(hub):
    message = r"hf://org/nme: the hub gives no such data \(no such repository\); check the name"
    with pytest.raises(DataError, match=message):
        load("hf://org/nme")


def pieces_that_wait(monkeypatch, reading, pause):
    """Let reading say that it has begun, and pause between the first two pieces."""
    read = load_module.read_file

    def slowly(*arguments):
        for number, piece in enumerate(read(*arguments)):
            if number == 1 and arguments[3] is not None:  # not the look at the head
                reading.set()
                pause()
            yield piece

    monkeypatch.setattr(load_module, "read_file", slowly)


@pytest.fixture
def long_file(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_BLOCK", 2**10)
    path = tmp_path / "long.jsonl"
    path.write_text("".join(f'{{"text": "row {row}"}}\n' for row in range(2000)))
    return path


def test_what_was_begun_is_read_once(long_file, monkeypatch):
    reading, go_on = threading.Event(), threading.Event()
    pieces_that_wait(monkeypatch, reading, lambda: go_on.wait(30))
    with begun(str(long_file), progress=False):
        assert reading.wait(30)
        monkeypatch.setattr(load_module, "_origins", None)  # nobody else looks at the file
        go_on.set()
        assert len(load(str(long_file), progress=False)) == 2000
    monkeypatch.undo()
    assert load(str(long_file), progress=False)[1999] == {"text": "row 1999"}


def test_a_block_that_fails_ends_what_was_begun(long_file, monkeypatch):
    reading = threading.Event()
    pieces_that_wait(monkeypatch, reading, lambda: time.sleep(0.5))

    def fail():
        assert reading.wait(30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), begun(str(long_file), progress=False):
        fail()
    assert [path for path in (home() / "pools").iterdir() if path.suffix != ".lock"] == []


def test_what_cannot_be_read_is_said_by_load(tmp_path):
    with (
        pytest.raises(DataError, match=r"none.jsonl"),
        begun(str(tmp_path / "none.jsonl"), progress=False),
    ):
        load(str(tmp_path / "none.jsonl"), progress=False)
