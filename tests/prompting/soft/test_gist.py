import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np
import torch

from tamis.errors import ModelError
from tamis.prompting.soft.gist import Gist, gist_mask
from tamis.prompting.soft.rows import rows_of

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "gist.json").read_text())["gist"]
TOLD = ["Say the colour of the sky.", "Count to three."], ["", " up:"], [" blue", " one two three"]


@pytest.fixture
def moved(tiny):
    made = Gist(tiny, tokens=2, lora=4)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.weights().values():
            weight += 0.05 * torch.randn(weight.shape, generator=noise)
    return made


@pytest.mark.parametrize(
    ("control", "expected"),
    [("none", "gist"), ("negative", "neg_control"), ("positive", "pos_control")],
)
def test_the_masks_are_those_of_the_released_code(control, expected):
    found = gist_mask(
        np.array(GOLDEN["input_ids"]), GOLDEN["gist_token"], GOLDEN["pad_token"], control=control
    )
    assert found.astype(int).tolist() == GOLDEN["expected"][expected]


def test_the_matrix_of_the_paper():
    # a b c G d: only d is cut off from what stands before the gist.
    expected = ["11110"] * 4 + ["00011"]
    found = gist_mask(np.array([[1, 2, 3, 9, 4]]), 9)[0].astype(int)
    assert ["".join(map(str, row)) for row in found.tolist()] == expected


@pytest.mark.usefixtures("exactly")
def test_what_follows_the_gist_depends_on_the_instruction_through_it_alone(moved, monkeypatch):
    ids = np.array([[5, 6, 7, moved.token, moved.token, 8, 9]])
    words = moved._gisted(torch.from_numpy(ids)).detach().requires_grad_()
    monkeypatch.setattr(moved, "_gisted", lambda _: words)
    states = moved._masked(ids)[0]

    def reach(row):
        [gradient] = torch.autograd.grad(states[row].sum(), [words], retain_graph=True)
        return (gradient[0].abs().sum(-1) > 0).tolist()

    assert reach(2) == [True, True, True, False, False, False, False]
    assert reach(4) == [True, True, True, True, True, False, False]
    # Through the gist's states the instruction still reaches what follows …
    assert reach(6) == [True, True, True, True, True, True, True]
    # … and through nothing else: with those held fixed, not at all.
    [layer] = moved.lm.module.base_model.layers[:1]
    assert not direct(layer, words, ids, moved)


def direct(layer, words, ids, made):
    """Whether one layer's states after the gist move with the tokens before it."""
    seen = torch.from_numpy(gist_mask(ids, made.token) & np.tri(ids.shape[1], dtype=bool))[:, None]
    rotary = made.lm.module.base_model.rotary_emb(words, torch.arange(ids.shape[1])[None])
    states = layer(words, attention_mask=seen, position_embeddings=rotary)
    states = states[0] if isinstance(states, tuple) else states
    [gradient] = torch.autograd.grad(states.reshape(ids.shape[1], -1)[5:].sum(), [words])
    return bool((gradient[0, :3] != 0).any())


@pytest.mark.usefixtures("exactly")
def test_kept_states_give_what_the_masked_forward_gives(moved):
    instruction, text = "Say the colour of the sky.", " It is blue"
    reader = moved.base._reader
    before = reader.encode([instruction])[0].ids
    after = reader.encode([text])[0].ids[1:]
    ids = np.concatenate([before, [moved.token] * 2, after])[None]
    logits = moved.lm.module.get_output_embeddings()(moved._masked(ids)[0])
    at = len(before) + 2
    expected = [logits[at + i].log_softmax(-1)[token].item() for i, token in enumerate(after[1:])]
    states = moved.compress(instruction)
    assert states.length == at
    assert states.keys.shape == (2, 1, 2, 32)
    np.testing.assert_allclose(moved.logprobs(states, text), expected, atol=1e-4)


def test_positions_go_on_from_the_whole_instruction(moved):
    states = moved.compress("Say the colour of the sky.")
    from dataclasses import replace

    nearer = replace(states, length=2)
    apart = moved.logprobs(states, " It is blue") - moved.logprobs(nearer, " It is blue")
    assert np.abs(apart).max() > 1e-3


@pytest.mark.usefixtures("exactly")
def test_an_answer_is_the_likeliest_token_each_time(moved):
    # Token by token from a growing prompt: the cache and the positions go on as they should.
    states = moved.compress("Say the colour of the sky.")
    said = moved.generate(states, " It is", max_tokens=3)
    ids = moved.base._reader.encode([" It is"])[0].ids[1:].tolist()
    whole = moved.base._reader.encode(["Say the colour of the sky."])[0].ids.tolist()
    for _ in range(3):
        row = np.array([[*whole, moved.token, moved.token, *ids]])
        logits = moved.lm.module.get_output_embeddings()(moved._masked(row)[0, -1])
        ids.append(int(logits.argmax()))
    assert said == moved.base.tokenizer.decode(ids[-3:])


def test_messages_may_follow_an_instruction(moved):
    states = moved.compress("Say the colour of the sky.")
    talk = moved.generate(states, [{"role": "user", "content": "Tea?"}], max_tokens=3)
    assert talk == moved.generate(states, "<|user|>\nTea?\n<|assistant|>\n", max_tokens=3)


def test_what_cannot_be_answered_is_said_so(moved):
    states = moved.compress("Say the colour of the sky.")
    with pytest.raises(ModelError, match="an empty prompt after kept states; give a few words"):
        moved.generate(states, "")
    with pytest.raises(ModelError, match=r"prompt 0 has \d+ tokens, and with max_tokens=1020"):
        moved.generate(states, " It is", max_tokens=1020)


def test_only_the_response_is_learnt_and_padding_changes_nothing(moved):
    rows = rows_of(moved.base, *TOLD)
    [(together, count)] = moved.losses(rows, np.random.default_rng(0))
    alone = [next(moved.losses([row], np.random.default_rng(0))) for row in rows]
    assert count == sum(n for _, n in alone)
    assert count == sum(len(row.rest) - row.first + 1 for row in rows)  # and the end token
    assert together.item() == pytest.approx(sum(loss.item() for loss, _ in alone), rel=2e-2)


def test_training_teaches_the_gist(tiny, tmp_path):
    made = Gist.train(tiny, *TOLD, tmp_path, epochs=60, learning_rate=1e-2, lora=8, progress=False)
    assert made.losses_[-1] < 0.3 * made.losses_[0]
    again = Gist.from_pretrained(tmp_path, tiny)
    states = again.compress(TOLD[0][1])
    np.testing.assert_allclose(states.keys, made.compress(TOLD[0][1]).keys)
    assert again.generate(states, " up:", max_tokens=12).strip() == "one two three"
