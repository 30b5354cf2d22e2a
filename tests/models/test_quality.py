"""The scorer is arithmetic on counts; training/evaluate_quality.py measures what it learnt."""

import json

import numpy as np
import pytest

from tamis.errors import ModelError
from tamis.kernels.answers import BYTES, PIECES, byte_counts, piece_counts
from tamis.models import bundled
from tamis.models.quality import QualityScorer, looks
from tamis.models.static import StaticEmbedder

PROMPTS = ["What is a drum sieve?", "Name a fruit.", "", "Name a fruit."]
ANSWERS = ["A round frame with a mesh. It sifts flour.", "Pear", "No prompt.", ""]


@pytest.fixture(scope="module")
def embedder():
    return StaticEmbedder(str(bundled("embedder")))


@pytest.fixture
def scorer(tmp_path, embedder):
    """A scorer that adds log(1 + pieces of the answer), twice, and takes 1 off."""
    width = looks(embedder, PROMPTS, ANSWERS).shape[1]
    direct, hidden = np.zeros(width), np.zeros((1, width))
    direct[1] = hidden[0, 1] = 1
    weights = {
        "mean": np.zeros(width), "scale": np.ones(width), "direct": direct, "hidden": hidden,
        "hidden_bias": np.array([-1.0]), "out": np.array([1.0]),
    }  # fmt: skip
    return QualityScorer(written(tmp_path, weights, embedder.fingerprint), embedder)


def written(folder, weights, fingerprint):
    header, content = {}, b""
    for name, weight in weights.items():
        start, content = len(content), content + weight.astype("f4").tobytes()
        at = [start, len(content)]
        header[name] = {"dtype": "F32", "shape": weight.shape, "data_offsets": at}
    text = json.dumps(header).encode()
    whole = len(text).to_bytes(8, "little") + text + content
    (folder / "model.safetensors").write_bytes(whole)
    config = {"embedder": fingerprint, "slope": 2.0, "shift": -1.0}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_a_score_is_what_its_weights_say(scorer, embedder):
    # x = log(1 + pieces); strength = x + max(x - 1, 0); logit = 2 strength - 1.
    x = np.log1p(np.diff(embedder.pieces(ANSWERS[:2])[0]))
    expected = 2 * (x + np.maximum(x - 1, 0)) - 1
    found = scorer.logits(PROMPTS[:2], ANSWERS[:2])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    scores = scorer.score(PROMPTS[:2], ANSWERS[:2])
    np.testing.assert_allclose(scores, 5 / (1 + np.exp(-expected)), rtol=1e-6)
    assert scores.dtype == np.float32


def test_an_answer_without_words_has_no_score_and_one_without_a_prompt_has(scorer):
    assert np.isnan(scorer.score(PROMPTS, ANSWERS)).tolist() == [False, False, False, True]


def test_a_score_is_its_own_whatever_stands_beside_it(scorer):
    together = scorer.score(PROMPTS * 2000, ANSWERS * 2000)
    alone = [scorer.score([p], [a])[0] for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    np.testing.assert_array_equal(together[-4:], np.array(alone))


def test_a_scorer_of_another_embedder_is_refused(tmp_path, embedder):
    written(tmp_path, {"mean": np.zeros(1)}, "0" * 32)
    with pytest.raises(ModelError, match="another embedder"):
        QualityScorer(str(tmp_path), embedder)


def test_a_folder_without_a_scorer_is_named(tmp_path, embedder):
    with pytest.raises(ModelError, match="is not a quality scorer"):
        QualityScorer(str(tmp_path), embedder)


def test_counts_of_pieces_are_those_of_python_sets():
    draw = np.random.default_rng(0)
    rows = [
        (draw.integers(9, size=n), draw.integers(9, size=m)) for n in range(4) for m in range(9)
    ]
    starts = [np.cumsum([0, *(len(row[side]) for row in rows)]) for side in (0, 1)]
    pieces = [np.concatenate([row[side] for row in rows]).astype(np.int32) for side in (0, 1)]
    found = piece_counts(starts[0], pieces[0], starts[1], pieces[1], 9)
    assert found.shape == (36, len(PIECES))
    for (asked, answered), counts in zip(rows, found.tolist(), strict=True):
        pairs = set(zip(answered.tolist(), answered.tolist()[1:], strict=False))
        shared = int(np.isin(answered, asked).sum())
        expected = [len(asked), len(answered), len(set(answered.tolist())), shared, len(pairs)]
        assert counts == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Wait... what?! (1.5 m)", {"capitals": 1, "digits": 2, "sentences": 2, "ended": 1}),
        ("one\ntwo\n", {"lines": 2, "sentences": 0, "ended": 0}),
        ("Yes. \n", {"sentences": 1, "ended": 1, "marks": 1}),
        ("naïve", {"bytes": 6, "other": 2}),
        ("", dict.fromkeys(BYTES, 0)),
    ],
)
def test_counts_of_bytes(text, said):
    data = np.frombuffer(text.encode(), np.uint8)
    counts = dict(zip(BYTES, byte_counts(np.array([0, len(data)]), data)[0].tolist(), strict=True))
    assert said.items() <= counts.items()
