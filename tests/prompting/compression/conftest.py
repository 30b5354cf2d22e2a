"""The tiny models of the tests of models, for tests of what compresses with them."""

from tests.models.conftest import tiny, tiny_folder, tiny_tokenizer

__all__ = ["tiny", "tiny_folder", "tiny_tokenizer"]
