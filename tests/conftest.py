import ast
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import hypothesis  # first: its plug-ins fail once vLLM has frozen the garbage collector
import pytest
from browsing import browser, chromium  # noqa: F401 - fixtures of report and ui

# The same inputs every time, so that what fails fails again; TAMIS_FUZZ=1 and more tries others.
hypothesis.settings.register_profile("tamis", derandomize="TAMIS_FUZZ" not in os.environ)
hypothesis.settings.load_profile("tamis")


def pytest_collection_finish():
    """Forget the modules that a missing extra left half made: looking for doctests keeps them."""
    if find_spec("torch") is None:
        for name, module in [*sys.modules.items()]:
            if name.startswith("tamis.") and _half_made(module):
                del sys.modules[name]


def _half_made(module):
    body = ast.parse(Path(module.__file__).read_text("utf-8")).body
    made = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return not all(hasattr(module, name) for name in made)


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    """Every test has a TAMIS_HOME and a working directory of its own."""
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A real Prefect server for all tests, on a port and a database of its own."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    folder = tmp_path_factory.mktemp("prefect")
    with (
        temporary_settings(updates={PREFECT_HOME: folder}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield PREFECT_API_URL.value()
