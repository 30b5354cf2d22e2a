"""A row that is to be forgotten is looked for in every file there is, read as what it is."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from offline import ran

import tamis
from tamis.data.features import FeatureStore
from tamis.data.files import home
from tamis.data.forgotten import known
from tamis.errors import SettingError
from tamis.models.base import Generation
from tamis.models.cached import CachedEmbedder, CachedLM
from tamis.pipelines.explain import explain
from tamis.pipelines.export import export_run
from tamis.pipelines.forget import find_rows, forget
from tamis.pipelines.runs import find
from tamis.report.of_run import write_run_report

SECRET = "Wilhelmina Quackenbush of 12 Duckpond Lane"
RECIPE = "name: small\npool: {}\nsteps:\n  - clean\n  - kcenter: {{k: {}}}\n"


class Echo:
    """A language model that says again what it was asked."""

    fingerprint = "echo"

    def generate(self, prompts, **_):
        return [Generation((f"you said: {prompt}",), ("stop",)) for prompt in prompts]


def rows_of(count):
    return [
        {"instruction": f"say {n} in words", "output": f"the number is {n}, as {n * n} shows",
         "source": "web"}
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool.jsonl"
    rows = rows_of(30)
    rows[7]["output"] = f"that is {SECRET}, who lives there"
    lines = [json.dumps(row) + "\n" for row in rows]
    path.write_text("".join([*lines, f'{{"instruction": "{SECRET}", broken\n']))
    return path


def holding(folder, words):
    """Return the files below a folder that hold these words, packed or not."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and words in said(path)]


def said(path):
    raw = path.read_bytes()
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist(), default=str)
    if path.suffix == ".arrow":
        return json.dumps(pa.ipc.open_stream(raw).read_all().to_pylist(), default=str)
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    if path.suffix == ".zst":
        raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    return raw.decode("utf-8", "replace")


def test_it_is_in_no_file_and_the_rest_is(pool, tmp_path):
    run = ran(RECIPE.format(pool, 30))
    write_run_report(run)
    text = run.pool[7]["output"]
    CachedLM(Echo(), progress=False).generate([f"Rate this answer: {text}", "Rate that."])
    from doubles import Letters

    CachedEmbedder(Letters(), progress=False).embed([text, "another text"])
    out = tmp_path / "out"
    for name in ("all.parquet", "all.jsonl.zst", "all.csv.gz"):
        export_run(run, str(out / name))
    assert len(holding(home(), SECRET)) > 5
    assert len(holding(out, SECRET)) == 3
    curated = run.dataset["tamis_id"][:]

    (row,) = find_rows(text=SECRET)
    done = forget([row], SECRET)
    assert holding(home(), SECRET) == []
    assert holding(out, SECRET) == []
    assert done.ids == (row.example_id,)
    assert done.runs == (run.id,)
    assert done.features == 3 + 0 * len(done.ids)  # its vector, its text's vector, the answer
    assert done.published == ()

    after = find(run.id)
    assert after.dataset["tamis_id"][:] == [one for one in curated if one != row.example_id]
    assert len(after.selection.reasons) == 29
    assert after.selection.apply(after.pool)["tamis_id"][:] == after.dataset["tamis_id"][:]
    assert len(tamis.load(out / "all.jsonl.zst")) == 29
    counted = tamis.catalog().sql("SELECT count(*), count(DISTINCT example_id) FROM examples")
    assert counted.fetchall() == [(29, 29)]
    write_run_report(after)
    assert holding(home(), SECRET) == []


def test_no_source_brings_it_back(pool, tmp_path):
    first = ran(RECIPE.format(pool, 5))
    (row,) = find_rows(text=SECRET)
    forget([row], SECRET)
    with pool.open("a") as more:
        more.write(json.dumps({"instruction": "a new row", "output": "said at night"}) + "\n")
    second = ran(RECIPE.format(pool, 5))
    assert second.id != first.id
    assert len(second.pool) == 30
    assert row.example_id not in second.selection.ids.tolist()
    held = holding(home(), SECRET)
    assert [path.name for path in held] in ([], ["rejected.parquet"])  # a row that has no id
    forget([row], SECRET)
    assert holding(home(), SECRET) == []


def test_a_pool_whose_columns_were_named_is_reached_too(tmp_path):
    path = tmp_path / "odd.jsonl"
    rows = [{"q": f"what is {n}?", "a": f"it is {n}"} for n in range(9)] + [
        {"q": "who?", "a": SECRET}
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = f"name: odd\npool: {path}\ncolumns: {{prompt: q, response: a}}\nsteps:\n  - random: "
    text += "{k: 9}\n"
    run = ran(text)
    forget(find_rows(text=SECRET))
    assert holding(home(), SECRET) == []
    assert len(find(run.id).dataset) in (8, 9)
    again = ran(text)
    assert len(again.pool) == 9
    assert holding(home(), SECRET) == []


def test_steps_that_saw_the_row_are_done_again(pool):
    ran(RECIPE.format(pool, 5))
    forget(find_rows(text=SECRET))
    again = ran(RECIPE.format(pool, 5))
    assert [outcome.reused for outcome in again.outcomes] == [False, False]
    assert [outcome.rows for outcome in again.outcomes] == [29, 29]


def test_an_id_is_enough_and_explains_no_more(pool):
    run = ran(RECIPE.format(pool, 5))
    (row,) = find_rows(text=SECRET)
    assert find_rows([row.example_id[:10]]) == [row]
    forget(find_rows([row.example_id]))
    with pytest.raises(SettingError, match="fits no example"):
        explain(find(run.id), row.example_id)
    with pytest.raises(SettingError, match="in no pool"):
        find_rows([row.example_id])


def test_what_is_remembered_of_it_is_its_id_alone(pool):
    ran(RECIPE.format(pool, 5))
    (row,) = find_rows(text=SECRET)
    forget([row])
    assert [one.tobytes().hex() for one in known()] == [row.example_id]
    assert (home() / "forgotten").read_text().split() == [row.example_id]


def test_places_out_of_reach_are_named(pool, tmp_path):
    run = ran(RECIPE.format(pool, 30))
    gone = tmp_path / "gone.jsonl"
    export_run(run, str(gone))
    gone.unlink()
    assert forget(find_rows(text=SECRET)).published == (str(gone),)


def test_other_rows_keep_what_models_said(pool):
    ran(RECIPE.format(pool, 5))
    store = FeatureStore()
    before = sum(len(pq.read_table(p)) for p in store.root.rglob("part-*.parquet"))
    forget(find_rows(text=SECRET))
    after = sum(len(pq.read_table(p)) for p in store.root.rglob("part-*.parquet"))
    assert before - after == 1
    assert np.isfinite(after)


@pytest.mark.parametrize("call", [{"ids": ["zz"]}, {"ids": ["00000000"]}, {"text": "a"}])
def test_what_fits_nothing_is_said(pool, call):
    ran(RECIPE.format(pool, 5))
    with pytest.raises(SettingError, match="give"):
        find_rows(**call)
