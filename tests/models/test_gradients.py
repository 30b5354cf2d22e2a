# ruff: noqa: E402 - skipped as a whole where the extra is missing
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')
transformers = pytest.importorskip("transformers", reason='pip install "tamis[models]"')

from tamis.models import gradients, passes
from tamis.models.gradients import adapted, example_gradients, warm_up
from tamis.models.tokens import Piece
from tamis.models.transformers import TransformersLM
from tamis.models.tuning import Tuning

PROMPTS = ["The sky is", "The sky is", "The sea below", "Boil", "Tea: add the", "Tea: add the"]
RESPONSES = [" blue", " bluer still.", " is bluer still, and the sky", " water.", " tea", " water"]

pytestmark = pytest.mark.usefixtures("exactly")


def trained(lm, epochs=1):
    return warm_up(lm, PROMPTS, RESPONSES, lora=3, epochs=epochs, progress=False)


def pieces_of(lm):
    return [row[0] for row in passes.sequences(lm, PROMPTS, RESPONSES)]


def gradients_of(lm, pieces):
    found = [None] * len(pieces)
    for which, rows in example_gradients(lm, pieces):
        for i, row in zip(which, rows, strict=True):
            assert found[i] is None
            found[i] = row
    return np.array(found)


def one_by_one(lm, pieces):
    """The gradients by torch alone: a backward pass an example, by the model's own loss."""
    parameters = gradients._matrices(lm)
    rows = []
    for piece in pieces:
        logits = lm.module(input_ids=torch.from_numpy(piece.ids)[None]).logits[0]
        loss = torch.nn.functional.cross_entropy(
            logits[piece.first - 1 : -1], torch.from_numpy(piece.ids[piece.first :])
        )
        rows.append(torch.cat([g.ravel() for g in torch.autograd.grad(loss, parameters)]).numpy())
    return np.array(rows)


@pytest.mark.parametrize("held", [1, 2**25])
def test_gradients_are_those_of_one_example_at_a_time(tiny, held, monkeypatch):
    monkeypatch.setattr(gradients, "_HELD", held)
    lm = adapted(tiny, trained(tiny)[0].values, 3)
    pieces = [*pieces_of(lm), Piece(np.arange(40), 30)]
    expected = one_by_one(lm, pieces)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(gradients_of(lm, pieces), expected, atol=1e-5)


def test_examples_that_begin_alike_have_gradients_of_their_own(tiny):
    # When scored, they would share the work of their prompt.
    lm = adapted(tiny, trained(tiny)[0].values, 3)
    stem = np.arange(40)
    pieces = [Piece(np.append(stem, last), 30) for last in (7, 8, 9)]
    np.testing.assert_allclose(gradients_of(lm, pieces), one_by_one(lm, pieces), atol=1e-5)


def test_a_model_that_cannot_be_packed_has_gradients_too(tiny_tokenizer):
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=400, hidden_size=32, n_layer=2, n_head=4)
    module = transformers.BloomForCausalLM(config)
    lm = TransformersLM(module, tokenizer=tiny_tokenizer, device="cpu")
    lm = adapted(lm, trained(lm)[0].values, 3)
    assert not lm.packable
    pieces = pieces_of(lm)
    np.testing.assert_allclose(gradients_of(lm, pieces), one_by_one(lm, pieces), atol=1e-5)


def test_nothing_is_left_behind(tiny):
    lm = adapted(tiny, trained(tiny)[0].values, 3)
    learning = [p.requires_grad for p in lm.module.parameters()]
    gradients_of(lm, pieces_of(lm))
    assert [p.requires_grad for p in lm.module.parameters()] == learning
    assert all(p.grad is None for p in lm.module.parameters())
    assert not any(layer._forward_hooks for layer in lm.module.modules())


def test_a_checkpoint_is_the_model_as_it_was_then(tiny):
    first, second = trained(tiny, epochs=2)
    assert (first.steps, second.steps) == (1, 2)
    alone = Tuning(tiny, PROMPTS, RESPONSES, lora=3, epochs=2, progress=False)
    alone.run(0)
    was = adapted(tiny, first.values, 3)
    assert was.fingerprint == alone.lm.fingerprint
    assert adapted(tiny, second.values, 3).fingerprint != was.fingerprint


def test_moments_are_those_of_adam(tiny):
    # After one step m = 0.1 g and v = 0.001 g², whatever g was clipped to.
    (checkpoint,) = trained(tiny)
    moved = checkpoint.first != 0
    assert moved.any()
    ratio = checkpoint.second[moved] / checkpoint.first[moved] ** 2
    np.testing.assert_allclose(ratio, 0.001 / 0.1**2, rtol=1e-4)


def test_the_rate_is_the_mean_over_the_epoch(tiny):
    found = warm_up(
        tiny, PROMPTS * 4, RESPONSES * 4, lora=3, epochs=2, learning_rate=1.0, batch_tokens=30,
        progress=False,
    )  # fmt: skip
    steps = found[-1].steps
    assert steps > 8
    falling = 1 - np.arange(steps) / steps
    half = found[0].steps
    assert found[0].rate == pytest.approx(falling[:half].mean(), abs=0.02)
    assert found[1].rate == pytest.approx(falling[half:].mean(), abs=0.02)
