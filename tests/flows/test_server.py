"""Where no server is set up, a run has one of its own, which ends with it in any case."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scheduling import eventually

POOL = Path(__file__).parents[2] / "data" / "instructions.jsonl.zst"
BEGIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background ignores
from tamis.flows import server
server.begin_server()
print(server._own.process.pid, flush=True)
with server.connected():
    from prefect.settings import PREFECT_API_URL
    print(PREFECT_API_URL.value(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def environment(tmp_path):
    """No server, and a database of its own."""
    own = {**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")}
    own.pop("PREFECT_API_URL", None)
    return own


@pytest.fixture
def begun(environment):
    """A process that has begun a server, and waits."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", BEGIN], env=environment, **pipes) as process:
        yield process
        process.kill()


def _is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"  # nobody asks for its end
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, None])
def test_a_server_of_our_own_answers_and_ends_with_us(begun, end):
    server = int(begun.stdout.readline())
    assert begun.stdout.readline().startswith("http://127.0.0.1:")
    assert not _is_gone(server)
    if end is None:
        begun.stdin.close()
    else:
        begun.send_signal(end)
    begun.wait(60)
    eventually(lambda: _is_gone(server), "the server's end")


BEFORE = "import sys\nfrom tamis.flows import server\n"
NAMED = "http://127.0.0.1:9/api"


def _said(code, environment, folder):
    command = [sys.executable, "-c", BEFORE + code]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_server_is_begun_before_prefect_is_imported(environment, tmp_path):
    said = _said("print(server.begin_server(), 'prefect' in sys.modules)", environment, tmp_path)
    assert said.startswith("http://127.0.0.1:")
    assert said.endswith("/api False")


@pytest.mark.parametrize(
    "place", ["environment", "profile", ".env", "prefect.toml", "pyproject.toml"]
)
def test_a_server_that_is_named_anywhere_is_the_one(environment, tmp_path, place):
    settings = f'[api]\nurl = "{NAMED}"\n'
    files = {
        "profile": (
            "prefect/profiles.toml",
            f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{NAMED}"\n',
        ),
        ".env": (".env", f"PREFECT_API_URL={NAMED}\n"),
        "prefect.toml": ("prefect.toml", settings),
        "pyproject.toml": ("pyproject.toml", settings.replace("[api]", "[tool.prefect.api]")),
    }
    if place == "environment":
        environment["PREFECT_API_URL"] = NAMED
    else:
        name, text = files[place]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    said = _said("print(server.begin_server(), server._set_up())", environment, tmp_path)
    assert said == f"None {NAMED}"


def test_a_run_needs_no_server_set_up(environment, tmp_path):
    command = [sys.executable, "-m", "tamis.cli", "run", "curate", "--pool", str(POOL)]
    target = ["--target", str(POOL.with_name("seed_tasks.jsonl")), "--k", "10"]
    done = subprocess.run(
        [*command, *target], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "3 dsir" in done.stdout
    assert (tmp_path / "prefect" / "prefect.db").is_file()


def test_a_server_that_cannot_start_is_one_line(environment, tmp_path):
    nowhere = f"sqlite+aiosqlite:///{tmp_path}/no/such/folder/prefect.db"
    environment["PREFECT_API_DATABASE_CONNECTION_URL"] = nowhere
    command = [sys.executable, "-m", "tamis.cli", "run", "curate", "--pool", str(POOL), "--k", "9"]
    target = ["--target", str(POOL.with_name("seed_tasks.jsonl"))]
    done = subprocess.run(
        [*command, *target], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tamis: Prefect's server did not start")
    assert done.stderr.count("\n") == 1
