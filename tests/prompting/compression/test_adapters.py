"""LangChain's and LlamaIndex's own classes, around the compressor."""

import pytest

from tamis.prompting.compression.documents import compress_documents
from tests.prompting.compression.readers import Words

HOW = {"rate": 0.7, "method": "truncate", "tokenizer": str.split}
DOCUMENTS = ["one two three", "", "four five six", "seven eight"]


def test_each_word_left_is_given_back_to_its_document():
    # 8 words and a question of 2 make 10; 7 are left, of which 5 are of documents.
    left = compress_documents(DOCUMENTS, "what now", **HOW)
    assert left == [(0, "one two three"), (2, "four five")]


@pytest.mark.parametrize("rate", [0.3, 0.6, 0.9])
def test_documents_that_a_method_reorders_keep_their_own_words(rate):
    documents = [" ".join(f"{letter}{i}" for i in range(30)) for letter in "abcde"]
    left = compress_documents(
        documents, "c7 c9 d1?", rate=rate, method="longllmlingua", lm=Words(), tokenizer=str.split
    )
    assert len({number for number, _ in left}) == len(left) > 0
    for number, text in left:
        assert set(text.split()) <= set(documents[number].split())
    assert sum(len(text.split()) for _, text in left) <= rate * 153


def test_langchain_gets_shorter_documents_with_their_metadata():
    documents = pytest.importorskip("langchain_core.documents")
    from tamis.prompting.compression.langchain import TamisCompressor

    found = [
        documents.Document(page_content=text, metadata={"n": i}, id=str(i))
        for i, text in enumerate(DOCUMENTS)
    ]
    settings = {"tokenizer": str.split}
    ours = TamisCompressor(rate=0.7, method="truncate", settings=settings)
    left = ours.compress_documents(found, "what now")
    assert [(one.page_content, one.metadata["n"], one.id) for one in left] == [
        ("one two three", 0, "0"),
        ("four five", 2, "2"),
    ]
    assert [one.page_content for one in found] == DOCUMENTS


def test_llama_index_gets_shorter_nodes_with_their_scores():
    schema = pytest.importorskip("llama_index.core.schema")
    from tamis.prompting.compression.llama_index import TamisPostprocessor

    found = [
        schema.NodeWithScore(node=schema.TextNode(text=text, metadata={"n": i}), score=1 / (i + 1))
        for i, text in enumerate(DOCUMENTS)
    ]
    ours = TamisPostprocessor(rate=0.7, method="truncate", settings={"tokenizer": str.split})
    left = ours.postprocess_nodes(found, query_str="what now")
    texts = [one.node.get_content(schema.MetadataMode.NONE) for one in left]
    assert texts == ["one two three", "four five"]
    assert [one.score for one in left] == [1, 1 / 3]
    assert [one.node.metadata["n"] for one in left] == [0, 2]
    assert found[2].node.get_content(schema.MetadataMode.NONE) == DOCUMENTS[2]
