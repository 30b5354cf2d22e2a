"""tamis among LangChain's document compressors: what a retriever found, shortened."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tamis.errors import MissingExtraError
from tamis.prompting.compression.documents import compress_documents

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
except ImportError as error:
    raise MissingExtraError("langchain-core", "langchain") from error

__all__ = ["TamisCompressor"]


class TamisCompressor(BaseDocumentCompressor):  # type: ignore[misc]
    """Shorten retrieved documents for a query; those of which nothing is left are dropped.

    For `ContextualCompressionRetriever(base_compressor=TamisCompressor(rate=0.3), …)`.

    Parameters
    ----------
    rate, target_tokens, method
        As for `compress`. The query counts.
    settings : dict
        Others of `compress`: `lm`, `tokenizer`, `keep`, …
    """

    rate: float | None = None
    target_tokens: int | None = None
    method: str = "longllmlingua"
    settings: dict[str, Any] = Field(default_factory=dict)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return what is left of the documents, the most useful first where the method says."""
        left = compress_documents(
            [document.page_content for document in documents],
            query,
            rate=self.rate,
            target_tokens=self.target_tokens,
            method=self.method,
            **self.settings,
        )
        return [documents[i].model_copy(update={"page_content": text}) for i, text in left]
