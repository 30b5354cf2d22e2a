"""tamis among LlamaIndex's node postprocessors: what a retriever found, shortened."""

from typing import Any

from pydantic import Field

from tamis.errors import MissingExtraError
from tamis.prompting.compression.documents import compress_documents

try:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
except ImportError as error:
    raise MissingExtraError("llama-index-core", "llama-index") from error

__all__ = ["TamisPostprocessor"]


class TamisPostprocessor(BaseNodePostprocessor):  # type: ignore[misc]
    """Shorten retrieved nodes for a query; those of which nothing is left are dropped.

    For `index.as_query_engine(node_postprocessors=[TamisPostprocessor(rate=0.3)])`.

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

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores."""
        return "TamisPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        left = compress_documents(
            [found.node.get_content(metadata_mode=MetadataMode.NONE) for found in nodes],
            query_bundle.query_str if query_bundle else "",
            rate=self.rate,
            target_tokens=self.target_tokens,
            method=self.method,
            **self.settings,
        )
        shortened = []
        for i, text in left:
            node = nodes[i].node.model_copy(deep=True)
            node.set_content(text)
            shortened.append(NodeWithScore(node=node, score=nodes[i].score))
        return shortened
