"""`tamis serve --proxy`, as a person starts it, in a process of its own."""

import signal
import socket
import subprocess
import sys
import time

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from tests.models.faulty import Reply, faulty  # noqa: E402

COMMAND = [sys.executable, "-m", "tamis.cli", "serve"]


def refused(*arguments):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120)
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_a_proxy_compresses_until_it_is_interrupted(tiny_folder):
    with faulty(lambda path, body, number: Reply({"said": body["prompt"]})) as upstream:
        port = str(_free_port())
        how = ["--method", "truncate", "--tokenizer", tiny_folder]
        running = subprocess.Popen(
            [*COMMAND, "--proxy", upstream.url, "--port", port, *map(str, how)],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                _wait_for(client, running)
                text = "Ada Lovelace wrote the first program of all."
                body = {"prompt": text, "tamis": {"rate": 0.5}}
                said = client.post("/v1/completions", json=body).json()["said"]
                assert text.startswith(said)
                assert 0 < len(said) < len(text)
                assert client.get("/tamis/totals").json()["saved_tokens"] > 0
        finally:
            running.send_signal(signal.SIGINT)
            told = running.communicate(timeout=60)[1]
    assert f"http://127.0.0.1:{port}/v1" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--proxy", "http://localhost:1/v1", "--host", "0.0.0.0"], "set TAMIS_TOKEN"),
        (["--proxy", "localhost:8000"], "write it as http"),
        (["--lm", "bundled"], "--lm belongs to --proxy"),
    ],
)
def test_mistakes_are_one_line_and_leave_with_2(arguments, reason, monkeypatch):
    monkeypatch.delenv("TAMIS_TOKEN", raising=False)
    code, told = refused(*arguments)
    assert code == 2
    assert reason in told


def _wait_for(client, running):
    end = time.monotonic() + 120
    while True:
        assert running.poll() is None
        assert time.monotonic() < end
        try:
            return client.get("/tamis/totals")
        except httpx.TransportError:
            time.sleep(0.2)


def _free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]
