"""Write the reference from the docstrings into site/: `make docs`.

What needs an extra that is not installed is left out, and named.
"""

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pdoc

import tamis

SITE = Path("site")


def modules(package: str, path: list[str]) -> Iterator[str]:
    """Yield the importable modules below a package; commands have their own help."""
    for found in pkgutil.iter_modules(path, f"{package}."):
        if found.name == "tamis.cli":
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError as error:
            sys.stderr.write(f"left out: {found.name} ({error})\n")
            continue
        yield found.name
        below = list(modules(found.name, list(module.__path__))) if found.ispkg else []
        _bring_in(module, below)
        yield from below


def _bring_in(module: ModuleType, below: list[str]) -> None:
    """Lay what a module brings when it is asked where pdoc looks; list the modules below it."""
    there = []
    for name in getattr(module, "__all__", ()):
        try:
            setattr(module, name, getattr(module, name))
        except ImportError as error:
            sys.stderr.write(f"left out: {module.__name__}.{name} ({error})\n")
        else:
            there.append(name)
    if there:
        depth = module.__name__.count(".") + 1
        own = [name.split(".")[-1] for name in below if name.count(".") == depth]
        module.__all__ = [*there, *(name for name in own if name not in there)]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    pdoc.render.configure(docformat="numpy")
    known = list(modules("tamis", list(tamis.__path__)))
    _bring_in(tamis, known)
    pdoc.pdoc("tamis", *known, output_directory=SITE)
