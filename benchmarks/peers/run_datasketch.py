"""Run datasketch's MinHash and LSH on one core; runs in its own environment.

Arguments: texts (JSON Lines with a `text`). The last line printed is a JSON object.
"""

import json
import sys
import time
from pathlib import Path

from datasketch import MinHash, MinHashLSH

HASHES, NGRAM = 128, 5


def shingles(text: str) -> list[bytes]:
    """Return the runs of `NGRAM` words of a text; all of a shorter one."""
    words = text.lower().split()
    runs = range(max(len(words) - NGRAM, 0) + 1)
    return [" ".join(words[i : i + NGRAM]).encode() for i in runs]


def main(path: Path) -> None:
    """Print the seconds and the rows dropped."""
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    started = time.process_time()
    index, dropped = MinHashLSH(threshold=0.8, num_perm=HASHES), []
    for i, text in enumerate(texts):
        signed = MinHash(num_perm=HASHES)
        signed.update_batch(shingles(text))
        if index.query(signed):
            dropped.append(i)
        else:
            index.insert(i, signed)
    seconds = time.process_time() - started
    print(json.dumps({"seconds": seconds, "dropped": dropped}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
