"""`make docs`: the reference shows what a user is told to import."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pdoc", reason='pip install "tamis[dev]"')

SCRIPT = Path(__file__).parents[1] / "docs" / "reference.py"
CODE = f"""
import runpy, tamis
runpy.run_path({str(SCRIPT)!r})["_bring_in"](tamis, ["tamis.kernels", "tamis.kernels.kcenter"])
assert {{"run", "load", "kernels"}} <= set(tamis.__all__) and "kcenter" not in tamis.__all__
assert "run" in vars(tamis)
"""


def test_what_is_imported_when_first_used_is_laid_where_the_reference_looks():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
