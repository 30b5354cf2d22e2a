import hashlib

import numpy as np
import pytest

from tamis.kernels.sha256 import sha256_mod

CONTENT = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)


@pytest.mark.parametrize("modulus", [1, 10_000, 2**31 - 1])
@pytest.mark.parametrize("lengths", [range(200), [1000, 4999]], ids=["short", "long"])
def test_is_what_hashlib_says(lengths, modulus):
    block = np.empty(64, np.uint32)
    for length in lengths:
        digest = hashlib.sha256(CONTENT[1 : 1 + length].tobytes()).hexdigest()
        assert sha256_mod(CONTENT, 1, 1 + length, modulus, block) == int(digest, 16) % modulus
