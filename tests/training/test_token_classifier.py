"""What a training that is stopped finds when it goes on."""

import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import torch
from transformers import ModernBertConfig, ModernBertForTokenClassification

from training.compressor_labels import Extract, Labelled
from training.token_classifier import Run, kept, train


def labels(n):
    ids = np.arange(n + 1) % 7  # <s> has no label
    return Labelled(ids, np.linspace(0, 1, n, dtype="f4"), np.ones(n, "f4"))


def test_texts_are_labelled_once_part_by_part(tmp_path):
    asked = []

    def label(some):
        asked.append(len(some))
        return [labels(len(one.text)) for one in some]

    texts = [Extract("x" * n, []) for n in (3, 1, 5, 2)]
    first = kept(tmp_path, texts, label, together=3)
    (tmp_path / "3.npz").unlink()  # as if it had been stopped before the second part
    then = kept(tmp_path, texts, label, together=3)
    assert asked == [3, 1, 1]
    for text, ours, again in zip(texts, first, then, strict=True):
        for exact, one, other in zip(labels(len(text.text)), ours, again, strict=True):
            assert exact.dtype == one.dtype == other.dtype
            assert exact.tolist() == one.tolist() == other.tolist()


def encoder():
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_labels=2, pad_token_id=8,
        bos_token_id=0, cls_token_id=0, eos_token_id=1, sep_token_id=1,
    )  # fmt: skip
    return ModernBertForTokenClassification(config)


def test_a_training_goes_on_from_where_it_stopped(tmp_path):
    checkpoint = tmp_path / "run.pt"
    first = Run(encoder())
    train(first, [labels(4)] * 3, 0.2, checkpoint)
    assert first.seconds >= 0.2

    again = Run(encoder())
    again.load(checkpoint)
    assert (again.steps, again.seconds) == (first.steps, first.seconds)
    train(again, [labels(4)] * 3, 0.2, checkpoint)  # its time is spent
    assert again.steps == first.steps
    for one, other in zip(first.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(one, other)
