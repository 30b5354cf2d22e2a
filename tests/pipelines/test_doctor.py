"""`examine` says what works here, having tried it."""

from importlib.util import find_spec

import pytest

from tamis import models
from tamis.errors import ModelError
from tamis.pipelines import doctor


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "home"))


def found(what):
    return next(one for one in doctor.examine() if one.what.startswith(what))


def test_the_bundled_embedder_and_judge_work_in_any_installation():
    assert found("bundled embedder").found.startswith("vectors of")
    assert found("bundled judge").usable


def test_the_bundled_language_model_works_or_names_its_extra():
    finding = found("bundled language model")
    if find_spec("torch") and find_spec("transformers"):
        assert finding.usable
        assert "nats a token" in finding.found
    else:
        assert finding.mend == 'pip install "tamis[models]"'


def test_a_backend_that_is_missing_is_named_with_the_line_that_brings_it(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert found("vllm").mend == 'pip install "tamis[vllm]"'
    assert found("GPU").mend == 'pip install "tamis[models]"'


def test_a_model_that_cannot_be_loaded_is_a_finding(monkeypatch):
    def broken(model):
        raise ModelError("embedder: weights are cut short")

    monkeypatch.setattr(models, "load_embedder", broken)
    finding = found("bundled embedder")
    assert (finding.usable, finding.found) == (False, "embedder: weights are cut short")


def test_a_home_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "file" / "home"))
    assert found("home").mend == "set TAMIS_HOME to a folder that can be written"
