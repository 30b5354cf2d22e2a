"""Write the reference from the docstrings into site/: `make docs`.

A module whose extra is not installed is left out, and named.
"""

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

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
        if found.ispkg:
            yield from modules(found.name, list(module.__path__))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    pdoc.render.configure(docformat="numpy")
    pdoc.pdoc("tamis", *modules("tamis", list(tamis.__path__)), output_directory=SITE)
