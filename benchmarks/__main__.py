"""Measure tamis beside its peers: `python -m benchmarks [NAME …]`, or `make bench` for all.

What is found is kept, and `docs/benchmarks.md` written from all that is kept: names may be
measured one by one. The files of this folder that compare nothing print tables of their own,
as `python -m benchmarks.NAME`.
"""

import sys
import time
from importlib import import_module

from benchmarks.results import keep, shown, write_page

BESIDE = ["dsir", "minhash", "kcenter", "knn", "shapley", "rouge", "scoring", "compression"]


def main(names: list[str]) -> None:
    """Measure the benchmarks `names`, print what they find, and write the page."""
    if unknown := [name for name in names if name not in BESIDE]:
        sys.exit(f"no benchmark beside peers: {', '.join(unknown)}; give some of {BESIDE}")
    for name in names or BESIDE:
        print(f"== {name}", flush=True)
        started, rows = time.perf_counter(), []
        for row in import_module(f"benchmarks.{name}").rows():
            rows.append(row)
            print(shown(row), flush=True)
            keep(name, rows, (time.perf_counter() - started) / 60)  # if it is cut off, so much is
        write_page(BESIDE)


if __name__ == "__main__":
    main(sys.argv[1:])
