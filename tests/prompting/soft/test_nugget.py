import math

import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np
import torch

from tamis.errors import SettingError
from tamis.prompting.soft import Nugget
from tamis.prompting.soft.states import cache_of

TEXTS = ["The sky is blue, and the sea", "Boil water and wait for it", "Add the tea"]
TEXT = "The sky is blue, and the sea below it is bluer still."


@pytest.fixture
def made(tiny):
    return Nugget(tiny, share=0.3, lora=4)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.34, 1.0])
def test_keeps_the_share_in_order_and_the_last_token(tiny, share):
    states = Nugget(tiny, share=share).compress(TEXT)
    count = math.ceil(share * states.length)
    assert states.keys.shape == states.values.shape == (2, 1, count, 32)
    assert (np.diff(states.positions) > 0).all()
    assert states.positions[-1] == states.length - 1
    assert states.nbytes == 2 * 2 * count * 32 * 4


def test_keeps_the_tokens_that_the_scorer_puts_highest(made):
    with torch.no_grad():  # a scorer that reads one number of the state
        for layer in (made.own[0], made.own[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        made.own[0].weight[0, 0] = made.own[2].weight[0, 0] = 1.0
    ids = made.base._reader.encode([TEXT])[0].ids
    read = made.lm.module.base_model(
        input_ids=torch.from_numpy(ids)[None], output_hidden_states=True
    )
    scores = torch.nn.functional.gelu(read.hidden_states[1][0, :, 0])
    best = scores[:-1].argsort(descending=True)[: math.ceil(0.3 * len(ids)) - 1]
    assert made.compress(TEXT).positions.tolist() == [*sorted(best.tolist()), len(ids) - 1]


@pytest.mark.usefixtures("exactly")
def test_all_tokens_kept_is_full_attention(tiny):
    # Before training the encoder is the decoder: with every token kept nothing is lost.
    made = Nugget(tiny, share=1.0)
    rest = " It shines"
    told = made.logprobs(made.compress(TEXT), rest)
    own = tiny.logprobs([TEXT], [rest])[0].logprobs
    np.testing.assert_allclose(told, own[1:], atol=1e-4)
    ids = torch.from_numpy(tiny._reader.encode([TEXT + rest])[0].ids)[None]
    loss, count = made._loss(ids[:, :10], ids[:, 10:])
    logits = tiny.module(input_ids=ids).logits[0].log_softmax(-1)
    expected = -sum(logits[i, ids[0, i + 1]].item() for i in range(10, ids.shape[1] - 1))
    assert count == ids.shape[1] - 11
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("exactly")
def test_the_added_term_changes_no_value_and_teaches_the_scorer(made):
    ids = torch.from_numpy(made.base._reader.encode([TEXT])[0].ids)[None]
    cache, rows, scores = made._read(ids)
    with_term = made._decoded(cache_of(cache, rows), scores, ids, ids.shape[1])
    without = made._decoded(cache_of(cache, rows), torch.zeros_like(scores), ids, ids.shape[1])
    torch.testing.assert_close(with_term, without, rtol=1e-4, atol=1e-4)
    loss, _ = made._loss(ids, ids)
    loss.backward()
    assert all((p.grad.abs().sum() > 0) for p in [made.own[2].weight, made.own[0].weight])
    assert any(p.grad.abs().sum() > 0 for n, p in made.weights().items() if n.endswith(".up"))
    assert all(p.grad is None for p in made.decoder.module.parameters())


@pytest.mark.usefixtures("exactly")
def test_what_is_decoded_sees_nothing_of_the_text_but_the_nuggets(made):
    # Keys and values of other tokens may be anything.
    ids = torch.from_numpy(made.base._reader.encode([TEXT])[0].ids)[None]
    cache, rows, scores = made._read(ids)
    expected = made._decoded(cache_of(cache, rows), scores, ids, ids.shape[1])
    others = torch.tensor(sorted({*range(ids.shape[1])} - {*rows[0].tolist()}))
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys.detach().clone(), layer.values.detach().clone()
        layer.keys[:, :, others], layer.values[:, :, others] = 7.0, -7.0
    changed = made._decoded(cache_of(cache, rows), scores, ids, ids.shape[1])
    torch.testing.assert_close(changed, expected)


def test_training_teaches_to_give_texts_back(tiny, tmp_path):
    made = Nugget.train(
        tiny, TEXTS, tmp_path, share=0.5, lora=8, lm_ratio=0.0, epochs=40, batch_tokens=1,
        learning_rate=3e-3, progress=False,
    )  # fmt: skip
    assert np.mean(made.losses_[-3:]) < 0.7 * np.mean(made.losses_[:3])
    again = Nugget.from_pretrained(tmp_path, tiny)
    assert again.compress(TEXT).positions.tolist() == made.compress(TEXT).positions.tolist()
    assert again.fingerprint == made.fingerprint


def test_half_of_the_batches_go_on_from_the_first_half(tiny):
    made = Nugget(tiny, lm_ratio=1.0)
    assert [count for _, count in made.losses([np.arange(5, 45)], np.random.default_rng(0))] == [19]
    made = Nugget(tiny, lm_ratio=0.0)
    assert [count for _, count in made.losses([np.arange(5, 45)], np.random.default_rng(0))] == [39]


def test_a_text_beyond_the_context_and_a_wrong_share_are_refused(tiny, made):
    with pytest.raises(SettingError, match=r"the text has \d+ tokens, but .* reads 1024"):
        made.compress(TEXT * 100)
    with pytest.raises(SettingError, match=r"share=1.5, layer=1; give a share of up to 1"):
        Nugget(tiny, share=1.5)
    with pytest.raises(SettingError, match="a layer of up to 2"):
        Nugget(tiny, layer=3)
