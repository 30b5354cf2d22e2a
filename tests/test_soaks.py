"""What benchmarks do for hours, for a few seconds: kills, and readers beside a writer."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("soak", "says"),
    [
        (["kills", "--kills", "4", "--rows", "300"], "nothing lost, nothing twice"),
        (["readers", "--seconds", "5"], "queries, no error"),
    ],
)
def test_a_short_soak_meets_no_trouble(soak, says):
    command = [sys.executable, "-m", f"benchmarks.{soak[0]}", *soak[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert says in done.stdout
