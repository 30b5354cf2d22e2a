import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np

from tamis.errors import DataError
from tamis.prompting.soft.rows import rows_of
from tamis.prompting.soft.training import batches, windows


def test_windows_are_even_and_lose_no_token():
    texts = [np.arange(1000), np.arange(7), np.arange(256)]
    cut = windows(texts, 256, 6)
    assert [len(window) for window in cut] == [250] * 4 + [7, 256]
    assert np.concatenate(cut[:4]).tolist() == [*range(1000)]


def test_a_batch_holds_rows_of_nearly_one_length_and_every_row_is_in_one():
    lengths = np.random.default_rng(0).integers(5, 500, size=300)
    ids = np.random.default_rng(1).bytes(16 * 300)
    made = batches(np.frombuffer(ids, "V16"), lengths, 2000, (0, 0))
    assert sorted(row for batch in made for row in batch) == [*range(300)]
    for batch in made:
        own = lengths[batch]
        assert own.max() <= 1.25 * own.min()
        assert own.max() * (len(batch) - 1) < 2000
    firsts = [lengths[batch[0]] for batch in made]
    assert firsts != sorted(firsts)
    other = batches(np.frombuffer(ids, "V16"), lengths, 2000, (0, 1))
    assert made != other


def test_rows_say_what_is_compressed_and_where_the_answer_begins(tiny):
    [row] = rows_of(tiny, ["The sky"], ["Colour: "], ["blue"])
    assert tiny.tokenizer.decode(row.context) == "<s>The sky"
    assert tiny.tokenizer.decode(row.rest[row.first :]).strip() == "blue"
    assert tiny.tokenizer.decode(row.rest) == "Colour: blue"
    assert not rows_of(tiny, ["The sky"], ["Colour: "], [""])
    assert not rows_of(tiny, ["The sky " * 1000], [""], ["blue"])
    with pytest.raises(DataError, match="1 contexts, 2 prompts and 1 responses"):
        rows_of(tiny, ["a"], ["b", "c"], ["d"])
