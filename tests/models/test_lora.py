import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np

from tamis.errors import ModelError
from tamis.models.lora import LoRA, frozen, learner, merged
from tamis.models.transformers import TransformersLM
from tamis.models.tuning import tune

PROMPTS, RESPONSES = ["Name a colour: ", "Say why: "], ["blue", "The sea is bluer still."]


def nats(lm):
    return -sum(one.sum for one in lm.logprobs(PROMPTS, RESPONSES))


def test_a_frozen_copy_shares_the_weights_and_gets_no_gradient(tiny):
    still = frozen(tiny)
    assert still.fingerprint == tiny.fingerprint
    assert not any(p.requires_grad for p in still.module.parameters())
    held = {p.data_ptr() for p in still.module.parameters()}
    assert held == {p.data_ptr() for p in tiny.module.parameters()}


def test_a_merged_model_says_what_the_one_with_lora_says(tiny):
    tuned = tune(tiny, PROMPTS, RESPONSES, lora=4, learning_rate=1e-2, epochs=3, progress=False)
    whole = merged(tuned)
    assert nats(whole) == pytest.approx(nats(tuned), rel=1e-4)
    assert nats(whole) != pytest.approx(nats(tiny), rel=1e-3)
    names = [name for name, _ in whole.module.named_parameters()]
    assert names == [name for name, _ in tiny.module.named_parameters()]


def test_lora_starts_as_its_model_and_leaves_the_weights_alone(tiny):
    tuned = learner(tiny, 4, 0)
    assert nats(tuned) == pytest.approx(nats(tiny), rel=1e-5)
    learning = {name for name, p in tuned.module.named_parameters() if p.requires_grad}
    assert learning
    assert all(name.endswith((".down", ".up")) for name in learning)
    assert sum(isinstance(layer, LoRA) for layer in tuned.module.modules()) == 2 * 7


def test_a_model_without_linear_layers_takes_no_lora(tiny_tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=len(tiny_tokenizer), n_embd=32, n_layer=1, n_head=2)
    gpt2 = TransformersLM(GPT2LMHeadModel(config), tokenizer=tiny_tokenizer)
    with pytest.raises(ModelError, match="no linear layers for LoRA"):
        tune(gpt2, PROMPTS, RESPONSES, lora=4, progress=False)
    assert np.isfinite(nats(tune(gpt2, PROMPTS, RESPONSES, progress=False)))
