import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tamis.data import features
from tamis.data import parts as files
from tamis.data.features import FeatureStore
from tamis.data.ids import id_array
from tamis.data.places import Places
from tamis.errors import CatalogError


def ids_of(numbers):
    return np.frombuffer(b"".join(int(n).to_bytes(16, "big") for n in numbers), "V16")


def parts(shelf):
    return sorted(shelf.folder.glob("part-*.parquet"))


@pytest.fixture
def shelf(tmp_path):
    return FeatureStore(tmp_path).open("embedding", "numbers-1")


KINDS = {
    "number": lambda n: n / 2,
    "text": lambda n: f'{{"rating": {n}, "why": "é\\n"}}' * (n % 3),
    "vector": lambda n: [n, -n, 0.5],
    "list": lambda n: [float(n)] * (n % 4),
}


def as_values(kind, numbers):
    values = [KINDS[kind](n) for n in numbers]
    return np.array(values, np.float32).reshape(-1, 3) if kind == "vector" else values


@pytest.mark.parametrize("kind", KINDS)
def test_gives_back_what_was_put_in_the_order_asked_for(shelf, kind):
    shelf.put(ids_of([1, 2, 3]), as_values(kind, [1, 2, 3]))
    shelf.put(ids_of([4, 5]), as_values(kind, [4, 5]))
    asked = [5, 1, 4, 4, 2]
    assert shelf.get(ids_of(asked)).to_pylist() == [KINDS[kind](n) for n in asked]


def test_numbers_are_arrays(shelf, tmp_path):
    shelf.put(ids_of([1, 2]), np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    vectors = shelf.numbers(ids_of([2, 1, 2]))
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[4, 5, 6], [1, 2, 3], [4, 5, 6]]
    scalars = FeatureStore(tmp_path).open("loss", "m")
    scalars.put(ids_of([1, 2]), np.array([0.5, np.nan]))
    assert np.isnan(scalars.numbers(ids_of([2, 1]))).tolist() == [True, False]


def test_values_of_many_row_groups_and_parts_keep_their_order(shelf, monkeypatch):
    monkeypatch.setattr(files, "ROW_GROUP_BYTES", 200)  # about seven rows of 28 bytes
    monkeypatch.setattr(features, "_IDS_AT_ONCE", 5)  # which end within row groups
    for start in range(0, 100, 40):
        rows = np.arange(start, min(start + 40, 100))
        shelf.put(ids_of(rows), np.stack([rows, -rows, rows * 0], axis=1).astype(np.float32))
    order = np.random.default_rng(0).permutation(100)
    assert shelf.numbers(ids_of(order))[:, 0].tolist() == order.tolist()
    assert shelf.get(ids_of(order)).to_pylist() == [[n, -n, 0] for n in order]


def test_one_value_is_read_with_a_quarter_of_a_megabyte_around_it(shelf):
    shelf.put(ids_of(range(40_000)), np.zeros((40_000, 2)))
    with pq.ParquetFile(*parts(shelf)) as file:
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    assert sum(group.num_rows for group in groups) == 40_000
    assert max(group.total_byte_size for group in groups) < 300_000


def test_the_first_value_of_an_id_is_kept(shelf):
    shelf.put(ids_of([1, 2, 1]), [1.0, 2.0, 10.0])
    shelf.put(ids_of([2, 3]), [20.0, 3.0])
    assert shelf.numbers(ids_of([1, 2, 3])).tolist() == [1, 2, 3]


def test_of_two_parts_with_one_id_the_older_is_believed_and_a_merge_changes_nothing(
    shelf, monkeypatch
):
    # Two processes that did not see each other's parts.
    def written(when):
        ids = id_array(ids_of([7, when]))
        shelf._files.write(pa.table({"id": ids, "value": [when / 10] * 2}), when)

    for when in (30, 10, 20):
        written(when)
    asked = ids_of([7, 10, 20, 30])
    assert shelf.numbers(asked).tolist() == [1, 1, 2, 3]
    monkeypatch.setattr(files, "MANY_PARTS", 2)
    shelf._files.merge_if_many()
    assert len(parts(shelf)) == 1
    written(40)
    assert shelf.numbers(asked).tolist() == [1, 1, 2, 3]


def test_another_feature_or_model_is_another_shelf(tmp_path):
    store = FeatureStore(tmp_path)
    names = ["a/b", "a:b", "a b", "a\\b", "..", "", "ü'\"", "A/B", "x" * 300, "x" * 301]
    for number, name in enumerate(names):
        store.open("f", name).put(ids_of([1]), [float(number)])
        store.open(name, "m").put(ids_of([1]), [float(-number)])
    assert [store.open("f", n).numbers(ids_of([1]))[0] for n in names] == list(range(10))
    assert [store.open(n, "m").numbers(ids_of([1]))[0] for n in names] == [-n for n in range(10)]
    folders = {path.parent.parent.parent for path in tmp_path.rglob("part-*")}
    assert folders == {tmp_path}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], "1 values for 2 ids; give one each"),
        ([1.0, None], "value 1 is null; give NaN, '' or \\[\\] for none"),
        (["a", "b"], "got large_string, but the shelf holds double; give values of another type"),
    ],
)
def test_values_that_do_not_fit_are_refused(shelf, values, message):
    shelf.put(ids_of([9]), [1.0])
    with pytest.raises(CatalogError, match=message):
        shelf.put(ids_of([1, 2]), values)


def test_reading_what_is_not_there_says_how_many(shelf):
    shelf.put(ids_of([1]), ["a"])
    with pytest.raises(
        CatalogError, match="2 of 3 examples have no 'embedding' by 'numbers-1'; fill the shelf"
    ):
        shelf.get(ids_of([1, 2, 3]))
    with pytest.raises(CatalogError, match="'embedding' holds large_string, no numbers; use get"):
        shelf.numbers(ids_of([1]))


def test_no_ids_have_no_values(shelf):
    for _ in range(2):
        assert len(shelf.get(ids_of([]))) == len(shelf.numbers(ids_of([]))) == 0
        assert shelf.fill(ids_of([]), lambda rows: rows * 1.0) == 0
        shelf.put(ids_of([1]), [1.0])


def test_fill_asks_once_for_each_id_that_is_missing(shelf):
    shelf.put(ids_of([2]), [2.0])
    asked = []

    def compute(rows):
        asked.append(rows.tolist())
        return numbers[rows] * 1.0

    numbers = np.array([5, 2, 3, 5, 4, 3])
    assert shelf.fill(ids_of(numbers), compute, batch_rows=2) == 3
    assert asked == [[0, 2], [4]]
    assert shelf.fill(ids_of(numbers), compute) == 0
    assert shelf.numbers(ids_of(numbers)).tolist() == numbers.tolist()


def test_fill_keeps_what_came_before_a_failure(shelf):
    def fails_at_6(rows):
        if 6 in rows:
            raise KeyboardInterrupt
        return rows * 1.0

    with pytest.raises(KeyboardInterrupt):
        shelf.fill(ids_of(range(10)), fails_at_6, batch_rows=2)
    assert shelf.missing(ids_of(range(10))).tolist() == [False] * 6 + [True] * 4


@pytest.mark.parametrize("limit", [{"flush_seconds": 0.0}, {"flush_bytes": 1}])
def test_fill_flushes_as_it_goes(shelf, limit):
    shelf.fill(ids_of(range(6)), lambda rows: rows * 1.0, batch_rows=2, **limit)
    assert len(parts(shelf)) == 3


def test_fill_leaves_out_what_another_process_has_done_meanwhile(shelf, tmp_path):
    other = FeatureStore(tmp_path).open("embedding", "numbers-1")

    def compute(rows):
        other.fill(ids_of(range(6)), lambda rows: rows * 1.0)
        return rows * 1.0

    assert shelf.fill(ids_of(range(6)), compute, batch_rows=2, flush_seconds=0) == 2


def test_many_small_parts_become_few(shelf, monkeypatch):
    monkeypatch.setattr(files, "MANY_PARTS", 4)
    for n in range(23):
        shelf.put(ids_of([n]), [float(n)])
        assert len(parts(shelf)) <= 4
    assert shelf.numbers(ids_of(range(23))).tolist() == list(range(23))


def test_an_index_is_not_built_anew_at_each_merge(shelf, monkeypatch):
    monkeypatch.setattr(files, "MANY_PARTS", 4)
    monkeypatch.setattr(files, "SMALL_BYTES", 4_000)  # some 100 rows
    noted = []
    add = Places.add
    monkeypatch.setattr(Places, "add", lambda *given: (noted.append(len(given[1])), add(*given)))
    for first in range(0, 3_000, 20):
        shelf.put(ids_of(range(first, first + 20)), np.arange(first, first + 20.0))
    assert shelf.numbers(ids_of(range(3_000))).tolist() == list(range(3_000))
    assert 10 < len(parts(shelf)) < 40  # each in its turn too large to be merged
    assert sum(noted) < 6 * 3_000  # of 30 merges each would note half of them again


def test_a_reader_follows_a_merge(shelf, tmp_path, monkeypatch):
    reader = FeatureStore(tmp_path).open("embedding", "numbers-1")
    for n in range(4):
        shelf.put(ids_of([n]), [float(n)])
    places = []
    whole = reader._scatter

    def merged_meanwhile(found):
        places.append(found)
        monkeypatch.setattr(files, "MANY_PARTS", 1)
        shelf._files.merge_if_many()
        return whole(found)

    monkeypatch.setattr(reader, "_scatter", merged_meanwhile)
    assert reader.numbers(ids_of([3, 0])).tolist() == [3, 0]
    assert len(places) == 2  # the first reading found its parts gone


def test_a_truncated_part_is_set_aside_and_its_rows_computed_again(shelf, tmp_path):
    shelf.fill(ids_of(range(4)), lambda rows: rows * 1.0)
    shelf.fill(ids_of(range(8)), lambda rows: rows * 1.0)
    first = parts(shelf)[0]
    os.truncate(first, first.stat().st_size // 2)
    again = FeatureStore(tmp_path).open("embedding", "numbers-1")
    with pytest.warns(UserWarning, match=f"{first.name}: damaged .* set aside as damaged-part"):
        computed = again.fill(ids_of(range(8)), lambda rows: rows * 1.0)
    assert computed == 4
    assert again.numbers(ids_of(range(8))).tolist() == list(range(8))
    assert first.with_name(f"damaged-{first.name}").exists()


def test_a_flipped_bit_is_never_read_as_a_value(shelf):
    vectors = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    shelf.put(ids_of(range(50)), vectors)
    path = parts(shelf)[0]
    content = path.read_bytes()
    at = content.index(vectors[20:24].tobytes())
    path.write_bytes(content[:at] + b"\0" * 48 + content[at + 48 :])
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(CatalogError, match="50 of 50 examples have no"),
    ):
        shelf.numbers(ids_of(range(50)))
    assert shelf.fill(ids_of(range(50)), lambda rows: vectors[rows]) == 50


def test_a_part_of_another_type_is_set_aside(shelf, tmp_path):
    shelf.put(ids_of([1]), [1.0])
    shelf._files.write(pa.table({"id": id_array(ids_of([2])), "value": ["two"]}), time.time_ns())
    with pytest.warns(UserWarning, match="holds string, the parts before it double"):
        assert shelf.missing(ids_of([1, 2])).tolist() == [False, True]


def test_what_a_killed_run_left_half_written_is_swept_when_it_is_old(shelf):
    shelf.folder.mkdir(parents=True)
    old, new = shelf.folder / ".part-1.parquet.1.part", shelf.folder / ".part-2.parquet.2.part"
    for path in (old, new):
        path.write_bytes(b"PAR1")
    os.utime(old, (0, 0))
    finished = shelf.folder / ".part-3.parquet.3.part"
    finished.symlink_to("renamed")  # listed, and not there any more when it is looked at
    shelf.fill(ids_of([1]), lambda rows: rows * 1.0)
    assert not old.exists()
    assert new.exists()


FILLER = """
import sys, time, numpy as np
from pathlib import Path
from tamis.data import features
from tamis.data import parts as files
from tamis.data.features import FeatureStore
files.MANY_PARTS = 3
root, offset = Path(sys.argv[1]), int(sys.argv[2])
ids = np.frombuffer(b"".join(n.to_bytes(16, "big") for n in range(400)), "V16")
order = np.roll(np.arange(400), offset)
def compute(rows):
    with (root / "asked").open("a") as log:
        log.write("x\\n")
    time.sleep(0.002)
    return np.repeat(order[rows, None], 8, axis=1).astype(np.float32)
shelf = FeatureStore(root).open("f", "m")
shelf.fill(ids[order], compute, batch_rows=5, flush_seconds=0.01)
"""


def filler(root, offset=0):
    return subprocess.Popen([sys.executable, "-W", "error", "-c", FILLER, root, str(offset)])


def test_runs_killed_at_any_moment_lose_nothing_that_was_flushed(tmp_path):
    shelf = FeatureStore(tmp_path).open("f", "m")
    ids = ids_of(range(400))
    before = 0
    chance = random.Random(0)
    for _ in range(4):
        process = filler(tmp_path)
        asked = tmp_path / "asked"
        asked.write_text("")
        while process.poll() is None and len(asked.read_text()) < 2 * chance.randint(5, 25):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = 400 - int(shelf.missing(ids).sum())
        assert there >= before
        before = there
    assert 0 < before < 400
    assert filler(tmp_path).wait() == 0
    assert shelf.numbers(ids)[:, 0].tolist() == list(range(400))


def test_processes_that_fill_one_shelf_at_once_lose_nothing(tmp_path):
    processes = [filler(tmp_path, offset) for offset in (0, 130, 260)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    shelf = FeatureStore(tmp_path).open("f", "m")
    assert shelf.numbers(ids_of(range(400)))[:, 3].tolist() == list(range(400))


NUMBERS = st.lists(st.integers(0, 40), max_size=8)


class ShelfIsADict(RuleBasedStateMachine):
    """Whatever happens to a shelf, what it holds is what a dict would hold."""

    @initialize(kind=st.sampled_from(sorted(KINDS)), small=st.sampled_from([16 << 20, 1300, 900]))
    def start(self, kind, small):
        self.folder = TemporaryDirectory()
        self.before, files.SMALL_BYTES = files.SMALL_BYTES, small  # larger parts are not merged
        self.kind, self.model = kind, {}
        self.shelves = [self.opened(), self.opened()]

    def opened(self):
        return FeatureStore(Path(self.folder.name)).open("f", "m")

    @rule(numbers=NUMBERS, which=st.integers(0, 1))
    def put(self, numbers, which):
        self.shelves[which].put(ids_of(numbers), as_values(self.kind, numbers))
        self.model |= {n: KINDS[self.kind](n) for n in numbers}

    @rule(numbers=NUMBERS, which=st.integers(0, 1))
    def get(self, numbers, which):
        there = [n for n in numbers if n in self.model]
        values = self.shelves[which].get(ids_of(there)).to_pylist()
        assert values == [self.model[n] for n in there]

    @rule(numbers=NUMBERS, which=st.integers(0, 1))
    def fill(self, numbers, which):
        new = set(numbers) - set(self.model)
        computed = self.shelves[which].fill(
            ids_of(numbers),
            lambda rows: as_values(self.kind, [numbers[row] for row in rows]),
            batch_rows=3,
            flush_seconds=0,
        )
        assert computed == len(new)
        self.model |= {n: KINDS[self.kind](n) for n in new}

    @rule(which=st.integers(0, 1))
    def killed_while_writing(self, which):
        for path in parts(self.shelves[which])[:1]:
            path.with_name(f".{path.name}.1.part").write_bytes(path.read_bytes()[:50])
        self.shelves[which] = self.opened()

    @rule(which=st.integers(0, 1))
    def killed_while_merging(self, which):
        shelf = self.shelves[which]
        before = {path: path.read_bytes() for path in parts(shelf)}
        many, files.MANY_PARTS = files.MANY_PARTS, 0
        shelf._files.merge_if_many()
        files.MANY_PARTS = many
        for path, content in before.items():  # merged, and not yet removed
            path.write_bytes(content)
        self.shelves[which] = self.opened()

    @rule(which=st.integers(0, 1))
    def merge(self, which):
        many, files.MANY_PARTS = files.MANY_PARTS, 1
        self.shelves[which]._files.merge_if_many()
        files.MANY_PARTS = many

    @invariant()
    def knows_what_is_missing(self):
        for shelf in self.shelves:
            missing = shelf.missing(ids_of(range(41))).tolist()
            assert missing == [n not in self.model for n in range(41)]

    def teardown(self):
        self.folder.cleanup()
        files.SMALL_BYTES = self.before


TestShelfIsADict = ShelfIsADict.TestCase
TestShelfIsADict.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
