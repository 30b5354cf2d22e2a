import errno
import gzip
import json
import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.data import save as module
from tamis.data.load import load, rejected
from tamis.data.save import save
from tamis.errors import DataError

TYPED = ("parquet", "jsonl", "json", "arrow")
PACKINGS = ("", ".gz", ".zst")

_TEXT = st.text(max_size=20)
_ROWS = st.lists(
    st.fixed_dictionaries({
        "text": _TEXT,
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.floats(allow_nan=False, allow_infinity=False),
        "yes": st.booleans(),
        "turns": st.lists(st.fixed_dictionaries({"role": _TEXT, "content": st.none() | _TEXT})),
    }),
    min_size=1, max_size=5,
)  # fmt: skip
_TYPES = pa.schema([
    ("text", pa.large_string()), ("n", pa.int64()), ("x", pa.float64()), ("yes", pa.bool_()),
    ("turns", pa.list_(pa.struct([("role", pa.large_string()), ("content", pa.large_string())]))),
])  # fmt: skip


@pytest.mark.parametrize("kind", TYPED)
@pytest.mark.parametrize("packing", PACKINGS)
@settings(deadline=None, max_examples=25)
@given(rows=_ROWS)
def test_what_is_saved_is_loaded(tmp_path_factory, kind, packing, rows):
    path = tmp_path_factory.mktemp("round") / f"x.{kind}{packing}"
    save(Dataset(pa.Table.from_pylist(rows, schema=_TYPES)), path)
    pool = load(path)
    assert pool.to_list() == rows
    assert len(rejected(pool)) == 0


@pytest.mark.parametrize("packing", PACKINGS)
@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.fixed_dictionaries({"text": _TEXT, "b": _TEXT}), min_size=1))
def test_text_goes_through_csv(tmp_path_factory, packing, rows):
    rows = [{key: value.replace("\0", "") for key, value in row.items()} for row in rows]
    path = tmp_path_factory.mktemp("round") / f"x.csv{packing}"
    save(Dataset.from_list(rows), path)
    assert load(path).to_list() == rows


def test_csv_has_text_for_everything(tmp_path):
    row = {"text": "a", "n": 7, "x": 1.5, "yes": True, "none": None, "l": [1], "o": {"k": "é"}}
    assert load(save(Dataset.from_list([row]), tmp_path / "x.csv")).to_list() == [
        {"text": "a", "n": "7", "x": "1.5", "yes": "true", "none": "", "l": "[1]",
         "o": '{"k":"é"}'}
    ]  # fmt: skip


def test_others_can_read_what_is_saved(tmp_path):
    pool = Dataset.from_dict({"text": ["é", "b"], "x": [float("nan"), 1.0]})
    lines = '{"text":"é","x":null}\n{"text":"b","x":1.0}\n'
    assert save(pool, tmp_path / "x.jsonl").read_text(encoding="utf-8") == lines
    assert gzip.decompress(save(pool, tmp_path / "x.jsonl.gz").read_bytes()) == lines.encode()
    packed = save(pool, tmp_path / "x.jsonl.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == lines.encode()
    assert json.loads(save(pool, tmp_path / "x.json").read_text())[1] == {"text": "b", "x": 1.0}
    assert json.loads(save(pool.select([]), tmp_path / "none.json").read_text()) == []
    assert save(pool, tmp_path / "x.csv").read_bytes() == b"text,x\r\n\xc3\xa9,nan\r\nb,1.0\r\n"
    assert pa.ipc.open_file(save(pool, tmp_path / "x.arrow")).read_all().num_rows == 2


def test_the_order_that_was_chosen_is_saved(tmp_path):
    pool = Dataset.from_dict({"text": [str(n) for n in range(5000)]}).shuffle(seed=0)
    for kind in (*TYPED, "csv"):
        assert load(save(pool, tmp_path / f"x.{kind}"))["text"][:] == pool["text"][:]


def test_the_same_rows_are_the_same_bytes(tmp_path):
    pool = Dataset.from_dict({"text": ["a", "b"]})
    for kind in ("jsonl.gz", "jsonl.zst", "parquet"):
        first = save(pool, tmp_path / f"1.{kind}").read_bytes()
        assert save(pool, tmp_path / f"2.{kind}").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.txt", "x.txt: not a kind of file that is written; give .parquet, .jsonl, .json"),
        ("x", "not a kind of file that is written"),
        ("folder.jsonl", "folder.jsonl: a folder; give the name of a file"),
        ("/proc/x.jsonl", "x.jsonl: cannot be written"),
        ("file.jsonl/x.jsonl", "x.jsonl: cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "file.jsonl").write_text("mine")
    with pytest.raises(DataError, match=message):
        save(Dataset.from_dict({"text": ["a"]}), tmp_path / name)
    assert (tmp_path / "file.jsonl").read_text() == "mine"


@pytest.mark.parametrize("kind", [*TYPED, "csv", "jsonl.gz", "jsonl.zst"])
def test_a_save_that_fails_leaves_what_was_there(tmp_path, monkeypatch, kind):
    def fails(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / f"x.{kind}"
    pool = Dataset.from_dict({"text": ["a"]})
    before = save(pool, path).read_bytes()
    monkeypatch.setitem(module._WRITERS, kind.split(".")[0], fails)
    with pytest.raises(DataError, match=r"x\..*: cannot be written \(No space left on device\)"):
        save(pool, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def large():
    noise = [os.urandom(5000).hex() for _ in range(500)]
    return Dataset.from_dict({"text": noise})


@pytest.mark.parametrize("kind", [*TYPED, "csv", "jsonl.gz", "jsonl.zst", "parquet.gz"])
def test_a_full_disk_is_said_and_loses_nothing(small_disk, large, kind):
    path = small_disk / f"x.{kind}"
    before = save(large.select(range(5)), path).read_bytes()
    with pytest.raises(DataError, match=r"cannot be written \(.*No space left on device") as error:
        save(large, path)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [p.name for p in small_disk.iterdir()] == [path.name]


def test_a_pool_that_does_not_fit_is_said_and_leaves_room(small_disk, large, tmp_path, monkeypatch):
    small = load(save(large.select(range(5)), tmp_path / "small.jsonl"))
    path = save(large, tmp_path / "large.jsonl")
    monkeypatch.setenv("TAMIS_HOME", str(small_disk))
    kept = load(tmp_path / "small.jsonl")
    with pytest.raises(DataError, match=r"pools: cannot be written \(No space left on device\)"):
        load(path)
    assert kept.to_list() == small.to_list()
    sizes = [p.stat().st_size for p in Path(small_disk).rglob("*") if p.is_file()]
    assert sum(sizes) < 100_000
