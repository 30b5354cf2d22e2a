"""The tiny models of the tests of models, for tests of what is trained on them."""

import pytest

from tests.models.conftest import tiny, tiny_folder, tiny_tokenizer

__all__ = ["exactly", "tiny", "tiny_folder", "tiny_tokenizer"]


@pytest.fixture
def exactly(monkeypatch):
    """Compute in float32 everywhere, so that figures can be compared."""
    import torch

    from tamis.models import tuning

    monkeypatch.setattr(tuning, "_computes_in", lambda module: torch.float32)
