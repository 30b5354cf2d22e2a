"""What the benchmarks share: peers in environments of their own, and figures with their spread."""

import json
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")

HERE = Path(__file__).parent
CACHE = HERE.parent / ".benchmarks"

OURS = ("--constraint", "constraints.txt", "--editable", ".[models]")
"""tamis with torch, whatever the environment that the benchmarks are run in has."""

_WANTS = """
import re, sys
from importlib.metadata import requires
for line in requires(re.match(r"[\\w-]+", sys.argv[1])[0]) or []:
    if re.match(r"[\\w-]+", line)[0].lower() not in sys.argv[2:] and "extra ==" not in line:
        print(line)
"""


class PeerError(RuntimeError):
    """A peer that could not be installed, or that did not end well; the text is its last line."""


def environment(
    name: str, *requirements: str, bare: Sequence[str] = (), without: Sequence[str] = ()
) -> Path:
    """Return the Python of an environment that has `requirements`; made once, under CACHE.

    What is in `bare` is installed after those, with what it asks for but for the packages in
    `without`: those that have no build for this machine, or none that is wanted here.

    Raises
    ------
    PeerError
        If pip cannot install them.
    """
    folder = CACHE / "environments" / name
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    made = folder / "made-with.json"
    wanted = [*requirements, *bare, *(f"without {package}" for package in without)]
    if not made.exists() or json.loads(made.read_text()) != wanted:
        venv.create(folder, clear=True, with_pip=True)
        _install(python, *requirements)
        for package in bare:
            _install(python, "--no-deps", package)
            asked = _run([python, "-c", _WANTS, package, *without]).splitlines()
            _install(python, *requirements, *asked)
        made.write_text(json.dumps(wanted))
    return python


def _install(python: Path, *what: str) -> None:
    if what:
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what])


def answer(python: str | Path, script: str, *arguments: object) -> dict[str, Any]:
    """Run `script` of this folder; return the JSON object that is its last line.

    Raises
    ------
    PeerError
        If it does not end well.
    """
    return dict(json.loads(_run([python, HERE / script, *arguments]).splitlines()[-1]))


def _run(command: Sequence[object]) -> str:
    """Return what a command prints, run in the repository's root."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=HERE.parent
    )
    if done.returncode:
        raise PeerError(last_line(done.stderr) or f"ended with code {done.returncode}")
    return done.stdout


def in_turns(
    rounds: int, ours: Callable[[], Ours], theirs: Callable[[], Theirs]
) -> tuple[list[Ours], list[Theirs], str]:
    """Return what each gave in every round, and '', or nothing of the peer's and its error."""
    mine, peers, error = [], [], ""
    for _ in range(rounds):
        mine.append(ours())
        if error:
            continue
        try:
            peers.append(theirs())
        except PeerError as failure:
            error, peers = str(failure), []
    return mine, peers, error


def last_line(said: str) -> str:
    r"""Return the last line that names an error, or else the last.

    >>> last_line("ERROR: No matching distribution\nWARNING: an index was ignored\n")
    'ERROR: No matching distribution'
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line or line.startswith("ERROR")]
    return (named or lines or [""])[-1]


def spread(figures: Sequence[float]) -> str:
    """Return the median of `figures`, and the least and the most.

    >>> spread([3.0, 1.0, 2.0])
    '2 (1 to 3)'
    """
    return "{} ({} to {})".format(
        *map(_figure, (statistics.median(figures), min(figures), max(figures)))
    )


def _figure(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
