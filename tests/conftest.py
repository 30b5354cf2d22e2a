import hypothesis  # noqa: F401 - its plug-ins fail once vLLM has frozen the garbage collector
import pytest
from browsing import chromium  # noqa: F401 - a fixture of report and ui


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
