import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np

import tamis
from tamis.errors import ModelError
from tamis.models.tokens import Piece
from tamis.prompting import SummaryVectors
from tamis.prompting.soft import ICAE
from tamis.prompting.soft.texts import tokens_of

SAMPLE = "data/instructions.jsonl.zst"

TOPICS = [  # how a text begins, and how it may go on
    (
        "What are the symptoms of diabetes? People with diabetes are often thirsty and tired, "
        "and have high blood sugar. Insulin is a hormone that the pancreas makes. ",
        "Treatment of diabetes includes insulin, and a diet with less sugar.",
    ),
    (
        "def add(a, b):\n    return a + b\n\n\nclass Parser:\n    def __init__(self, name):\n"
        "        self.name = name\n\n    def parse(self, value):\n        return value\n",
        "    def get(self, name):\n        return self.name\n",
    ),
    (
        "Fellow citizens of the Senate and of the House of Representatives: The Congress of the "
        "United States has made laws for the peace and the welfare of the nation. ",
        "The people of the United States and their Government wish for peace.",
    ),
]


@pytest.fixture(scope="module")
def shipped():
    return SummaryVectors.from_pretrained("bundled")


def test_it_belongs_to_the_language_model_that_ships(shipped):
    # Fails where that was trained again and training.summary was not.
    assert shipped.encode(TOPICS[0][0] * 20).shape == (50 * 3, 256)


def test_a_text_is_likelier_after_its_own_vectors_than_after_anothers(shipped):
    vectors = [shipped.encode(text * 3) for text, _ in TOPICS]
    told = np.array([[shipped.logprobs(z, rest).mean() for z in vectors] for _, rest in TOPICS])
    assert told.argmax(axis=1).tolist() == [0, 1, 2]


def test_vectors_tell_more_of_what_follows_than_as_many_first_tokens(shipped):
    rows = tamis.load(SAMPLE, progress=False)
    tokens = (np.concatenate([*tokens_of(shipped.base, text)]) for text in rows["output"][:])
    texts = [ids for ids in tokens if len(ids) >= 256 + 64][:16]
    assert len(texts) == 16
    following = [ids[256:320] for ids in texts]
    vectors = [
        shipped.logprobs_of(shipped.encode_tokens([ids[:256]]), rest).mean()
        for ids, rest in zip(texts, following, strict=True)
    ]
    pieces = [Piece(np.concatenate([ids[:50], ids[256:320]]), 50) for ids in texts]
    truncated = [told.mean() for told in shipped.base._run(pieces)]
    assert np.mean(vectors) > np.mean(truncated)


def test_what_does_not_ship_is_said_so():
    with pytest.raises(ModelError, match="icae: none ships with tamis; train one"):
        ICAE.from_pretrained("bundled")
