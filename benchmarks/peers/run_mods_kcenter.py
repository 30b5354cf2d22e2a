"""Pick k centres as MoDS' code does; runs in its own environment.

Arguments: a .npy file of points and k. MoDS' own file stops on NumPy 2 (it asks for a name
that is gone), so this is its loop written anew: one call of scikit-learn's
`pairwise_distances` from all points to the newest pick, a step. The last line printed is a
JSON object of seconds on the wall and the picks.
"""

import json
import sys
import time

import numpy as np
from sklearn.metrics import pairwise_distances


def main(path: str, k: int) -> None:
    """Print the seconds and the picks."""
    points = np.load(path)
    started = time.perf_counter()
    picks, gap = [0], pairwise_distances(points, points[:1]).ravel()
    while len(picks) < k:
        picks.append(int(gap.argmax()))
        gap = np.minimum(gap, pairwise_distances(points, points[picks[-1:]]).ravel())
    print(json.dumps({"seconds": time.perf_counter() - started, "picks": picks}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
