"""Whatever is in a file, its rows are read or set aside, or the error is a line."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fuzzing import a_line_at_most, files_below, json_values, odd_texts, tries
from hypothesis import given
from hypothesis import strategies as st

import tamis
from tamis.data.files import home
from tamis.data.readers import KINDS, PACKINGS
from tamis.data.save import save
from tamis.selectors import Random

ROWS = [{"prompt": f"say {n}", "completion": f"it is {n}", "n": n} for n in range(9)]
BITS = st.binary(max_size=4) | st.sampled_from(
    [b"\n", b"\r", b"\0", b'"', b"{", b"]", b",", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"9" * 5000,
     b"[" * 2000, b"NaN", b"PAR1", b"ARROW1", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"]
)  # fmt: skip
slips = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), BITS), max_size=4)
PACKED = {"": bytes, "gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a good file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    table = pa.Table.from_pylist(ROWS)
    return {kind: save(tamis.load(table), folder / f"a.{kind}").read_bytes() for kind in KINDS}


def check(tmp_path, path):
    with a_line_at_most():
        pool = tamis.load(path, progress=False)
        aside = tamis.rejected(pool)
        assert len(pool) + len(aside) > 0
        assert all(reason.isprintable() for reason in aside["reason"])
        assert len(Random(seed=0).select(pool, 1)) == 1
        assert len(tamis.load(save(pool, tmp_path / "home" / "out.jsonl"))) == len(pool)
    assert files_below(tmp_path) - {path} <= files_below(home())
    assert not list(home().rglob("*.part"))


def spoilt(content, slips):
    for place, left_out, bit in slips:
        at = int(place * len(content))
        content = content[:at] + bit + content[at + left_out :]
    return content


@pytest.mark.parametrize("packing", ["", *PACKINGS])
@pytest.mark.parametrize("kind", KINDS)
@tries(12)
@given(slips=slips, inside=st.booleans())
def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path, good, kind, packing, slips, inside):
    path = tmp_path / f"a.{kind}{packing and '.'}{packing}"
    pack = PACKED[packing]
    path.write_bytes(pack(spoilt(good[kind], slips)) if inside else spoilt(pack(good[kind]), slips))
    check(tmp_path, path)


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@tries(60)
@given(rows=st.lists(st.dictionaries(st.sampled_from(["prompt", "completion", "messages", "text"])
                                     | odd_texts, json_values, max_size=4) | json_values,
                     min_size=1, max_size=5))  # fmt: skip
def test_rows_of_any_json_are_read_or_set_aside(tmp_path, kind, rows):
    path = tmp_path / f"a.{kind}"
    said = [json.dumps(row) for row in rows]
    path.write_text("\n".join(said) if kind == "jsonl" else f"[{','.join(said)}]")
    check(tmp_path, path)


@tries(40)
@given(columns=st.dictionaries(odd_texts.filter(lambda name: "\ud800" not in name), st.lists(
    st.none() | st.text(max_size=5), min_size=2, max_size=2), min_size=1, max_size=4))  # fmt: skip
def test_columns_of_any_name_are_read(tmp_path, columns):
    path = tmp_path / "a.parquet"
    try:
        pq.write_table(pa.table({"text": ["a", "b"], **columns}), path)
    except UnicodeEncodeError:  # no file can have such a name in it
        return
    check(tmp_path, path)
