"""A reward model is a network with one output: tiny ones, with random weights, stand for it."""

import numpy as np
import pytest

import tamis
from tamis.data.features import FeatureStore
from tamis.errors import ModelError
from tamis.models.judges import Judge, Ratings

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')
transformers = pytest.importorskip("transformers", reason='pip install "tamis[models]"')

from tamis.models.reward import RewardModel  # noqa: E402 - needs torch

pytestmark = pytest.mark.filterwarnings(  # DeBERTa's own code
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
)

PROMPTS = ["What colour is the sky?", "Add one and two.", "Make tea."]
RESPONSES = ["The sky is blue.", "3", "1. Boil water. 2. Add the tea."]


def network(kind, tokenizer, **settings):
    torch.manual_seed(0)
    config = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 1,
        "max_position_embeddings": 128, "pad_token_id": 1, "initializer_range": 0.5,
    }  # fmt: skip
    made = transformers.AutoConfig.for_model(kind, **(config | settings))
    return transformers.AutoModelForSequenceClassification.from_config(made)


@pytest.fixture
def pairs(tiny_tokenizer):
    """A tokenizer without a chat template, whose pairs are put one after the other."""
    import copy

    from tokenizers import processors

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = None
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A </s> $B:1", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


@pytest.fixture
def judge(pairs, tmp_path):
    return RewardModel(
        network("deberta-v2", pairs), tokenizer=pairs, store=FeatureStore(tmp_path), progress=False
    )


def test_a_reward_model_is_a_judge(judge):
    found = judge.rate(PROMPTS, RESPONSES)
    assert isinstance(judge, Judge)
    assert isinstance(found, Ratings)
    assert found.scores.dtype == np.float64
    assert len(set(found.scores.tolist())) == 3
    assert found.words == ["", "", ""]


def test_a_score_is_the_model_s_own_output_for_the_pair(judge, pairs):
    for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
        with torch.inference_mode():
            own = judge.module(**pairs(prompt, response, return_tensors="pt")).logits.item()
        assert judge.rate([prompt], [response]).scores[0] == pytest.approx(own, rel=1e-5)


def test_what_stands_beside_a_pair_changes_nothing(judge, pairs, tmp_path):
    long = RESPONSES[2] * 5
    together = judge.rate([*PROMPTS, "Make tea."], [*RESPONSES, long]).scores
    alone = RewardModel(
        judge.module, tokenizer=pairs, store=FeatureStore(tmp_path / "2"), batch_tokens=1
    )
    assert together[:3] == pytest.approx(alone.rate(PROMPTS, RESPONSES).scores, abs=1e-5)


def test_a_template_makes_a_pair_two_turns(tiny_tokenizer, tmp_path):
    module = network("llama", tiny_tokenizer)
    judge = RewardModel(module, tokenizer=tiny_tokenizer, store=FeatureStore(tmp_path))
    text = "<s><|user|>\nMake tea.\n<|assistant|>\n3\n"
    ids = tiny_tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.inference_mode():
        own = module(input_ids=ids).logits.item()
    assert judge.rate(["Make tea."], ["3"]).scores[0] == pytest.approx(own, rel=1e-5)
    several = judge.rate(PROMPTS, RESPONSES).scores  # padded: the last token still counts
    assert several[1] == pytest.approx(judge.rate(PROMPTS[1:2], ["3"]).scores[0])


def test_no_pair_is_rated_twice(judge, monkeypatch):
    first = judge.rate(PROMPTS, RESPONSES).scores
    monkeypatch.setattr(judge, "_rated", lambda pairs: pytest.fail("rated again"))
    again = judge.rate(PROMPTS[::-1], RESPONSES[::-1]).scores
    assert again.tolist() == first[::-1].tolist()


def test_what_cannot_be_rated_says_why(judge, pairs, tmp_path):
    short = RewardModel(judge.module, tokenizer=pairs, context=20, store=FeatureStore(tmp_path))
    found = short.rate(["p", "p", "p"], [" \n", "sea " * 40, "fine"])
    assert np.isnan(found.scores).tolist() == [True, True, False]
    assert found.words[0] == "not asked: the response is empty"
    assert found.words[1].endswith("tokens, and the context is 20")
    assert found.words[2] == ""


def test_a_pair_that_fills_the_context_is_rated(judge, pairs, tmp_path):
    tokens = len(pairs("p", "fine")["input_ids"])
    full, short = (
        RewardModel(judge.module, tokenizer=pairs, context=context, store=FeatureStore(tmp_path))
        for context in (tokens, tokens - 1)
    )
    assert full.rate(["p"], ["fine"]).words == [""]
    assert short.rate(["p"], ["fine"]).words == [
        f"not asked: {tokens} tokens, and the context is {tokens - 1}"
    ]


def test_the_context_is_what_positions_allow(pairs, tmp_path):
    assert RewardModel(network("llama", pairs), tokenizer=pairs).context == 128
    endless = network("deberta-v2", pairs, position_biased_input=False, relative_attention=True)
    assert RewardModel(endless, tokenizer=pairs).context == 2**20
    pairs.model_max_length = 64
    assert RewardModel(endless, tokenizer=pairs).context == 64


def test_a_number_that_is_none_is_no_score(pairs, tmp_path):
    module = network("deberta-v2", pairs)
    with torch.no_grad():
        module.classifier.bias.fill_(float("inf"))
    found = RewardModel(module, tokenizer=pairs, store=FeatureStore(tmp_path)).rate(["p"], ["r"])
    assert np.isnan(found.scores).all()
    assert found.words == ["the model gave no number"]


def test_nothing_asked_is_nothing_answered(judge):
    assert judge.rate([], []).scores.tolist() == []


def test_a_saved_model_is_found_by_name(judge, pairs, tmp_path):
    judge.module.save_pretrained(tmp_path / "saved")
    pairs.save_pretrained(tmp_path / "saved")
    named = tamis.models.load_judge(f"reward:{tmp_path / 'saved'}?context=99", device="cpu")
    assert named.context == 99
    assert named.rate(PROMPTS, RESPONSES).scores == pytest.approx(
        judge.rate(PROMPTS, RESPONSES).scores
    )


def test_the_fingerprint_is_the_model_s(judge, pairs):
    again = RewardModel(network("deberta-v2", pairs), tokenizer=pairs)
    assert again.fingerprint == judge.fingerprint
    with torch.no_grad():
        again.module.classifier.bias += 1
    other = RewardModel(again.module, tokenizer=pairs)
    assert other.fingerprint != judge.fingerprint


def test_words_and_settings_are_a_part_of_the_fingerprint(judge, pairs):
    import copy

    other_words = copy.deepcopy(pairs)
    other_words.add_tokens(["seaweed"])
    assert RewardModel(judge.module, tokenizer=other_words).fingerprint != judge.fingerprint
    other = copy.deepcopy(judge.module)
    other.config.max_position_embeddings = 64
    assert RewardModel(other, tokenizer=pairs).fingerprint != judge.fingerprint


def test_pairs_of_one_length_are_different_pairs(judge, pairs):
    responses = ["the sky", "sky the"]
    assert len({len(pairs("p", response)["input_ids"]) for response in responses}) == 1
    first = judge.rate(["p", "p"], responses).scores
    assert first[0] != first[1]
    assert judge.rate(["p"], responses[1:]).scores[0] == first[1]


def test_a_decoder_that_names_no_padding_still_finds_the_last_token(tiny_tokenizer, tmp_path):
    module = network("llama", tiny_tokenizer, pad_token_id=None)
    judge = RewardModel(module, tokenizer=tiny_tokenizer, store=FeatureStore(tmp_path))
    alone = RewardModel(module, tokenizer=tiny_tokenizer, store=FeatureStore(tmp_path / "2"))
    assert judge.rate(PROMPTS, RESPONSES).scores == pytest.approx(
        [alone.rate([p], [r]).scores[0] for p, r in zip(PROMPTS, RESPONSES, strict=True)], rel=1e-4
    )


def test_what_runs_together_holds_as_many_tokens_as_were_allowed(judge, pairs, tmp_path):
    ran = []
    judge.module.register_forward_pre_hook(
        lambda module, args, given: ran.append(given["input_ids"].shape), with_kwargs=True
    )
    judge.batch_tokens = 60
    judge.rate(["p"] * 12, ["sea " * n for n in range(1, 13)])
    assert sum(rows for rows, _ in ran) == 12
    assert max(rows * longest for rows, longest in ran) <= 60
    assert len(ran) < 12


def test_a_classifier_of_several_classes_is_refused(pairs):
    with pytest.raises(ModelError, match="has 3 outputs; give a reward model, with one"):
        RewardModel(network("deberta-v2", pairs, num_labels=3), tokenizer=pairs)


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(ModelError, match=r"^reward:.*: cannot be loaded \(") as raised:
        RewardModel(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_model_in_memory_needs_its_words(judge):
    with pytest.raises(ModelError, match="give tokenizer="):
        RewardModel(judge.module)
