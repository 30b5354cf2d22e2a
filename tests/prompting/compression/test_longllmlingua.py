"""LongLLMLingua: what the question has to do with each document and word."""

import numpy as np
import pytest

from tamis.models.base import TokenLogprobs
from tamis.prompting import compress
from tests.prompting.compression.readers import Words

DOCUMENTS = [
    "Cats sleep most of the day and dream of mice",
    "Apollo eleven landed on the moon with Armstrong aboard",
    "Bread rises when yeast eats sugar and breathes out",
]
QUESTION = "Who landed on the moon?"


class Echo(Words):
    """A word that stands somewhere before it surprises by 1, any other by 9."""

    def score(self, before, text):
        spans = [m.span() for m in self.piece.finditer(text)]
        seen = {word.strip("?.,") for word in before.split()}
        losses = []
        for a, _ in spans:
            at = text.rfind(" ", 0, a + 1) + 1
            word = (text[max(at, a) :].split() or [""])[0].strip("?.,")
            losses.append(1.0 if word in seen else 9.0)
            seen.add(word)
        self.tokens += len(spans) + len(self.piece.findall(before))
        return TokenLogprobs(text, np.array(spans, np.int64).reshape(-1, 2),
                             np.full(len(spans), -1), -np.array(losses, np.float32))  # fmt: skip


def press(**how):
    how = {"rate": 0.5, "tokenizer": str.split} | how
    return compress(contexts=DOCUMENTS, question=QUESTION, method="longllmlingua", lm=Echo(), **how)


def test_the_document_that_foretells_the_question_comes_first():
    assert press().text.startswith("Apollo")


def test_without_reordering_the_order_stays():
    done = press(reorder=False, rate=0.8)
    edges = [edge for span in done.kept for edge in span]
    assert edges == sorted(edges)


def test_most_is_kept_of_the_most_relevant_document():
    done = press(dynamic=0.4, coarse=10.0, rate=0.6)
    starts = [done.original.index(document) for document in DOCUMENTS]
    shares = [
        sum(max(0, min(b, s + len(d)) - max(a, s)) for a, b in done.kept) / len(d)
        for s, d in zip(starts, DOCUMENTS, strict=True)
    ]
    assert shares[1] == max(shares)
    assert shares[1] > min(shares) + 0.2


def test_contrast_keeps_what_the_question_asks_for():
    # What the question foretells gains 8 (9 - 1), all else nothing: 4 words of 9 beside its 5.
    how = {"question": QUESTION, "method": "longllmlingua", "target_tokens": 9}
    done = compress(
        contexts=DOCUMENTS[1:2], lm=Echo(), tokenizer=str.split, contrastive=True, **how
    )
    assert done.text == f" landed on the moon\n\n{QUESTION}"


def test_each_span_is_used_once_and_joins_to_the_text():
    done = press(rate=0.9)
    assert len(set(done.kept)) == len(done.kept)
    assert done.text == "".join(done.original[a:b] for a, b in done.kept)


@pytest.mark.parametrize("last", [True, False])
def test_separators_stay_when_the_last_document_goes_first(last):
    documents = [DOCUMENTS[0], DOCUMENTS[2], DOCUMENTS[1]] if last else DOCUMENTS
    done = compress(contexts=documents, question=QUESTION, method="longllmlingua", rate=0.95,
                    lm=Echo(), tokenizer=str.split)  # fmt: skip
    assert done.text.count("\n\n") == 3
    assert done.text.startswith("Apollo")


def test_a_prompt_is_a_document_a_paragraph():
    done = compress("\n\n".join(DOCUMENTS), question=QUESTION, method="longllmlingua", rate=0.5,
                    lm=Echo(), tokenizer=str.split)  # fmt: skip
    assert done.text.startswith("Apollo")


def test_a_document_longer_than_the_model_is_read_in_pieces():
    class Small(Echo):
        context = 80

    long = "Cats sleep most of the day. " * 60 + DOCUMENTS[1]
    done = compress(contexts=[DOCUMENTS[2], long], question=QUESTION, method="longllmlingua",
                    rate=0.3, lm=Small(), tokenizer=str.split)  # fmt: skip
    assert done.text.startswith("Cats")


def test_documents_are_read_once():
    lm = Echo()
    done = compress(contexts=DOCUMENTS * 20, question=QUESTION, method="longllmlingua", rate=0.5,
                    lm=lm, tokenizer=str.split)  # fmt: skip
    assert done.model_tokens >= len(Words.piece.findall(" ".join(DOCUMENTS))) * 20
