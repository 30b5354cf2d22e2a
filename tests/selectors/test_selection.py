import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.selectors import selection
from tamis.selectors.selection import KEPT, Selection, one_reason


@pytest.fixture(params=[3, 4, 2**16], ids=lambda rows: f"{rows} rows at a time")
def _pieces(request, monkeypatch):
    monkeypatch.setattr(selection, "_ROWS", request.param)
    monkeypatch.setattr(selection, "_KEPT_ROWS", request.param)


POOL = Dataset.from_dict({"text": list("abcdefghij"), "tamis_rank": [7] * 10})


def picked(kept):
    reasons = np.array([f"because of {n % 3}" for n in range(10)], object)
    reasons[kept] = KEPT
    scores = np.where(np.arange(10) == 4, np.nan, np.arange(10) / 2)
    signals = pa.table({"length": np.arange(10), "loss": scores})
    return Selection(kept, scores, reasons, signals, example_ids(POOL), "made", 1.5)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("kept", [[8, 0, 5, 9], [], list(range(9, -1, -1))])
def test_what_is_saved_is_loaded(kept, tmp_path):
    saved = picked(kept)
    loaded = Selection.load(saved.save(tmp_path / "picked.parquet"))
    assert loaded.indices.tolist() == kept
    assert loaded.scores.tolist() == pytest.approx(saved.scores.tolist(), nan_ok=True)
    assert loaded.reasons.tolist() == saved.reasons.tolist()
    assert loaded.signals.to_pylist() == saved.signals.to_pylist()
    assert (loaded.ids == saved.ids).all()
    assert (loaded.method, loaded.seconds) == ("made", 1.5)
    assert pq.read_table(tmp_path / "picked.parquet").to_pylist() == saved.to_arrow().to_pylist()
    counts = [*Selection.counts_in(tmp_path / "picked.parquet").items()]
    assert counts == [*saved.counts().items()] == [*loaded.counts().items()]
    assert counts == sorted(counts, key=lambda item: (-item[1], item[0]))
    assert dict(counts) == {why: saved.reasons.tolist().count(why) for why in saved.reasons}


def test_signals_are_left_in_the_file_on_request(tmp_path):
    path = picked([1]).save(tmp_path / "picked.parquet")
    assert Selection.load(path, signals=False).signals.num_columns == 0


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("kept", [[8, 0, 5, 9], []])
def test_the_kept_rows_come_best_first_with_what_was_said_of_them(kept):
    applied = picked(kept).apply(POOL)
    assert applied["text"][:] == [POOL["text"][n] for n in kept]
    assert applied["tamis_rank"][:] == list(range(1, len(kept) + 1))
    assert applied["tamis_score"][:] == [n / 2 for n in kept]
    assert applied["tamis_method"][:] == ["made"] * len(kept)
    assert applied.column_names == ["text", "tamis_id", "tamis_score", "tamis_rank", "tamis_method"]


def test_one_reason_of_many_rows_is_one_text():
    reasons = one_reason(1000, "not drawn")
    assert reasons.tolist() == ["not drawn"] * 1000
    assert len({id(reason) for reason in reasons}) == 1
