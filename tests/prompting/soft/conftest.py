"""The tiny models of the tests of models, for tests of what is trained on them."""

from tests.models.conftest import exactly, tiny, tiny_folder, tiny_tokenizer

__all__ = ["exactly", "tiny", "tiny_folder", "tiny_tokenizer"]
