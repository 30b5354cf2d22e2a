"""The tiny tokenizer of the tests of models."""

from tests.models.conftest import tiny, tiny_folder, tiny_tokenizer

__all__ = ["tiny", "tiny_folder", "tiny_tokenizer"]
