"""PCRL: the reward to the letter, what no policy may remove, and a policy that learns."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from tamis.errors import DataError, ModelError, SettingError
from tamis.models.base import Generation
from tamis.prompting import compress
from tests.prompting.compression.readers import Encoder

torch = pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.models.policy import Policy, load_policy, save_policy  # noqa: E402
from tamis.models.tagger import Tagger  # noqa: E402
from tamis.prompting.compression.policy_gradient import learn, reward  # noqa: E402


class Digits:
    """A language model whose answer is the digits it was asked, in their order."""

    def __init__(self):
        self.asked = []

    def generate(self, prompts, *, max_tokens):
        texts = [prompt[0]["content"] for prompt in prompts]
        self.asked += texts
        return [Generation((" ".join(re.findall(r"\d", text)),), ("stop",)) for text in texts]


class Letters(torch.nn.Module):
    """An encoder that knows of each token which it is, and nothing of its neighbours."""

    config = SimpleNamespace(hidden_size=400, max_position_embeddings=None)

    def forward(self, input_ids, attention_mask):
        states = torch.nn.functional.one_hot(input_ids, 400).float()
        return SimpleNamespace(last_hidden_state=states)


@pytest.fixture
def tagger(tiny_tokenizer):
    torch.manual_seed(0)
    return Tagger(Policy(Letters(), 32), tokenizer=tiny_tokenizer)


def test_the_reward_is_the_share_removed_while_the_answer_stays():
    # 20 tokens of which 6 are fixed; 13 left: 7 of the 14 free ones are gone.
    counts = {"kept": 13, "total": 20, "fixed": 6}
    assert reward(0.95, **counts) == 0.5
    assert reward(0.90, **counts) == -0.01  # strictly more than the threshold
    assert reward(1.0, kept=20, total=20, fixed=6) == 0
    assert reward(1.0, kept=6, total=6, fixed=6) == 0
    assert reward(0.5, **counts, threshold=0.4, penalty=-1) == 0.5


def test_where_only_digits_matter_the_policy_learns_to_keep_digits(tagger):
    draw = np.random.default_rng(0)
    prompts = ["".join(draw.choice(list("xyzw0123"), 8)) for _ in range(60)]
    done = learn(tagger, Digits(), prompts, steps=150, batch=8, learning_rate=0.02)
    said = tagger.tag(["x0y1z2w3"])[0]
    kept = {token: bool(p >= 0.5) for token, p in zip(said.tokens, said.keep, strict=True)}
    assert kept == {token: token.isdigit() for token in kept}
    assert done[-1].faithful == 1
    assert done[-1].reward == pytest.approx(done[-1].removed)
    assert done[-1].removed > 0.3


def test_nothing_is_learnt_from_what_is_drawn_like_the_likeliest(tagger):
    # A policy that is sure draws what it holds likeliest: advantage 0, and no entropy paid.
    tagger.module.head[2].bias.data = torch.tensor([-40.0, 40.0])
    before = [w.clone() for w in tagger.module.head.parameters()]
    learn(tagger, Digits(), ["x1y2"], steps=2, entropy=0.0)
    after = tagger.module.head.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_templates_prefixes_are_never_removed(tagger):
    lm = Digits()
    learn(tagger, lm, ["Instruction: add 1\nInput: 2\nOutput:"], steps=3, learning_rate=0.1)
    assert len(lm.asked) > 3
    for text in lm.asked:
        assert all(prefix in text for prefix in ("Instruction:", "Input:", "Output:"))


def test_an_answer_is_asked_for_once_and_the_encoder_stays_as_it_is(tagger):
    lm = Digits()
    learn(tagger, lm, ["x1y2z3"], steps=5)
    assert len(lm.asked) == len(set(lm.asked))
    assert not any(w.requires_grad for w in tagger.module.encoder.parameters())


def test_the_same_seed_learns_the_same(tiny_tokenizer):
    def learnt():
        torch.manual_seed(1)
        tagger = Tagger(Policy(Letters(), 8), tokenizer=tiny_tokenizer)
        learn(tagger, Digits(), ["x1y2z3", "0w1w"], steps=4, learning_rate=0.05, seed=7)
        return tagger.tag(["x1y2"])[0].keep

    np.testing.assert_array_equal(learnt(), learnt())


def test_prompts_without_a_token_to_remove_are_refused(tagger):
    with pytest.raises(DataError, match="none of 2 prompts"):
        learn(tagger, Digits(), ["", "Output:"], steps=1)


def test_the_policy_may_say_itself_what_goes():
    class Vowels(Encoder):
        def tagged(self, text, made):
            tagged = super().tagged(text, made)
            tagged.keep = np.array([float(t[0] not in "aeiou") for t in tagged.tokens], np.float32)
            return tagged

    text = "Input: the end of all days is near"
    done = compress(text, method="pcrl", model=Vowels(), reference=True)
    assert done.text == "Input: the days near"
    assert done.text == "".join(text[a:b] for a, b in done.kept)
    with pytest.raises(SettingError, match="drop target_tokens="):
        compress(text, method="pcrl", model=Vowels(), reference=True, target_tokens=3)


def test_prefixes_survive_at_any_rate():
    text = "Instruction: one two three four\nInput: five six seven eight\nOutput:"
    done = compress(text, rate=0.1, method="pcrl", model=Encoder())
    assert all(prefix in done.text for prefix in ("Instruction:", "Input:", "Output:"))


@pytest.fixture(scope="module")
def folder(tiny_tokenizer, tmp_path_factory):
    """An encoder of two layers with random weights, as it is saved."""
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("policy") / "tiny"
    BertForTokenClassification(config).save_pretrained(place)
    tiny_tokenizer.save_pretrained(place)
    return place


def test_a_saved_policy_says_the_same_again(folder, tiny_tokenizer):
    encoder = Tagger(str(folder), device="cpu").module.base_model
    torch.manual_seed(3)
    first = Tagger(Policy(encoder, 24), tokenizer=tiny_tokenizer)
    torch.nn.init.normal_(first.module.head[2].weight)
    save_policy(first, folder)
    text = "the sky is blue, and the sea below it"
    again = load_policy(folder, device="cpu")
    np.testing.assert_allclose(again.tag([text])[0].keep, first.tag([text])[0].keep, atol=2e-3)
    done = compress(text, rate=0.5, method="pcrl", model=str(folder))
    assert done.text == "".join(text[a:b] for a, b in done.kept) != text


def test_a_folder_without_a_policy_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded") as told:
        load_policy(tmp_path)
    assert "\n" not in str(told.value)
