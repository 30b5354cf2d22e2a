import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np
import torch

from tamis.errors import ModelError, SettingError
from tamis.prompting.soft import ICAE, Nugget, icae
from tamis.prompting.soft.icae import spans_of

TEXTS = ["The sky is blue", "Boil water and wait", "Add the tea"]
SMALL = {"slots": 4, "ratio": 4, "lora": 8, "lm_ratio": 0.0}


@pytest.fixture
def made(tiny):
    return ICAE(tiny, **SMALL)


def test_spans_are_those_of_the_released_code():
    # 1,000 tokens in spans of up to 128 · 4: two of 500, and 256 slots.
    assert spans_of(1000, 512) == [(0, 500), (500, 1000)]
    assert spans_of(512, 512) == [(0, 512)]
    assert spans_of(1025, 512) == [(0, 342), (342, 684), (684, 1025)]


def test_every_span_gives_its_slots(made):
    assert made.encode("Tea").shape == (4, 64)
    tokens = 1 + len(made.base.tokenizer.tokenize(TEXTS[0] * 5))
    assert len(made.encode(TEXTS[0] * 5)) == 4 * -(-tokens // 16) > 4
    assert made.encode("").shape == (0, 64)


def test_the_decoder_is_frozen_and_the_encoder_learns(made):
    for loss, _ in made.losses([np.arange(5, 17)], np.random.default_rng(0)):
        loss.backward()
    assert all(p.grad is None for p in made.decoder.module.parameters())
    assert all(p.grad is None for p in made.base.module.parameters())
    learnt = {name for name, p in made.weights().items() if p.grad is not None}
    assert {"own.memory", "own.ae"} <= learnt
    assert any(name.endswith(".up") for name in learnt)
    assert made.own["lm"].grad is None


def test_the_order_of_the_slots_matters(made):
    slots = made.encode(TEXTS[0])
    told = made.logprobs(slots, TEXTS[0])
    assert np.abs(told - made.logprobs(slots[::-1], TEXTS[0])).max() > 1e-3


@pytest.mark.usefixtures("exactly")
def test_a_text_is_given_back_up_to_its_end_token(made):
    ids = torch.arange(5, 17)[None]
    [(loss, count)] = made.losses([ids[0].numpy()], np.random.default_rng(0))
    assert count == 13  # twelve tokens, and the end
    slots = made._written(ids)
    given = torch.cat([slots, made.own["ae"][None], made._embedded(ids)], dim=1)
    logits = made.decoder.module(inputs_embeds=given).logits[0, 4:].log_softmax(-1)
    right = [*ids[0].tolist(), made.base.tokenizer.eos_token_id]
    assert loss.item() == pytest.approx(
        -sum(logits[i, token].item() for i, token in enumerate(right)), rel=1e-4
    )


def test_a_continuation_skips_its_first_tokens_and_has_no_end(tiny):
    made = ICAE(tiny, **SMALL | {"lm_ratio": 1.0})
    long = np.arange(300) % 90 + 5
    assert [count for _, count in made.losses([long], np.random.default_rng(0))] == [150 - 8]
    short = long[:100]  # fifty tokens of continuation are too few: given back instead
    assert [count for _, count in made.losses([short], np.random.default_rng(0))] == [101]


@pytest.mark.usefixtures("exactly")
def test_a_tiny_corpus_is_learnt_by_heart(tiny, tmp_path):
    made = ICAE.train(
        tiny, TEXTS, tmp_path, epochs=60, batch_tokens=1, learning_rate=1e-2, progress=False,
        **SMALL,
    )  # fmt: skip
    assert np.mean(made.losses_[-3:]) < 0.1 * np.mean(made.losses_[:3])
    again = ICAE.from_pretrained(tmp_path, tiny)
    for text in TEXTS:
        assert again.restore(again.encode(text), max_tokens=20).text.strip() == text


def test_answers_are_tuned_on_slots_alone(tiny):
    made = ICAE(tiny, **SMALL)
    asked = ["Colour?", "Next?", "Drink?"]
    said = [" blue", " wait", " tea"]
    rows = [*zip(TEXTS, asked, said, strict=True)]
    before = [made.logprobs(made.encode(t), q + a) for t, q, a in rows]
    made.tune(TEXTS, asked, said, epochs=60, learning_rate=1e-2, progress=False)
    assert np.mean(made.losses_[-3:]) < 0.2 * np.mean(made.losses_[:3])
    after = [made.logprobs(made.encode(t), q + a) for t, q, a in rows]
    assert all(new[-1] > old[-1] for new, old in zip(after, before, strict=True))
    assert made.own["ft"].grad is not None


def test_a_marker_stands_between_slots_and_prompt(made):
    slots = made.encode(TEXTS[0])
    given = made.prompt_embeddings(slots, "Tea?")
    np.testing.assert_array_equal(given[len(slots)], made.own["ft"].detach().numpy()[0])
    assert (
        made.generate(slots, "Tea?", max_tokens=3)
        == made.decoder.generate([given], max_tokens=3)[0]
    )


def test_a_span_that_does_not_fit_is_refused(tiny):
    with pytest.raises(SettingError, match="a span and its slots are 1280 tokens, but the context"):
        ICAE(tiny, slots=256)


def test_another_kind_of_compressor_is_not_loaded(made, tiny, tmp_path):
    made.save(tmp_path)
    with pytest.raises(ModelError, match="holds 'icae'"):
        Nugget.from_pretrained(tmp_path, tiny)


def test_the_skipped_tokens_are_the_released_codes():
    assert (icae._SKIPPED, icae._CONTINUED) == (8, 64)
