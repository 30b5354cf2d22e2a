import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels.characters import character_table
from tamis.kernels.lexemes import word_hashes
from tamis.kernels.minhash import (
    agreement,
    band_keys,
    bands_for,
    jaccard,
    permutations,
    shingle_sets,
    signatures,
    text_keys,
)
from tamis.kernels.spans import room_for

GOLDEN = json.loads((Path(__file__).parent.parent / "golden/dedup.json").read_text())
BYTES = st.lists(st.one_of(st.text().map(str.encode), st.binary()), max_size=5)


def buffers(*texts):
    parts = [text.encode() if isinstance(text, str) else text for text in texts]
    offsets = np.cumsum([0, *map(len, parts)])
    return offsets, np.frombuffer(b"".join(parts), np.uint8)


def sets_of(*texts, ngram=5):
    bounds, hashes = shingle_sets(*buffers(*texts), character_table(), ngram)
    return [hashes[bounds[i] : bounds[i + 1]] for i in range(len(texts))]


def words_of(text):
    _, data = buffers(text)
    hashes = np.empty(len(data) + 1, np.uint64)
    count = word_hashes(data, 0, len(data), character_table(), room_for(len(data)), hashes)
    return hashes[:count].tolist()


def test_jaccard_of_shingles_is_the_published_one():
    # The golden file shingles without lower case and leaves out texts of fewer words.
    docs, expected = GOLDEN["docs"], GOLDEN["expected_jaccard"]
    comparable = [i for i, doc in enumerate(docs) if doc == doc.lower() and len(doc.split()) >= 5]
    assert len(comparable) == 6
    sets = sets_of(*docs, ngram=GOLDEN["shingle"])
    for i in comparable:
        for j in comparable:
            assert jaccard(sets[i], sets[j]) == pytest.approx(expected[i][j], rel=1e-12)


def test_case_and_punctuation_do_not_part_texts():
    docs = GOLDEN["docs"]
    plain, shouted = sets_of(docs[0], docs[5])
    assert plain.tolist() == shouted.tolist()
    assert [s.tolist() for s in sets_of("One, two; three.")] == [
        s.tolist() for s in sets_of("one two (three)")
    ]


@pytest.mark.parametrize("curve", GOLDEN["lsh_curve"], ids=lambda c: f"{c['bands']}x{c['rows']}")
def test_agreement_is_the_published_curve(curve):
    for similarity, expected in curve["expected"].items():
        ours = agreement(float(similarity), curve["bands"], curve["rows"])
        assert ours == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.floats(0.001, 1), st.floats(0.01, 0.9999))
def test_bands_reach_the_recall_asked_for(near, recall):
    bands, rows = bands_for(near, recall)
    assert agreement(near, bands, rows) >= recall - 1e-9
    assert rows == 1 or bands * rows <= 128


@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.8, 0.95])
def test_the_estimate_errs_as_the_theory_says(similarity):
    # sqrt(J (1 − J) / P). 400 pairs of sets: the spread of errors is itself known to 1 in 28.
    draw, hashes, size = np.random.default_rng(0), 128, 200
    shared = round(similarity * size)
    errors = []
    for _ in range(400):
        words = [f"w{n}" for n in draw.integers(10**9, size=size)]
        left, right = words[: (size + shared) // 2], words[:shared] + words[(size + shared) // 2 :]
        texts = buffers(" ".join(left), " ".join(right))
        signed, _ = signatures(*texts, character_table(), 1, permutations(hashes))
        errors.append((signed[0] == signed[1]).mean() - similarity)
    theory = np.sqrt(similarity * (1 - similarity) / hashes)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(theory, rel=0.15)
    assert abs(np.mean(errors)) < 4 * theory / np.sqrt(400)


def test_pairs_share_a_band_as_often_as_the_curve_says():
    draw, bands, rows = np.random.default_rng(1), 10, 4
    met = 0
    for _ in range(600):
        words = [f"w{n}" for n in draw.integers(10**9, size=100)]  # 80 of 100 in common
        texts = buffers(" ".join(words[:90]), " ".join(words[:80] + words[90:]))
        signed, _ = signatures(*texts, character_table(), 1, permutations(bands * rows))
        keys = band_keys(signed, bands)
        met += (keys[:, 0] == keys[:, 1]).any()
    expected = agreement(0.8, bands, rows)
    assert met / 600 == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 600))


@settings(deadline=None)
@given(st.text(st.sampled_from("abcAB12_ \n.,-'"), max_size=60))
def test_words_are_those_of_a_regular_expression(text):
    expected = re.findall(r"\w+", text.lower())
    words = words_of(text)
    assert len(words) == len(expected)
    kinds = dict(zip(words, expected, strict=True))
    assert [kinds[word] for word in words] == expected  # equal hashes, equal words


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("機械学習", 4),  # each Han character is a word: no giant token
        ("ひらがな カタカナ", 8),
        ("ภาษาไทย", 7),
        ("한국어 문장", 2),  # Hangul has spaces
        ("हिन्दी भाषा", 2),  # vowel signs are inside the word
        ("naïve café", 2),
        ("co\u00adoperate", 1),  # a soft hyphen is not there
        ("1 + 1 = 2", 5),
        ("😀😀", 2),
        ("…!?", 0),
    ],
)
def test_words_suit_the_script(text, count):
    assert len(words_of(text)) == count


def test_a_vowel_sign_makes_another_word():
    assert words_of("की") != words_of("का")


def test_other_signs_make_other_sums():
    assert sets_of("3 + 4")[0].tolist() != sets_of("3 = 4")[0].tolist()


def test_a_short_text_is_one_shingle_and_a_wordless_one_none():
    counts = [len(shingles) for shingles in sets_of("a b c d e f", "a b", "?!", "", ngram=5)]
    assert counts == [2, 1, 0, 0]


@pytest.mark.parametrize("words", [5, 35, 36, 37, 300, 3000])
def test_a_set_has_each_shingle_once_in_order(words):
    numbers = np.random.default_rng(2).integers(3, size=words)  # many shingles occur again
    runs = {tuple(numbers[i : i + 5].tolist()) for i in range(words - 4)}
    (shingles,) = sets_of(" ".join(f"w{n}" for n in numbers))
    assert len(shingles) == len(runs)
    assert (np.diff(shingles.astype(np.int64)) > 0).all()


def test_order_of_words_counts():
    left, right = sets_of("a b c d e", "e d c b a")
    assert jaccard(left, right) == 0


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("Hello  World", " hello\nworld\t", True),
        ("hello world", "helloworld", False),
        ("a b", "a  b c", False),
        ("Straße", "STRASSE", False),
        ("ΣΑΣ", "σας", False),  # a final sigma is not a sigma in the text as written
        ("", " \n\u3000", True),
        ("a.", "a", False),
    ],
)
def test_exact_keys_forget_case_and_space_only(left, right, equal):
    first, second = text_keys(*buffers(left, right), character_table())
    assert (first == second).all() == equal


@settings(deadline=None)
@given(BYTES, st.integers(1, 6))
def test_no_bytes_break_a_kernel_and_neighbours_do_not_matter(texts, ngram):
    table, together = character_table(), buffers(*texts)
    keys = text_keys(*together, table)
    signed, counts = signatures(*together, table, ngram, permutations(8))
    sets = sets_of(*texts, ngram=ngram)
    for i, text in enumerate(texts):
        alone = buffers(text)
        assert (text_keys(*alone, table)[0] == keys[i]).all()
        assert (signatures(*alone, table, ngram, permutations(8))[0][0] == signed[i]).all()
        assert (np.diff(sets[i].astype(np.int64)) > 0).all()
        assert len(sets[i]) <= counts[i] <= len(text) + 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), max_size=15), st.lists(st.integers(0, 20), max_size=15))
def test_jaccard_is_that_of_sets(left, right):
    left, right = set(left), set(right)
    arrays = [np.array(sorted(values), np.uint32) for values in (left, right)]
    expected = len(left & right) / len(left | right) if left | right else 0
    assert jaccard(*arrays) == expected
