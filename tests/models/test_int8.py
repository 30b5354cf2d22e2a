"""Eight bits on a CPU: what a layer computes, and what is left of a model's figures."""

import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import torch

import tamis
from tamis.errors import ModelError
from tamis.models.int8 import Int8Linear
from tamis.models.transformers import TransformersLM

TEXTS = ["Boil the water, then add the rice.", "The cat sat.", "3 + 4 = 7, so 7 - 4 = 3."]


@pytest.fixture(scope="module")
def rounded(tiny_folder):
    return TransformersLM(str(tiny_folder), device="cpu", dtype="int8")


def test_what_eight_bits_can_say_is_exact():
    # Rows whose largest is 127 have a scale of 1, so that whole numbers stay what they are.
    weight = torch.tensor([[127.0, -2, 3], [1, 127, 0]])
    x = torch.tensor([[127.0, 1, 5], [-127, 64, 0]])
    layer = Int8Linear(weight, torch.tensor([0.5, -1.0]))
    assert torch.equal(layer(x), x @ weight.T + torch.tensor([0.5, -1.0]))


def test_the_error_is_that_of_rounding_each_factor():
    draw = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(n, 64, generator=draw) for n in (32, 16))
    error = Int8Linear(weight)(x) - x @ weight.T
    # Half a step of either factor, times the other, summed over 64: a bound for every output.
    steps = x.abs().amax(1, keepdim=True) / 254, weight.abs().amax(1) / 254
    bound = steps[0] * weight.abs().sum(1) + x.abs().sum(1, keepdim=True) * steps[1]
    assert (error.abs() <= bound + 64 * steps[0] * steps[1] + 1e-4).all()
    assert error.abs().max() > 0


def test_a_row_is_rounded_as_it_is_alone():
    draw = torch.Generator().manual_seed(1)
    layer = Int8Linear(torch.randn(24, 40, generator=draw))
    x = torch.randn(20, 40, generator=draw) * torch.logspace(-3, 3, 20)[:, None]
    alone = torch.cat([layer(row[None].expand(20, -1))[:1] for row in x])
    assert torch.equal(layer(x), alone)


def test_a_model_says_nearly_the_same(tiny, rounded):
    ours, exact = rounded.logprobs(TEXTS), tiny.logprobs(TEXTS)
    for one, other in zip(ours, exact, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert 0 < np.nanmean(np.abs(one.logprobs - other.logprobs)) < 0.1
    assert rounded.packable
    assert rounded.fingerprint != tiny.fingerprint


def test_it_can_be_asked_for_by_name(tiny_folder, rounded):
    named = tamis.models.load(f"transformers:{tiny_folder}?dtype=int8", device="cpu")
    assert named.fingerprint == rounded.fingerprint
    assert named.generate(["Boil"], max_tokens=3)[0].text


def test_it_is_for_a_cpu(tiny_folder):
    with pytest.raises(ModelError, match="dtype='int8' is for a CPU, not cuda"):
        TransformersLM(str(tiny_folder), device="cuda", dtype="int8")


def test_it_cannot_be_trained(rounded):
    layer = next(m for m in rounded.module.modules() if isinstance(m, Int8Linear))
    x = torch.randn(2, layer.weight.shape[1], requires_grad=True)
    with pytest.raises(ModelError, match="int8 weights cannot be trained"):
        layer(x)
