import hashlib

import numpy as np
import pytest

from tamis.kernels.sha256 import sha256_mod

CONTENT = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
# Lengths about the borders of blocks (55, 64, 119), side by side with short ones.
LENGTHS = [*range(200), *range(7), 1000, 3, 4999, 12]


@pytest.mark.parametrize("modulus", [1, 10_000, 2**28])
def test_is_what_hashlib_says(modulus):
    begins = np.arange(len(LENGTHS)) % 2
    ends = np.minimum(begins + LENGTHS, len(CONTENT))
    rests = np.empty(len(LENGTHS), np.int64)
    sha256_mod(CONTENT, begins, ends, modulus, rests)
    digests = [
        hashlib.sha256(CONTENT[begin:end].tobytes()).hexdigest()
        for begin, end in zip(begins, ends, strict=True)
    ]
    assert rests.tolist() == [int(digest, 16) % modulus for digest in digests]


def test_none_are_none():
    none = np.empty(0, np.int64)
    sha256_mod(CONTENT, none, none, 10, none)
