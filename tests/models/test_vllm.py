import copy
import json
import re
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("transformers", reason='pip install "tamis[models]"')

import tamis
from tamis.errors import ModelError
from tamis.models.vllm import _STRICT
from tamis.prompting.generation import SelfInstruct, account_of
from tamis.prompting.generation.configure import FOR_THE_BUNDLED
from tests.models.texts import long, varied
from tests.prompting.generation.test_self_instruct import SEEDS

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # vLLM and what it imports warn of many things
]

QUICK = {"dtype": "float32", "enforce_eager": True, "max_model_len": 1024}
SCHEMA = {
    "type": "object",
    "properties": {"rating": {"enum": [1, 2, 3]}, "why": {"type": "string", "maxLength": 9}},
    "required": ["rating", "why"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def settings():
    """What makes vLLM start in seconds on a CPU; the rest of the environment as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("VLLM_NO_USAGE_STATS", "1")
        pytest.importorskip("vllm", reason='pip install "tamis[vllm]"')
        import numba  # noqa: F401 - as tamis does before a model is loaded; vLLM trips over it

        yield


@pytest.fixture(scope="session")
def folder():
    """The bundled language model, by the name that any backend takes."""
    return tamis.models.bundled("lm")


@pytest.fixture(scope="session")
def plain(folder):
    """The same model as transformers runs it."""
    return tamis.models.load(f"transformers:{folder}", device="cpu")


@pytest.fixture(scope="session")
def engine(settings, folder):
    return tamis.models.load(f"vllm:{folder}", **QUICK)


@pytest.fixture(scope="session")
def served(settings, folder, tmp_path_factory):
    """A real `vllm serve` on loopback, and what to call its model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("served") / "log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(folder), "--served-model-name", "bundled", "--dtype", "float32"]
    command += ["--enforce-eager", "--max-model-len", "1024", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--no-enable-prefix-caching"]
    command += ["--structured-outputs-config", json.dumps(_STRICT)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            for _ in range(1200):
                assert process.poll() is None, log.read_text()[-3000:]
                if b"startup complete" in log.read_bytes():
                    break
                time.sleep(0.25)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(60)


def gap(some, others):
    """The mean absolute difference of log-probabilities that are of the same tokens."""
    for one, other in zip(some, others, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
    return np.abs(
        np.concatenate([one.logprobs for one in some])
        - np.concatenate([other.logprobs for other in others])
    ).mean()


def same(ours, others):
    """Whether answers are the same; vLLM leaves out a character that is cut short at the end."""
    pairs = [(one.text, other.text) for one, other in zip(ours, others, strict=True)]
    return all(
        one == other or (other.startswith(one) and "�" in other[len(one) :]) for one, other in pairs
    )


def test_agrees_with_transformers(engine, plain):
    texts = varied(190) + long(10)
    assert max(len(scored.ids) for scored in plain.logprobs(texts)) > 500
    assert gap(engine.logprobs(texts), plain.logprobs(texts)) <= 1e-3
    halves = [len(text) // 2 for text in texts]
    prompts = [text[:half] for text, half in zip(texts, halves, strict=True)]
    rest = [text[half:] for text, half in zip(texts, halves, strict=True)]
    assert gap(engine.logprobs(prompts, rest), plain.logprobs(prompts, rest)) <= 1e-3


def test_what_was_asked_before_changes_nothing(engine):
    texts = varied(30)
    first, again = engine.logprobs(texts), engine.logprobs(texts[::-1])[::-1]
    assert gap(first, again) <= 1e-6
    assert gap(first[:1], engine.logprobs(texts[:1])) <= 1e-6


def test_answers_as_transformers_does(engine, plain):
    prompts = ["The sky is blue, and", [{"role": "user", "content": "Tea?"}]]
    assert same(engine.generate(prompts, max_tokens=8), plain.generate(prompts, max_tokens=8))


def test_a_draw_belongs_to_its_prompt_and_seed(engine):
    ask = {"max_tokens": 12, "temperature": 1.0, "n": 3}
    (alone,) = engine.generate(["Tea"], **ask)
    among = engine.generate(["The sky is blue", "Tea", "print("], **ask)[1]
    assert alone == among
    assert len(set(alone.texts)) == 3
    assert engine.generate(["Tea"], **ask, seed=1)[0] != alone


def test_an_answer_ends_before_its_stop_string(engine):
    whole = engine.generate(["Tea"], max_tokens=20)[0].text
    word = re.search(r"[ -~]{2}", whole).group()
    (cut,) = engine.generate(["Tea"], max_tokens=20, stop=[word])
    assert (cut.text, cut.finishes) == (whole[: whole.index(word)], ("stop",))


def test_an_answer_obeys_its_schema(engine):
    for answer in engine.generate(["Tea", "Sky"], max_tokens=120, schema=SCHEMA, temperature=1.0):
        assert json.loads(answer.text)["rating"] in (1, 2, 3)


def test_a_schema_that_is_none_is_refused_and_the_next_call_answers(engine):
    with pytest.raises(ModelError, match="vllm:lm: cannot answer"):
        engine.generate(["Tea", "Sky"], schema={"type": "objet"})
    assert len(engine.generate(["Tea"], max_tokens=2)) == 1


def test_embeddings_stand_where_tokens_would(settings, folder, plain):
    engine = tamis.models.load(f"vllm:{folder}?enable_prompt_embeds=true", **QUICK)
    ids = plain._reader.encode(["The sky is blue"])[0].ids
    table = plain.module.get_input_embeddings().weight.detach().numpy()
    soft, text = engine.generate([table[ids], "The sky is blue"], max_tokens=8)
    assert same([soft], [text])


def test_a_prompt_that_does_not_fit_is_named(engine):
    with pytest.raises(ModelError, match=r"prompt 1 has \d+ tokens.* the model's 1024; shorten it"):
        engine.generate(["Tea", "blue " * 1000], max_tokens=64)


def test_options_reach_the_engine_and_the_fingerprint(settings, folder, engine):
    with pytest.raises(ModelError, match=r"cannot be loaded .*no_such_option"):
        tamis.models.load(f"vllm:{folder}?no_such_option=1")
    assert engine.llm.llm_engine.vllm_config.cache_config.enable_prefix_caching is False
    seen = [engine.fingerprint]
    for option, value in {"max_num_seqs": 3, "quantization": "awq"}.items():
        other = copy.copy(engine)
        other.options = engine.options | {option: value}
        vars(other).pop("fingerprint")
        seen.append(other.fingerprint)
    assert seen[0] == seen[1] != seen[2]


def test_embeds_the_last_state_at_length_one(settings, folder, plain):
    embedder = tamis.models.load_embedder(f"vllm:{folder}", **QUICK)
    points = embedder.embed(["The sky is blue", "", "Tea"])
    assert np.isnan(points).all(axis=1).tolist() == [False, True, False]
    last = plain.hidden_states(["The sky is blue"])[0][-1]
    np.testing.assert_allclose(points[0], last / np.linalg.norm(last), atol=1e-4)
    assert embedder.embed([]).shape == (0, plain.module.config.hidden_size)


def test_a_classifier_rates(settings, folder, tmp_path):
    import torch
    from transformers import AutoTokenizer, LlamaForSequenceClassification

    from tamis.models.vllm import VLLMClassifier

    torch.manual_seed(1)
    judge = LlamaForSequenceClassification.from_pretrained(folder, num_labels=3).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    judge.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    rater = VLLMClassifier(str(tmp_path), **QUICK)
    with torch.no_grad():
        own = judge(**tokenizer(["The sky is blue"], return_tensors="pt")).logits
    found = rater.rate(["The sky is blue"], raw=True)
    np.testing.assert_allclose(found, own.numpy(), atol=1e-3)
    np.testing.assert_allclose(rater.rate(["The sky is blue"]), own.softmax(-1), atol=1e-3)


# Over HTTP


@pytest.mark.parametrize("tokenizer", [True, False], ids=["our tokens", "the server's"])
def test_serves_the_same_log_probabilities(served, plain, folder, tokenizer):
    options = {"tokenizer": str(folder)} if tokenizer else {}
    lm = tamis.models.load("openai:bundled", base_url=served, **options)
    texts = varied(190) + long(10)
    assert gap(lm.logprobs(texts), plain.logprobs(texts)) <= 1e-3
    prompts, rest = ["The sky is", "naïve"], [" blue, and", " café; 東京は"]
    found, own = lm.logprobs(prompts, rest), plain.logprobs(prompts, rest)
    assert gap(found, own) <= 1e-3
    assert [scored.text for scored in found] == rest
    assert not tokenizer or [scored.tokens for scored in found] == [s.tokens for s in own]


def test_serves_chat_text_and_schemas(served, plain):
    lm = tamis.models.load("openai:bundled", base_url=served)
    text, talk = "The sky is blue, and", [{"role": "user", "content": "Tea?"}]
    assert same(lm.generate([text], max_tokens=8), plain.generate([text], max_tokens=8))
    assert same(lm.generate([talk], max_tokens=8), plain.generate([talk], max_tokens=8))
    (answer,) = lm.generate([talk], max_tokens=150, schema=SCHEMA, temperature=1.0)
    assert json.loads(answer.text)["rating"] in (1, 2, 3)
    assert lm.usage.completion_tokens > 16


def test_a_text_beyond_the_servers_context_is_named(served):
    lm = tamis.models.load("openai:bundled", base_url=served)
    with pytest.raises(ModelError, match=r"1 of 2 requests got no answer .*1024"):
        lm.logprobs(["Tea", "blue " * 1500])


def test_new_instructions_come_from_a_server(served, tmp_path, monkeypatch):
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path))
    method = SelfInstruct(
        f"openai:bundled?base_url={served}", requests=2, **FOR_THE_BUNDLED["self-instruct"]
    )
    pool = method.generate(SEEDS, n=3, progress=False)
    told = account_of(pool)
    assert (told["tasks"], told["tokens_counted_by"]) == (3, "server")
    assert told["completion_tokens"] > 50
    assert not set(pool["instruction"]) & {row["instruction"] for row in SEEDS}
    assert all(pool["output"])
