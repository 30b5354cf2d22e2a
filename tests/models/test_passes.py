import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np
import torch
from torch.nn import functional

from tamis.models import passes
from tamis.models.lora import learner
from tamis.models.passes import backward, sequences

PROMPTS = ["Name a colour: ", "What is two and two? ", "", "Say why, at length: "]
RESPONSES = ["blue", "four, as ever", "The sea is bluer still.", "because " * 40]


@pytest.fixture
def copied(tiny):
    """A model whose gradients may be written to."""
    return learner(tiny, None, 0)


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
    monkeypatch.setattr(passes, "_LOGITS_ON_CPU", 3 * len(copied.tokenizer))
    assert backward(copied, pieces) == pytest.approx(whole, rel=1e-6)


@pytest.mark.usefixtures("exactly")
def test_a_bias_of_the_head_learns_too():
    weight, bias = torch.randn(11, 4, requires_grad=True), torch.randn(11, requires_grad=True)
    hidden, targets = torch.randn(7, 4, requires_grad=True), torch.arange(7)
    own = functional.cross_entropy(hidden @ weight.T + bias, targets, reduction="sum")
    expected = torch.autograd.grad(own, (hidden, weight, bias))
    ours = torch.autograd.grad(
        passes._TokenLoss.apply(hidden, weight, bias, targets), (hidden, weight, bias)
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
