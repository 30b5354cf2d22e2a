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
        _leave_out_missing(module)
        yield found.name
        if found.ispkg:
            yield from modules(found.name, list(module.__path__))


def _leave_out_missing(module: ModuleType) -> None:
    """Take from `__all__` what a module brings when asked, and cannot bring here."""
    there = []
    for name in getattr(module, "__all__", ()):
        try:
            getattr(module, name)
        except ImportError as error:
            sys.stderr.write(f"left out: {module.__name__}.{name} ({error})\n")
        else:
            there.append(name)
    if there:
        module.__all__ = there


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    pdoc.render.configure(docformat="numpy")
    pdoc.pdoc("tamis", *modules("tamis", list(tamis.__path__)), output_directory=SITE)
