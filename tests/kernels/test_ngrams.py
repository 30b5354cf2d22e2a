import hashlib
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.kernels import ngrams
from tamis.kernels.ngrams import bucket_counts, bucket_sums

TEXTS = st.lists(st.text() | st.text("aB .!", max_size=40), max_size=6)
HASHES = ["fast", "sha256"]


def as_arrays(texts):
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


def sha256_counts(texts, orders, buckets):
    counts = np.zeros(buckets, np.int64)
    for text in texts:
        words = re.findall(r"\w+|[^\w\s]+", text.lower())
        for order in range(1, orders + 1):
            for start in range(len(words) - order + 1):
                gram = " ".join(words[start : start + order])
                counts[int(hashlib.sha256(gram.encode()).hexdigest(), 16) % buckets] += 1
    return counts


def bucket_of(gram, buckets=10_000, hash="sha256"):
    """The bucket of all words of `gram` together: what N-grams add to shorter ones."""
    orders = len(gram.split())
    longer, shorter = (
        bucket_counts(*as_arrays([gram]), orders=n, buckets=buckets, hash=hash)
        if n
        else np.zeros(buckets, np.int64)
        for n in (orders, orders - 1)
    )
    return int(np.flatnonzero(longer - shorter)[0])


@pytest.mark.parametrize(
    ("gram", "bucket"),
    [("alice", 6720), ("alice went", 114), ("the", 8288), ("to the", 1087), ("!!", 9620),
     ("façade", 779), ("a b c", 3739)],
)  # fmt: skip
def test_sha256_buckets_are_the_published_ones(gram, bucket):
    assert bucket_of(gram) == bucket


@pytest.mark.parametrize("orders", [1, 2, 3])
@settings(deadline=None)
@given(texts=TEXTS)
def test_sha256_counts_are_those_of_plain_python(orders, texts):
    counts = bucket_counts(*as_arrays(texts), orders=orders, buckets=97, hash="sha256")
    assert counts.tolist() == sha256_counts(texts, orders, 97).tolist()


def test_a_full_memory_forgets_but_does_not_err(monkeypatch):
    texts = [" ".join(map(str, np.random.default_rng(0).integers(0, 500, 4000)))]
    monkeypatch.setattr(ngrams, "_MEMO_SLOTS", 4)
    counts = bucket_counts(*as_arrays(texts), orders=2, buckets=31, hash="sha256")
    assert counts.tolist() == sha256_counts(texts, 2, 31).tolist()
    assert len(ngrams._memo(31)) == 4


@pytest.mark.parametrize("hash", HASHES)
@settings(deadline=None)
@given(texts=TEXTS)
def test_a_sum_adds_the_values_of_its_buckets(hash, texts):
    values = np.random.default_rng(0).integers(-9, 9, 50).astype(float)
    sums, words = bucket_sums(*as_arrays(texts), values, orders=2, hash=hash)
    for i, text in enumerate(texts):
        counts = bucket_counts(*as_arrays([text]), orders=2, buckets=50, hash=hash)
        assert sums[i] == counts @ values  # whole numbers: exact in any order
        assert words[i] == len(re.findall(r"\w+|[^\w\s]+", text.lower()))


@pytest.mark.parametrize("hash", HASHES)
def test_batches_and_threads_change_no_bit(hash):
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice(list("abcdefghij"), draw.integers(0, 50))) for _ in range(200)]
    values = draw.normal(size=64)
    offsets, data = as_arrays(texts)

    def part(rows):
        return (
            bucket_sums(offsets[rows], data, values, orders=2, hash=hash)[0],
            bucket_counts(offsets[rows], data, orders=2, buckets=64, hash=hash),
        )

    whole_sums, whole_counts = part(slice(0, 201))
    with ThreadPoolExecutor(2) as threads:
        parts = list(threads.map(part, [slice(i, i + 8) for i in range(0, 200, 7)]))
    assert np.concatenate([sums for sums, _ in parts]).tolist() == whole_sums.tolist()
    assert sum(counts for _, counts in parts).tolist() == whole_counts.tolist()


def test_an_ngram_is_its_words_in_their_order():
    grams = ["a b", "b a", "ab", "a", "b", "b b", "a a", "a b a", "b a b", "longer_than_8 bytes"]
    assert len({bucket_of(gram, 2**16, "fast") for gram in grams}) == len(grams)


def test_the_bytes_of_a_word_all_count():
    # Words of 1 to 30 bytes, each with every one of its bytes changed in turn, and marks with
    # NULs after them ('-' and '.\0' differ by as much as their lengths).
    words = {"x" * n for n in range(1, 31)}
    words |= {"x" * i + "y" + "x" * (n - 1 - i) for n in range(1, 31) for i in range(n)}
    words |= {mark + "\0" * n for mark in "!\"#$%&'()*+,-./" for n in range(20)}
    counts = bucket_counts(*as_arrays(words), orders=1, buckets=2**22)
    assert np.count_nonzero(counts) == len(words)


@pytest.mark.parametrize("form", ["w{}", "{}", "{:x}", "a_long_word_{}", "{}_and_its_tail"])
def test_the_fast_hash_spreads_like_chance(form):
    # 10,000 different words leave about 10,000/e of 10,000 buckets empty, and as many with
    # one, half as many with two (Poisson), give or take the square root.
    words = [form.format(i) for i in range(10_000)]
    found = np.bincount(bucket_counts(*as_arrays(words), orders=1, buckets=10_000))[:3]
    expected = 10_000 / np.e / np.array([1, 1, 2])
    assert (np.abs(found - expected) < 4 * np.sqrt(expected)).all()


def test_no_texts_have_no_ngrams():
    assert bucket_counts(*as_arrays([]), orders=2, buckets=5).tolist() == [0] * 5
    sums, words = bucket_sums(*as_arrays(["", "  "]), np.ones(5), orders=2)
    assert (sums.tolist(), words.tolist()) == ([0, 0], [0, 0])
