import subprocess
import sys

import pytest

import tamis

HEAVY = ["torch", "prefect", "faiss", "duckdb", "datasets", "pyarrow", "numba", "matplotlib"]


def test_importing_tamis_brings_in_nothing_heavy():
    code = "import sys, tamis; print([name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY, "numpy", "typer"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", tamis.__all__)
def test_every_name_of_the_front_door_opens(name):
    assert getattr(tamis, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        tamis.lod  # noqa: B018
