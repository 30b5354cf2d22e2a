import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.errors import DataError, ModelError
from tamis.kernels.threads import side_by_side
from tamis.models.transformers import TransformersLM
from tamis.models.tuning import on_cores, tune

PROMPTS = ["Name a colour: ", "What is two and two? ", "", "Say why, at length: "]
RESPONSES = ["blue", "four, as ever", "The sea is bluer still.", "because " * 40]


def learnt(lm, **settings):
    given = {"learning_rate": 3e-3, "batch_tokens": 64, "progress": False}
    return tune(lm, PROMPTS, RESPONSES, **given | settings)


def nats(lm):
    return -sum(one.sum for one in lm.logprobs(PROMPTS, RESPONSES))


def test_what_was_learnt_is_likelier_and_the_given_model_is_as_before(tiny):
    fingerprint, before = tiny.fingerprint, nats(tiny)
    tuned = learnt(tiny, epochs=5)
    assert nats(tuned) < 0.8 * before
    assert tiny.fingerprint == fingerprint
    assert tuned.fingerprint != fingerprint
    assert nats(tiny) == pytest.approx(before)


def test_the_order_of_the_rows_changes_nothing_and_the_seed_does(tiny):
    given = {"learning_rate": 1e-3, "batch_tokens": 64, "epochs": 2, "progress": False}
    one = tune(tiny, PROMPTS, RESPONSES, **given)
    other = tune(tiny, PROMPTS[::-1], RESPONSES[::-1], **given)
    assert one.fingerprint == other.fingerprint
    assert tune(tiny, PROMPTS, RESPONSES, **given | {"seed": 1}).fingerprint != one.fingerprint


def test_lora_learns_in_its_own_matrices(tiny):
    before = nats(tiny)
    tuned = learnt(tiny, lora=8, learning_rate=1e-2, epochs=5)
    assert nats(tuned) < 0.9 * before
    assert nats(tiny) == pytest.approx(before)
    held = {p.data_ptr() for p in tuned.module.parameters()}
    assert {p.data_ptr() for p in tiny.module.parameters()} <= held  # shared, not copied
    assert all(p.requires_grad and p.grad is None for p in tiny.module.parameters())


@pytest.mark.parametrize("lora", [None, 4])
def test_side_by_side_each_learns_what_it_learns_alone(tiny, lora):
    def trained(seed):
        with on_cores(1):
            tuned = learnt(tiny, seed=seed, lora=lora, epochs=10)
            return tuned.fingerprint, nats(tuned), nats(tiny)

    alone = [trained(seed) for seed in range(4)]
    assert len({fingerprint for fingerprint, _, _ in alone}) == 4
    assert side_by_side(trained, range(4), 2) == alone


def test_a_copy_may_be_tuned_again(tiny):
    once = learnt(tiny)
    assert nats(learnt(once, epochs=3)) < nats(once)


def test_a_loss_that_is_no_number_is_named(tiny):
    with pytest.raises(
        ModelError, match=r"the loss is nan at step \d+ of \d+, learning_rate=1e\+30"
    ):
        learnt(tiny, learning_rate=1e30, epochs=4)


def test_rows_without_a_token_are_refused(tiny_folder):
    from transformers import AutoTokenizer

    silent = TransformersLM(str(tiny_folder), device="cpu")
    silent.tokenizer = AutoTokenizer.from_pretrained(tiny_folder, eos_token=None)
    with pytest.raises(DataError, match="no row has a token to learn"):
        tune(silent, ["Say nothing: "], [""], progress=False)
