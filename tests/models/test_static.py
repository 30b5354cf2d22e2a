"""A static embedder is a sum of vectors: small enough to be worked out by hand."""

import json
from itertools import pairwise

import numpy as np
import pytest

from tamis.errors import ModelError
from tamis.models.static import StaticEmbedder, tensors

WORDS = ["sea", "blue", "the", "in"]
TEXTS = [
    "The sky is blue, and the sea below it is bluer still.",
    "Größe, NAÏVE café, Ærø; 東京は日本の首都です。 Привет, мир!",
    "def add(a, b):\n\treturn a + b\r\n\f#### ## print(add(1, 2))",
    "no-break\u00a0space, wide\u3000space, a zero\x00byte",
    "the" * 40,
    "",
    " \n",
]


def letter(byte):
    """The letter that stands for a byte in a byte-level vocabulary (GPT-2)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return chr(
        byte if byte in shown else 256 + [b for b in range(256) if b not in shown].index(byte)
    )


def vocabulary():
    letters = [letter(byte) for byte in range(256)]
    return ["[UNK]", *WORDS, "##er", *letters, *(f"##{one}" for one in letters)]


def saved(folder, vectors):
    """Write an embedder of `vocabulary`, whose first words have these vectors."""
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 1_000_000,
        "vocab": {token: number for number, token in enumerate(vocabulary())},
    }
    split = {"type": "Split", "invert": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                split | {"pattern": {"Regex": "[ \\t\\n\\r\\f\\v]+"}, "behavior": "Removed"},
                split | {"pattern": {"Regex": "[!-/:-@\\[-`{-~]"}, "behavior": "Isolated"},
                {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "trim_offsets": True,
                    "use_regex": False,
                },
            ],
        },
        "post_processor": None,
        "decoder": None,
        "model": model,
    }
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    table = np.zeros((len(vocabulary()), vectors.shape[1]), np.int8)
    table[1 : len(vectors) + 1] = vectors
    shape = {"dtype": "I8", "shape": table.shape, "data_offsets": [0, table.nbytes]}
    header = json.dumps({"embedding.weight": shape, "__metadata__": {"format": "np"}}).encode()
    content = len(header).to_bytes(8, "little") + header + table.tobytes()
    (folder / "model.safetensors").write_bytes(content)
    return str(folder)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """'sea' is (3, 0), 'blue' (0, 4), 'the' (0, 0), 'in' (1, 1); all else is (0, 0)."""
    vectors = np.array([[3, 0], [0, 4], [0, 0], [1, 1]])
    return StaticEmbedder(saved(tmp_path_factory.mktemp("static") / "numbers", vectors))


def test_a_text_is_the_direction_of_its_words_each_by_the_root_of_its_count(numbers):
    # sea + blue = (3, 4), of length 5; √4 sea + in = (7, 1), of length √50.
    found = numbers.embed(["Blue sea", "sea, SEA in: sea sea"])
    np.testing.assert_allclose(found, [[0.6, 0.8], np.array([7, 1]) / 50**0.5], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("nothing", ["", " \n\t", "the", "the unknown"])
def test_a_text_that_says_nothing_has_no_direction(numbers, nothing):
    assert np.isnan(numbers.embed(["sea", nothing])[1]).all()


def test_no_texts_have_no_vectors(numbers):
    assert numbers.embed([]).shape == (0, 2)


def test_a_word_is_cut_into_the_longest_pieces_there_are(numbers):
    # 'bluer' = blue + ##r, not b + ##l + …; 'seaer' = sea + ##er; 'xsea' holds no 'sea'.
    starts, pieces = numbers.pieces(["bluer", "seaer", "xsea", "in-sea"])
    names = vocabulary()
    cut = [[names[piece] for piece in pieces[a:b]] for a, b in pairwise(starts)]
    assert cut == [
        ["blue", "##r"],
        ["sea", "##er"],
        ["x", "##s", "##e", "##a"],
        ["in", "-", "sea"],
    ]


def test_words_are_cut_as_the_tokenizers_library_cuts_them(tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason='pip install "tamis[models]"')
    folder = saved(tmp_path / "model", np.ones((1, 2)))
    theirs = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
    starts, pieces = StaticEmbedder(folder).pieces(TEXTS)
    for text, (first, last) in zip(TEXTS, pairwise(starts), strict=True):
        assert pieces[first:last].tolist() == theirs.encode(text).ids, text


def test_neither_threads_nor_neighbours_change_a_vector(tmp_path):
    vectors = np.random.default_rng(0).integers(-128, 128, size=(5, 8))
    folder = saved(tmp_path / "model", vectors)
    long = [f"{'sea blue in ' * 5000} {number}" * (number % 7) for number in range(60)]
    one, four = StaticEmbedder(folder, threads=1), StaticEmbedder(folder, threads=4)
    together = one.embed(long)
    np.testing.assert_array_equal(together, four.embed(long))
    alone = np.vstack([one.embed([text]) for text in long[:9]])
    np.testing.assert_array_equal(together[:9], alone)


def test_another_vector_is_another_fingerprint(tmp_path):
    first = StaticEmbedder(saved(tmp_path / "a", np.ones((2, 2)))).fingerprint
    again = StaticEmbedder(saved(tmp_path / "b", np.ones((2, 2)))).fingerprint
    other = StaticEmbedder(saved(tmp_path / "c", np.eye(2))).fingerprint
    assert first == again != other


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match="is not a static embedder"):
        StaticEmbedder(str(tmp_path))


def test_a_torn_file_is_not_safetensors(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{not json")
    with pytest.raises(ValueError, match="is not safetensors"):
        tensors(tmp_path / "model.safetensors")


def test_a_vocabulary_without_every_byte_is_refused(tmp_path):
    folder = tmp_path / "model"
    saved(folder, np.ones((1, 2)))
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    del tokenizer["model"]["vocab"]["##q"]
    path.write_text(json.dumps(tokenizer), "utf-8")
    with pytest.raises(ModelError, match="every single byte"):
        StaticEmbedder(str(folder))
