"""Run rensa's near-duplicate flags on one core; runs in its own environment.

Arguments: texts (JSON Lines with a `text`). Its fastest way is taken: one call for all
signatures, one for all flags. The last line printed is a JSON object.
"""

import json
import sys
import time
from pathlib import Path

from rensa import RMinHash, RMinHashLSH

HASHES, BANDS, NGRAM = 128, 16, 5


def shingles(text: str) -> list[str]:
    """Return the runs of `NGRAM` words of a text; all of a shorter one."""
    words = text.lower().split()
    return [" ".join(words[i : i + NGRAM]) for i in range(max(len(words) - NGRAM, 0) + 1)]


def main(path: Path) -> None:
    """Print the seconds and the rows dropped."""
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    started = time.process_time()
    signed = RMinHash.digest_matrix_from_token_sets(map(shingles, texts), HASHES, 42)
    index = RMinHashLSH(threshold=0.8, num_perm=HASHES, num_bands=BANDS)
    flags = index.query_duplicate_flags_matrix_one_shot(signed)
    seconds = time.process_time() - started
    dropped = [i for i, flag in enumerate(flags) if flag]
    print(json.dumps({"seconds": seconds, "dropped": dropped}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
