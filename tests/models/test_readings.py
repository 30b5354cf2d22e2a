"""Reading token by token with a cache that can be cut."""

import numpy as np
import pytest

from tamis.errors import SettingError

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.models.readings import TokenReader, token_reader  # noqa: E402
from tamis.prompting import compress  # noqa: E402

TEXT = "The sky is blue, and the sea below it is bluer still. Boil water and add the tea. " * 4


@pytest.fixture(scope="module")
def reader(tiny):
    return token_reader(tiny)


@pytest.fixture(scope="module")
def losses(tiny):
    """Of all tokens but the first, by the model's own scoring, without BOS before them."""

    def scored(ids):
        with torch.inference_mode():
            logits = tiny.module(input_ids=torch.tensor(ids)[None]).logits[0, :-1].float()
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])
        return -chosen[:, 0].numpy()

    return scored


def test_reading_in_parts_gives_the_losses_of_the_whole(reader, losses):
    ids, spans = reader.encode(TEXT)
    reading = reader.open()
    first = reading.read(ids, 50)
    reading.crop(30)
    second = reading.read(ids, 80)
    whole = losses(ids[:80])
    np.testing.assert_allclose(first, whole[:49], atol=1e-4)
    np.testing.assert_allclose(second, whole[30:], atol=1e-4)
    assert reading.length == 80
    assert spans[-1, 1] == len(TEXT)


def test_dropped_tokens_are_forgotten(reader, losses):
    ids, _ = reader.encode(TEXT)
    reading = reader.open()
    reading.read(ids, 60)
    reading.drop(10, 20)
    assert reading.length == 40
    again = np.concatenate([ids[:10], ids[30:60], ids[60:80]])
    read = reading.read(again, 60)
    assert len(read) == 19
    assert not np.allclose(read, losses(ids[:80])[60:], atol=1e-3)


def test_no_more_is_read_than_the_context(reader):
    ids = np.tile(reader.encode(TEXT)[0], 20)
    assert len(reader.open().read(ids)) == reader.context - 1


def test_reference_compression_does_not_depend_on_the_cache(tiny, losses):
    class Uncached:
        """The same model, every loss computed from the start."""

        context = tiny.context

        def __init__(self):
            own = token_reader(tiny)
            self.encode, self.framed = own.encode, own.framed

        def open(self):
            return self.Reading()

        class Reading:
            length = 0

            def read(self, ids, end=None):
                end = len(ids) if end is None else end
                begin, self.length = self.length, end
                return losses(ids[:end])[begin:].astype(np.float32)

            def crop(self, length):
                self.length = length

    prompt = TEXT * 2
    how = {"rate": 0.5, "segment": 50, "reference": True, "tokenizer": str.split}
    plain = Uncached()
    assert isinstance(plain, TokenReader)
    assert compress(prompt, lm=tiny, **how).text == compress(prompt, lm=plain, **how).text


def test_a_prompt_longer_than_the_context_is_read_in_bounded_memory(tiny):
    prompt = TEXT * 16
    done = compress(prompt, rate=0.5, reference=True, lm=tiny, progress=False)
    assert done.original_tokens > tiny.context
    assert 0.3 < done.rate < 0.8
    assert done.text == "".join(prompt[a:b] for a, b in done.kept)


def test_other_models_are_refused():
    with pytest.raises(SettingError, match="does not show its key-value cache"):
        token_reader(object())
