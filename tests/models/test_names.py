import pytest

import tamis
from tamis.errors import ModelError, SettingError
from tamis.models.names import ModelName


def test_options_are_json_where_they_are_json():
    name = ModelName.parse(
        "vllm:a/b?tensor_parallel_size=2&enforce_eager=true&quantization=awq"
        '&speculative_config={"method":"ngram","num_speculative_tokens":3}'
    )
    assert (name.backend, name.model) == ("vllm", "a/b")
    assert name.options == {
        "tensor_parallel_size": 2,
        "enforce_eager": True,
        "quantization": "awq",
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
    }


def test_a_model_may_hold_a_colon():
    assert ModelName.parse("openai:ft:gpt-4o-mini:me").model == "ft:gpt-4o-mini:me"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("transformer:gpt2", "did you mean 'transformers'"),
        ("Qwen/Qwen2.5-0.5B", "write transformers:Qwen/Qwen2.5-0.5B"),
        ("transformers", "no model; write transformers:MODEL"),
        ("transformers:gpt2?dtype=", "option 'dtype' has no value"),
        ("transformers:gpt2?dtype=a&dtype=b", "given twice"),
    ],
)
def test_a_wrong_name_says_the_right_one(text, says):
    with pytest.raises(SettingError, match=says):
        tamis.models.load(text)


def test_a_secret_in_a_name_is_refused_without_being_shown():
    with pytest.raises(SettingError, match="api_key does not belong") as caught:
        tamis.models.load("openai:gpt-4o?api_key=sk-planted")
    assert "sk-planted" not in str(caught.value)


def test_embedders_are_a_list_of_their_own():
    with pytest.raises(SettingError, match="did you mean 'sentence-transformers'"):
        tamis.models.load_embedder("sentence_transformers:all-MiniLM-L6-v2")


def test_a_model_that_is_not_shipped_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("tamis.models.__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match="ships no quality; name another"):
        tamis.models.bundled("quality")


def test_the_bundled_embedder_needs_no_extra():
    embedder = tamis.models.load_embedder("bundled")
    near, same, far = embedder.embed(["red cars are fast", "fast red cars", "boil the rice"])
    assert near @ near == pytest.approx(1, abs=1e-5)
    assert near @ same > near @ far
