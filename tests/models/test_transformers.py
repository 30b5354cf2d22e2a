# ruff: noqa: E402 - skipped as a whole where the extra is missing
import json
from pathlib import Path
from platform import machine

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')
transformers = pytest.importorskip("transformers", reason='pip install "tamis[models]"')

import tamis
from tamis.errors import ModelError, SettingError
from tamis.models import packed
from tamis.models.sampling import _Draw
from tamis.models.tokens import Piece
from tamis.models.transformers import TransformersEmbedder, TransformersLM

DATA = Path(__file__).parents[2] / "data"
SMALL = {
    "vocab_size": 400,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}
LAYERS = SMALL | {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8}
ARCHITECTURES = {
    "llama": (transformers.LlamaConfig, LAYERS),
    "gpt2": (transformers.GPT2Config, SMALL),
    "mistral": (transformers.MistralConfig, LAYERS | {"sliding_window": 8}),
    # These two cannot be packed: soft caps on attention and logits, and linear biases by distance.
    "gemma2": (transformers.Gemma2Config, LAYERS | {"sliding_window": 8}),
    "bloom": (transformers.BloomConfig, SMALL),
}


def model_of(architecture):
    torch.manual_seed(0)
    config, settings = ARCHITECTURES[architecture]
    return transformers.AutoModelForCausalLM.from_config(config(**settings)).eval()


def own_figures(module, piece):
    """What the model's own forward pass says, one sequence at a time."""
    ids = torch.from_numpy(piece.ids)[None]
    with torch.no_grad():
        logits = module(input_ids=ids).logits[0].float().log_softmax(-1)
    rows = torch.arange(piece.first, len(piece.ids))
    return logits[rows - 1, ids[0, rows]].numpy()


@pytest.mark.parametrize("batch_tokens", [1, 64, 2048])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_the_models_own(architecture, batch_tokens, tiny_tokenizer):
    rng = np.random.default_rng(1)
    stem = rng.integers(400, size=20)
    branches = [np.concatenate([stem, rng.integers(400, size=n)]) for n in (1, 2, 9, 9)]
    pieces = [Piece(ids, 20) for ids in branches]
    pieces += [Piece(rng.integers(400, size=n), 1) for n in (2, 7, 7, 7, 30, 90)]
    lm = TransformersLM(
        model_of(architecture), tokenizer=tiny_tokenizer, batch_tokens=batch_tokens, device="cpu"
    )
    scores = lm._run(pieces)
    assert lm.packable == (architecture not in {"gemma2", "bloom"})
    untouched = model_of(architecture)
    for piece, score in zip(pieces, scores, strict=True):
        np.testing.assert_allclose(score, own_figures(untouched, piece), atol=1e-4)


def test_a_written_out_activation_becomes_one_kernel():
    module = model_of("gpt2")
    packed.fuse_activations(module)
    kinds = {type(layer.mlp.act) for layer in module.transformer.h}
    assert kinds == {torch.nn.GELU}


def test_slices_of_the_vocabulary_make_one_softmax(monkeypatch):
    monkeypatch.setattr(packed, "_SLICE", 1024)  # and the last of 452
    torch.manual_seed(0)
    head = torch.nn.Linear(16, 2500)
    hidden, targets = torch.randn(7, 16), torch.randint(2500, (7,))
    with torch.inference_mode():
        expected = head(hidden).log_softmax(-1)[torch.arange(7), targets]
        found = packed.token_logprobs(hidden, head, targets)
    torch.testing.assert_close(found, expected)


@pytest.mark.skipif(machine() not in {"x86_64", "AMD64"}, reason="other products elsewhere")
def test_what_is_scored_together_changes_no_bit_of_a_figure():
    lm = tamis.models.load("bundled")
    rows = tamis.load(DATA / "instructions.jsonl.zst", progress=False)[:40]
    texts = [
        f"{asked}\n{said}" for asked, said in zip(rows["instruction"], rows["output"], strict=True)
    ]
    together = [found.logprobs for found in lm.logprobs(texts)]
    assert len({len(found) % 16 for found in together}) > 5  # all kinds of rests
    for some in (slice(0, 1), slice(3, 4), slice(1, None, 3), slice(None, None, -1)):
        found = [each.logprobs.tolist() for each in lm.logprobs(texts[some])]
        assert found == [each.tolist() for each in together[some]]


def test_onednn_takes_over_and_keeps_the_figures():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(5, 33), torch.randn(7, 33), torch.randn(7)
    with torch.inference_mode():
        expected = x @ weight.T + bias
        with packed.OneDNN(), torch.profiler.profile() as seen:
            linear = torch.nn.functional.linear(x, weight, bias=bias)
            addmm = torch.addmm(bias, x, weight.T.contiguous())
    torch.testing.assert_close(linear, expected)
    torch.testing.assert_close(addmm, expected)
    calls = {event.key: event.count for event in seen.key_averages()}
    assert calls["mkldnn::_linear_pointwise"] == 2


def test_scores_texts_and_says_what_it_is(tiny):
    alone, given = (
        tiny.logprobs(["The sky is blue"])[0],
        tiny.logprobs(["The sky is"], [" blue"])[0],
    )
    assert alone.tokens == ["The", " sky", " is", " blue"]
    assert given.logprobs[0] == pytest.approx(alone.logprobs[-1], abs=1e-5)
    assert repr(tiny) == "TransformersLM('transformers:tiny')"
    assert tiny.logprobs([]) == []


def test_a_text_longer_than_the_context_is_scored_whole(tiny):
    text = "The sky is blue, and the sea below it is bluer still. " * 150
    (scored,) = tiny.logprobs([text])
    assert len(scored.ids) > 2 * tiny.context
    assert scored.count == len(scored.ids)
    (head,) = tiny.logprobs([text[:100]])
    np.testing.assert_allclose(scored.logprobs[: head.count - 1], head.logprobs[:-1], atol=1e-4)


# Answers


def greedy_by_hand(lm, text, steps):
    ids = lm._reader.encode([text])[0].ids.tolist()
    for _ in range(steps):
        with torch.no_grad():
            ids.append(int(lm.module(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return lm.tokenizer.decode(ids[-steps:])


def test_the_likeliest_token_each_time(tiny):
    prompts = ["The sky is blue, and", "Tea"]
    answers = tiny.generate(prompts, max_tokens=8)
    assert [answer.text for answer in answers] == [greedy_by_hand(tiny, p, 8) for p in prompts]
    assert answers[0].finishes == ("length",)


def test_a_draw_belongs_to_its_prompt_and_seed(tiny):
    ask = {"max_tokens": 12, "temperature": 1.0, "n": 3}
    (alone,) = tiny.generate(["Tea"], **ask)
    among = tiny.generate(["The sky is blue, and the sea", "Tea", "print("], **ask)[1]
    assert alone == among
    assert len(set(alone.texts)) == 3
    assert tiny.generate(["Tea"], **ask, seed=1)[0] != alone


def test_draws_follow_the_softmax():
    # 40,000 draws of 4 tokens: the largest deviation stays within 4 standard errors.
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    draw = _Draw(2.0, 1.0, list(range(40_000)))
    counts = torch.bincount(draw(None, logits.expand(40_000, 4)).argmax(-1), minlength=4)
    shares = (logits / 2.0).softmax(-1)
    errors = (shares * (1 - shares) / 40_000).sqrt()
    assert ((counts / 40_000 - shares).abs() / errors).max() < 4


def test_the_nucleus_is_the_least_set_that_holds_its_share():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    for share, kept in [(0.4, 1), (0.5, 1), (0.6, 2), (0.9, 3), (0.99, 4)]:
        scores = _Draw(1.0, share, [0])(None, logits)
        assert torch.isfinite(scores).sum() == kept


def test_an_answer_ends_before_its_stop_string(tiny):
    whole = tiny.generate(["Tea"], max_tokens=20)[0].text
    word = whole[6:9]
    (cut,) = tiny.generate(["Tea"], max_tokens=20, stop=word)
    assert cut.text == whole[: whole.index(word)]
    assert cut.finishes == ("stop",)


def test_an_answer_ends_at_the_end_token(tiny, monkeypatch):
    third = tiny._reader.encode(["Tea"])[0].ids.tolist()
    for _ in range(3):
        third.append(int(tiny.module(input_ids=torch.tensor([third])).logits[0, -1].argmax()))
    monkeypatch.setattr(tiny.module.generation_config, "eos_token_id", third[-1])
    (answer,) = tiny.generate(["Tea"], max_tokens=20)
    assert answer.finishes == ("stop",)
    assert answer.text == tiny.tokenizer.decode(third[-3:-1])


def test_an_answer_obeys_its_schema(tiny):
    pytest.importorskip("llguidance", reason='pip install "tamis[models]"')
    schema = {
        "type": "object",
        "properties": {"rating": {"enum": [1, 2, 3]}, "why": {"type": "string", "maxLength": 9}},
        "required": ["rating", "why"],
        "additionalProperties": False,
    }
    prompts = ["Tea", [{"role": "user", "content": "The sky?"}]]
    for answer in tiny.generate(prompts, max_tokens=80, schema=schema, temperature=1.0, n=2):
        for text in answer.texts:
            said = json.loads(text)
            assert said["rating"] in (1, 2, 3)
            assert len(said["why"]) <= 9
        assert answer.finishes == ("stop", "stop")


def test_a_schema_that_is_none_is_refused(tiny):
    pytest.importorskip("llguidance", reason='pip install "tamis[models]"')
    with pytest.raises(SettingError, match="schema: "):
        tiny.generate(["Tea"], schema={"type": "objet"})


def test_embeddings_stand_where_tokens_would(tiny):
    ids = tiny._reader.encode(["The sky is blue"])[0].ids
    table = tiny.module.get_input_embeddings().weight.detach().numpy()
    soft, text = tiny.generate([table[ids], "The sky is blue"], max_tokens=8)
    assert soft == text


def test_a_prompt_that_does_not_fit_is_named(tiny):
    with pytest.raises(ModelError, match=r"prompt 1 has \d+ tokens.* the model's 1024; shorten it"):
        tiny.generate(["Tea", "blue " * 1000], max_tokens=64)


# Hidden states


@pytest.mark.parametrize("architecture", ["llama", "bloom"])
def test_hidden_states_are_the_models_own(architecture, tiny_tokenizer):
    lm = TransformersLM(model_of(architecture), tokenizer=tiny_tokenizer, device="cpu")
    texts = ["The sky is blue", "", "Tea, and the sea below it", "Tea"]
    for text, states in zip(texts, lm.hidden_states(texts), strict=True):
        ids = torch.tensor([tiny_tokenizer(text)["input_ids"]])
        with torch.no_grad():
            own = lm.module.base_model(input_ids=ids)[0][0, 1:].numpy()  # <s> is left out
        assert states.shape == own.shape
        np.testing.assert_allclose(states, own, atol=1e-4)


def test_embeds_by_the_mean_of_the_last_states(tiny_folder):
    embedder = tamis.models.load_embedder(f"transformers:{tiny_folder}", device="cpu")
    texts = ["The sky is blue", "", "Tea"]
    points = embedder.embed(texts)
    assert points.dtype == np.float32
    assert np.isnan(points).all(axis=1).tolist() == [False, True, False]
    mean = embedder.lm.hidden_states(texts)[0].mean(axis=0)
    np.testing.assert_allclose(points[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert embedder.embed([]).shape == (0, 64)


# What a model is


def test_a_changed_model_has_another_fingerprint(tiny_folder):
    def load(**options):
        return tamis.models.load(f"transformers:{tiny_folder}", device="cpu", **options)

    seen = [load().fingerprint, load(dtype="bfloat16").fingerprint]
    assert load().fingerprint == seen[0]
    lm = load()
    assert lm.fingerprint == seen[0]
    with torch.no_grad():  # training goes on in place
        lm.module.lm_head.weight[3, 3] += 1e-6
    seen.append(lm.fingerprint)
    lm = load()
    lm.tokenizer.chat_template += " "
    seen.append(lm.fingerprint)
    lm = load()
    lm.module.config.rope_parameters["rope_theta"] = 5e5
    seen.append(lm.fingerprint)
    lm = load()
    lm.tokenizer.add_tokens(["xyz"])
    seen.append(lm.fingerprint)
    seen.append(TransformersEmbedder(str(tiny_folder), device="cpu").fingerprint)
    assert len(set(seen)) == 7


def test_use_leaves_the_fingerprint_alone(tiny):
    before = tiny.fingerprint
    tiny.logprobs(["The sky"])
    tiny.tokenizer(["a", "b c d"], padding=True, truncation=True, max_length=2)
    assert tiny.fingerprint == before


def test_a_model_that_does_not_exist_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        tamis.models.load(f"transformers:{tmp_path}/none")
    assert "\n" not in str(caught.value)


def test_a_model_in_memory_needs_its_tokenizer():
    with pytest.raises(ModelError, match="give tokenizer="):
        TransformersLM(model_of("llama"))
