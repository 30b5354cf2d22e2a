"""Who may look, and what a page may do in a browser."""

import pytest
from starlette.testclient import TestClient

from tamis.errors import SettingError
from tamis.ui.app import explorer, serve

HERE = "http://127.0.0.1:8585"


@pytest.fixture
def client():
    return TestClient(explorer(), base_url=HERE)


@pytest.fixture
def guarded():
    return TestClient(explorer("s3cret"), base_url="http://box.example:8585")


@pytest.mark.parametrize("host", ["127.0.0.1:8585", "localhost", "[::1]:8585", "LOCALHOST:1"])
def test_this_machine_is_answered_by_its_own_names(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8585", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"]
)
def test_a_name_that_was_pointed_here_is_refused(client, host):
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 403
    assert "run" not in answer.text.lower()


def test_another_site_may_lead_here_but_ask_nothing(client):
    foreign = {"sec-fetch-site": "cross-site"}
    assert client.get("/", headers=foreign).status_code == 200
    assert client.get("/runs/last/rows?where=true", headers=foreign).status_code == 403


def test_without_the_token_nothing_is_answered(guarded):
    for path in ("/", "/style.css", "/?token=wrong", "/?token=", "/?token=s3cret%00é"):
        assert guarded.get(path).status_code == 401
    assert guarded.get("/", headers={"host": "127.0.0.1"}).status_code == 401


def test_the_token_is_brought_once_and_leaves_the_address(guarded):
    answer = guarded.get("//evil.example/?token=s3cret", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    assert guarded.get("/").status_code == 200


@pytest.mark.parametrize("path", ["/", "/style.css", "/nowhere", "/runs/last/map"])
def test_a_page_may_only_use_what_is_ours(client, path):
    headers = client.get(path).headers
    rules = dict(
        rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";")
    )
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["form-action"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_a_port_that_is_taken_is_named():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingError, match=f"--port {port}: .*in use; give others"):
            serve(port=port)
