import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np
import torch
from torch.nn import functional

from tamis.errors import DataError, ModelError
from tamis.models import tuning
from tamis.models.transformers import TransformersLM
from tamis.models.tuning import LoRA, Tuning, backward, sequences, tune

PROMPTS = ["Name a colour: ", "What is two and two? ", "", "Say why, at length: "]
RESPONSES = ["blue", "four, as ever", "The sea is bluer still.", "because " * 40]


@pytest.fixture
def exactly(monkeypatch):
    """Compute in float32 everywhere, so that figures can be compared."""
    monkeypatch.setattr(tuning, "_computes_in", lambda module: torch.float32)


@pytest.fixture
def copied(tiny):
    """A model whose gradients may be written to."""
    return tuning.learner(tiny, None, 0)


def learnt(lm, **settings):
    given = {"learning_rate": 3e-3, "batch_tokens": 64, "progress": False}
    return tune(lm, PROMPTS, RESPONSES, **given | settings)


def nats(lm):
    return -sum(one.sum for one in lm.logprobs(PROMPTS, RESPONSES))


def gradients(lm):
    return [p.grad.clone() for p in lm.module.parameters()]


def own_gradients(lm):
    """Autograd through the model's own logits, one row after the other."""
    lm.module.zero_grad()
    total = 0.0
    for [piece] in sequences(lm, PROMPTS, RESPONSES):
        ids = torch.from_numpy(piece.ids)
        logits = lm.module(input_ids=ids[None]).logits[0, piece.first - 1 : -1]
        loss = functional.cross_entropy(logits, ids[piece.first :], reduction="sum")
        loss.backward()
        total += loss.item()
    return total, gradients(lm)


@pytest.mark.parametrize("packable", [True, False])
@pytest.mark.usefixtures("exactly")
def test_the_gradient_is_that_of_the_models_own_logits(copied, packable):
    loss, expected = own_gradients(copied)
    copied.module.zero_grad()
    copied.packable = packable
    pieces = [piece for row in sequences(copied, PROMPTS, RESPONSES) for piece in row]
    assert backward(copied, pieces, 1.0) == pytest.approx(loss, rel=1e-5)
    for ours, own in zip(gradients(copied), expected, strict=True):
        torch.testing.assert_close(ours, own, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("exactly")
def test_the_loss_over_slices_of_tokens_is_the_whole_loss(copied, monkeypatch):
    pieces = [piece for row in sequences(copied, PROMPTS, RESPONSES) for piece in row]
    whole = backward(copied, pieces)
    monkeypatch.setattr(tuning, "_LOGITS_ON_CPU", 3 * len(copied.tokenizer))
    assert backward(copied, pieces) == pytest.approx(whole, rel=1e-6)


@pytest.mark.usefixtures("exactly")
def test_a_bias_of_the_head_learns_too():
    weight, bias = torch.randn(11, 4, requires_grad=True), torch.randn(11, requires_grad=True)
    hidden, targets = torch.randn(7, 4, requires_grad=True), torch.arange(7)
    own = functional.cross_entropy(hidden @ weight.T + bias, targets, reduction="sum")
    expected = torch.autograd.grad(own, (hidden, weight, bias))
    ours = torch.autograd.grad(
        tuning._TokenLoss.apply(hidden, weight, bias, targets), (hidden, weight, bias)
    )
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_only_responses_and_the_end_token_are_learnt(tiny):
    # The prompt's tokens stand before `first`; a row without a prompt is learnt whole.
    for [piece], prompt, response in zip(
        sequences(tiny, PROMPTS, RESPONSES), PROMPTS, RESPONSES, strict=True
    ):
        text = tiny.tokenizer.decode(piece.ids[piece.first :])
        assert text.removesuffix("</s>").strip() == response.strip()
        assert text.endswith("</s>")
        assert tiny.tokenizer.decode(piece.ids[: piece.first]).strip() == f"<s>{prompt}".strip()


def test_a_row_longer_than_the_context_is_learnt_piece_by_piece(tiny):
    response = "The sky is blue. " * 400
    [row] = sequences(tiny, ["Go on: "], [response])
    assert {len(piece.ids) for piece in row[:-1]} == {tiny.context}
    told = np.concatenate([piece.ids[piece.first :] for piece in row])
    assert tiny.tokenizer.decode(told).strip() == response + "</s>"


def test_what_was_learnt_is_likelier_and_the_given_model_is_as_before(tiny):
    fingerprint, before = tiny.fingerprint, nats(tiny)
    tuned = learnt(tiny, epochs=5)
    assert nats(tuned) < 0.8 * before
    assert tiny.fingerprint == fingerprint
    assert tuned.fingerprint != fingerprint
    assert nats(tiny) == pytest.approx(before)


def test_the_order_of_the_rows_changes_nothing_and_the_seed_does(tiny):
    given = {"learning_rate": 1e-3, "batch_tokens": 64, "epochs": 2, "progress": False}
    one = tune(tiny, PROMPTS, RESPONSES, **given)
    other = tune(tiny, PROMPTS[::-1], RESPONSES[::-1], **given)
    assert one.fingerprint == other.fingerprint
    assert tune(tiny, PROMPTS, RESPONSES, **given | {"seed": 1}).fingerprint != one.fingerprint


def test_lora_starts_as_its_model_and_leaves_the_weights_alone(tiny):
    tuned = Tuning(tiny, PROMPTS, RESPONSES, lora=4, learning_rate=3e-3, progress=False).lm
    assert nats(tuned) == pytest.approx(nats(tiny), rel=1e-5)
    learning = {name for name, p in tuned.module.named_parameters() if p.requires_grad}
    assert learning
    assert all(name.endswith((".down", ".up")) for name in learning)
    assert sum(isinstance(layer, LoRA) for layer in tuned.module.modules()) == 2 * 7


def test_lora_learns_in_its_own_matrices(tiny):
    before = nats(tiny)
    tuned = learnt(tiny, lora=8, learning_rate=1e-2, epochs=5)
    assert nats(tuned) < 0.9 * before
    assert nats(tiny) == pytest.approx(before)
    held = {p.data_ptr() for p in tuned.module.parameters()}
    assert {p.data_ptr() for p in tiny.module.parameters()} <= held  # shared, not copied
    assert all(p.requires_grad and p.grad is None for p in tiny.module.parameters())


def test_a_copy_may_be_tuned_again(tiny):
    once = learnt(tiny)
    assert nats(learnt(once, epochs=3)) < nats(once)


def test_a_loss_that_is_no_number_is_named(tiny):
    with pytest.raises(
        ModelError, match=r"the loss is nan at step \d+ of \d+, learning_rate=1e\+30"
    ):
        learnt(tiny, learning_rate=1e30, epochs=4)


def test_rows_without_a_token_are_refused(tiny_folder):
    from transformers import AutoTokenizer

    silent = TransformersLM(str(tiny_folder), device="cpu")
    silent.tokenizer = AutoTokenizer.from_pretrained(tiny_folder, eos_token=None)
    with pytest.raises(DataError, match="no row has a token to learn"):
        tune(silent, ["Say nothing: "], [""], progress=False)


def test_a_model_without_linear_layers_takes_no_lora(tiny_tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=len(tiny_tokenizer), n_embd=32, n_layer=1, n_head=2)
    gpt2 = TransformersLM(GPT2LMHeadModel(config), tokenizer=tiny_tokenizer)
    with pytest.raises(ModelError, match="no linear layers for LoRA"):
        tune(gpt2, PROMPTS, RESPONSES, lora=4, progress=False)
    assert np.isfinite(nats(tune(gpt2, PROMPTS, RESPONSES, progress=False)))


def test_a_frozen_copy_shares_the_weights_and_gets_no_gradient(tiny):
    still = tuning.frozen(tiny)
    assert still.fingerprint == tiny.fingerprint
    assert not any(p.requires_grad for p in still.module.parameters())
    held = {p.data_ptr() for p in still.module.parameters()}
    assert held == {p.data_ptr() for p in tiny.module.parameters()}


def test_a_merged_model_says_what_the_one_with_lora_says(tiny):
    tuned = learnt(tiny, lora=4, learning_rate=1e-2, epochs=3)
    merged = tuning.merged(tuned)
    assert nats(merged) == pytest.approx(nats(tuned), rel=1e-4)
    assert nats(merged) != pytest.approx(nats(tiny), rel=1e-3)
    names = [name for name, _ in merged.module.named_parameters()]
    assert names == [name for name, _ in tiny.module.named_parameters()]
