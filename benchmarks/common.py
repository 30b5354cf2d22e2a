"""What the benchmarks share: peers in environments of their own, and figures with their spread."""

import json
import statistics
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = HERE.parent / ".benchmarks"


def environment(name: str, *requirements: str) -> Path:
    """Return the Python of an environment that has `requirements`; made once, under CACHE."""
    folder = CACHE / "environments" / name
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    made = folder / "made-with.json"
    if not made.exists() or json.loads(made.read_text()) != list(requirements):
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        made.write_text(json.dumps(requirements))
    return python


def answer(python: str | Path, script: str, *arguments: object) -> dict[str, Any]:
    """Run `script` of this folder; return the JSON object that is its last line."""
    command = [str(part) for part in (python, HERE / script, *arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def spread(figures: Sequence[float]) -> str:
    """Return the median of `figures`, and the least and the most.

    >>> spread([3.0, 1.0, 2.0])
    '2 (1 to 3)'
    """
    middle, least, most = statistics.median(figures), min(figures), max(figures)
    return f"{middle:.3g} ({least:.3g} to {most:.3g})"
