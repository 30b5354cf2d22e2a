"""Whatever the hub answers, a push and a look at it are done, or refused in a line."""

import re

import pytest
from fuzzing import a_line_at_most, files_below, slips, spoilt, tries
from hub import TOKEN, Hub
from hypothesis import given
from hypothesis import strategies as st

from tamis.data import hub as module
from tamis.data.hub import push, read_text

# The hub's client hands its own HTTP client a file in a way that one calls out of date.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
NAMES = ["create", "info", "tree", "preupload", "commit", "validate"]
RAW = st.binary(max_size=20) | st.sampled_from(
    [b"", b"[" * 3000, b"<html>", b"9" * 5000, TOKEN.encode(), b"null", b"[]", b"{}"]
)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as started:
        monkeypatch.setattr(constants, "ENDPOINT", started.url)
        places = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{started.url}/{places}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.0)
        monkeypatch.setattr(module, "TRIES", 2)
        yield started


@tries(40)
@given(st.sampled_from(NAMES), slips | RAW)
def test_any_answer_of_the_hub_is_understood_or_refused(hub, tmp_path, which, changes):
    def spoil(name, document):
        if name != which:
            return document
        return changes if isinstance(changes, bytes) else spoilt(document, changes)

    hub.repositories.clear()
    hub.spoil = spoil
    with a_line_at_most(without=TOKEN):
        done = push("me/x", {"README.md": "hello"}, private=True, ours=re.compile("x"), message="m")
        assert done.url.endswith("/datasets/me/x")
    with a_line_at_most(without=TOKEN):
        assert isinstance(read_text("me/x", "README.md"), str | None)
    assert files_below(tmp_path) <= files_below(tmp_path / "home")
