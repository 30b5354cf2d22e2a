"""Run every benchmark beside its peers, one after the other: `python -m benchmarks [NAME …]`.

Each prints a table of its own. A peer gets an environment of its own under `.benchmarks/`,
made when it is first needed; one that does not run is listed with its error. `kills` and
`readers`, which take long and compare nothing, run when they are named; so do `findings` and
`summary_vectors`, which need data of their own.
"""

import runpy
import sys
from pathlib import Path

APART = {"__init__", "__main__", "common", "findings", "kills", "readers", "summary_vectors"}
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in APART)

for name in sys.argv[1:] or NAMES:
    print(f"== {name}", flush=True)
    sys.argv = [name]
    runpy.run_path(str(Path(__file__).with_name(f"{name}.py")), run_name="__main__")
