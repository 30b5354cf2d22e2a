"""What travels to another process."""

import pickle
import threading
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from doubles import Numbers, Spelling

pytest.importorskip("ray")

import tamis
from tamis.errors import HubError, MissingExtraError, ModelError, TamisError
from tamis.models.base import IncompleteError
from tamis.models.cached import CachedLM
from tamis.pipelines.engines.parcels import answered, cells, packed, worked


def ask(model, _):
    return model


def test_a_model_with_a_name_travels_as_its_name():
    model = tamis.models.load_embedder("bundled")
    parcel = packed(partial(ask, model))
    assert parcel.models == [model]
    assert len(parcel.content) < 2000
    again = pickle.loads(parcel.content)(None)
    assert again.fingerprint == model.fingerprint
    assert pickle.loads(parcel.content)(None) is again  # loaded once a process


def test_a_model_that_is_another_there_is_refused():
    model = tamis.models.load_embedder("bundled")
    model._fingerprint = "as it was here"
    with pytest.raises(ModelError, match=r"^StaticEmbedder\(.*\): another model here than where"):
        pickle.loads(packed(partial(ask, model)).content)


def test_a_model_in_memory_travels_whole_and_is_noticed():
    parcel = packed(partial(ask, CachedLM(Spelling())))
    assert [type(model) for model in parcel.models] == [CachedLM, Spelling]
    assert isinstance(pickle.loads(parcel.content)(None).lm, Spelling)
    assert packed(partial(ask, Numbers())).models == [Numbers()]
    assert packed(len).models == []


def test_what_cannot_travel_is_named():
    with pytest.raises(ModelError, match=r"cannot go to another process .*; give models by name"):
        packed(partial(ask, threading.Lock()))


@pytest.mark.parametrize(
    "error",
    [
        TamisError("a line"),
        HubError("busy", retryable=True),
        MissingExtraError("Ray", "ray"),
        IncompleteError("half", [1, None], {1: "no"}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_travels_with_all_that_it_says(error):
    def fails():
        raise error

    with pytest.raises(type(error), match=f"^{error}$".replace("[", r"\[")) as met:
        answered(worked(fails))
    assert vars(met.value) == vars(error)
    assert met.value.retryable == error.retryable


def test_an_answer_arrives_as_it_was_and_its_arrays_may_be_written_to():
    rows = np.arange(12, dtype=np.float64).reshape(3, 4)
    given = {"rows": rows, "turned": rows.T, "every other": rows[:, ::2], "none": rows[:0]}
    given |= {"yes": rows > 5, "texts": np.array(["a", None], object), "number": 7}
    found = answered(worked(lambda: given))
    assert found.keys() == given.keys()
    for name, value in given.items():
        np.testing.assert_array_equal(found[name], value)
        assert getattr(found[name], "dtype", int) == getattr(value, "dtype", int)
    found["rows"][0, 0] = 9
    assert rows[0, 0] == 0


def test_tables_travel_too():
    table = pa.table({"text": ["grit", None, "flour"], "score": [1.0, 2.0, None]})
    assert answered(memoryview(worked(lambda: table.slice(1)))).equals(table.slice(1))


@pytest.mark.parametrize("start", [0, 1, 3])
def test_cells_are_those_of_the_column(start):
    kind = pa.large_binary()
    chunks = [pa.array(some, kind) for some in ([b"sieve", b""], [], [b"\0drum", b"mesh"])]
    column = pa.chunked_array(chunks, kind).slice(start)
    assert [bytes(cell) for cell in cells(column)] == column.to_pylist()
    assert list(cells(pa.chunked_array([], kind))) == []
