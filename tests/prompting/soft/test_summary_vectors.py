import json

import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

import numpy as np
import torch
from torch.nn import functional

from tamis.errors import DataError, ModelError, SettingError
from tamis.models import load
from tamis.prompting.soft import summary_vectors
from tamis.prompting.soft.summary_vectors import SummaryVectors, segment_lengths
from tamis.prompting.soft.texts import tokens_of

TEXT = "The sky is blue, and the sea below it is bluer still. " * 6
SMALL = {"slots": 4, "segment": 16, "memory": 3, "lora": 4}


@pytest.fixture
def moved(tiny):
    """Summary vectors whose every weight is something else than at the start."""
    made = SummaryVectors(tiny, **SMALL)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.weights().values():
            weight += 0.05 * torch.randn(weight.shape, generator=noise)
    return made


def ids_of(lm, count, rows=1):
    ids = np.concatenate([*tokens_of(lm, TEXT * rows)])
    return torch.from_numpy(np.stack([ids[i * count : (i + 1) * count] for i in range(rows)]))


# Segments


@pytest.mark.parametrize(
    ("total", "count", "longest"), [(1024, 4, 824), (200, 20, 50), (90, 3, 40)]
)
def test_segments_make_up_the_whole_and_none_is_too_long_or_too_short(total, count, longest):
    least = max(-(-(total - longest) // (count - 1)), 2)
    drawn = [
        segment_lengths(total, count, longest, np.random.default_rng(seed)) for seed in range(200)
    ]
    assert {lengths.sum() for lengths in drawn} == {total}
    assert {len(lengths) for lengths in drawn} == {count}
    assert min(lengths.min() for lengths in drawn) >= least
    assert max(lengths.max() for lengths in drawn) <= longest
    assert len({tuple(lengths) for lengths in drawn}) > 50


def test_segments_that_leave_nothing_to_draw_are_even():
    assert segment_lengths(120, 3, 40, np.random.default_rng(0)).tolist() == [40, 40, 40]
    assert segment_lengths(7, 1, 40, np.random.default_rng(0)).tolist() == [7]


# What is encoded


def test_each_segment_adds_its_vectors_until_the_memory_is_full(moved):
    ids = ids_of(moved.base, 16 * 5)[0].tolist()
    for segments, vectors in [(1, 4), (2, 8), (3, 12), (5, 12)]:
        text = moved.base.tokenizer.decode(ids[1 : 16 * segments])
        assert moved.encode(text).shape == (vectors, 64)
    assert moved.encode("").shape == (0, 64)


def test_vectors_are_as_long_as_embeddings(moved):
    words = moved.base.module.get_input_embeddings().weight.detach()
    mean = words.norm(dim=1).mean().item()
    np.testing.assert_allclose(np.linalg.norm(moved.encode(TEXT), axis=1), mean, rtol=1e-5)


def test_with_a_memory_of_one_only_the_newest_vectors_stay(tiny):
    made = SummaryVectors(tiny, **SMALL | {"memory": 1})
    assert made.encode(TEXT).shape == (4, 64)


def test_vectors_that_fell_out_of_memory_have_left_their_mark(tiny, moved):
    changed = TEXT.replace("sky", "fly", 1)  # in the first of many segments
    assert len(next(tokens_of(tiny, TEXT))) > 16 * 5
    assert np.abs(moved.encode(TEXT) - moved.encode(changed)).max() > 1e-4


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_gives_what_the_whole_text_gives(moved, monkeypatch, size):
    from tamis.prompting.soft import texts

    monkeypatch.setattr(texts, "_READ", 64)
    parts = (TEXT[begin : begin + size] for begin in range(0, len(TEXT), size))
    np.testing.assert_array_equal(moved.encode(parts), moved.encode(TEXT))


def test_parts_lose_no_character(tiny, monkeypatch):
    from tamis.prompting.soft import texts

    monkeypatch.setattr(texts, "_READ", 10)
    text = "a b  c\n\nd" + "x" * 35 + " é東京 " * 9
    assert "".join(texts._parts(text)) == text
    assert max(map(len, texts._parts(text))) <= 10


def test_memory_does_not_grow_with_the_text(moved, monkeypatch):
    longest = 0
    forward = moved.lm.module.base_model.forward

    def watched(*arguments, **named):
        nonlocal longest
        longest = max(longest, named["inputs_embeds"].shape[1])
        return forward(*arguments, **named)

    monkeypatch.setattr(moved.lm.module.base_model, "forward", watched)
    moved.encode(TEXT for _ in range(20))
    assert longest == 16 + (3 + 1) * 4


# What is read from them


def test_without_vectors_and_training_it_is_the_base_model(tiny):
    made = SummaryVectors(tiny, **SMALL)
    none = np.empty((0, 64), np.float32)
    own = tiny.logprobs(["The sky is blue"])[0].logprobs
    np.testing.assert_allclose(made.logprobs(none, "The sky is blue"), own, atol=1e-4)
    asked = {"max_tokens": 8}
    assert made.generate(none, "The sky is", **asked) == tiny.generate(["The sky is"], **asked)[0]


@pytest.mark.usefixtures("exactly")
def test_one_segment_costs_what_the_base_model_says(tiny):
    made = SummaryVectors(tiny, **SMALL)
    ids = ids_of(tiny, 30)
    [(loss, count)] = made._substeps(ids, made._embedded(ids), np.array([30]))
    logits = tiny.module(input_ids=ids).logits[0, :-1]
    expected = functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
    assert count == 29
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.usefixtures("exactly")
def test_compressing_then_prompting_is_the_segmented_forward(moved):
    # One call: the loss of three segments' tokens. Two calls: those of each segment, given what
    # `encode` made of the segments before it.
    ids = ids_of(moved.base, 16 * 3)
    words = moved._embedded(ids)
    together = sum(loss.item() for loss, _ in moved._substeps(ids, words, np.full(3, 16)))
    text = moved.base.tokenizer.decode(ids[0, 1:])
    encoded = moved.base._reader.encode([text])[0]
    assert encoded.ids.tolist() == ids[0].tolist()
    apart = 0.0
    for begin in (0, 16, 32):
        upto = int(encoded.spans[begin - 1, 0]) if begin else 0
        vectors = moved.encode(text[:upto]) if begin else np.empty((0, 64), np.float32)
        after = min(begin + 17, 48)  # the last of a segment foretells the first of the next
        given = torch.cat([torch.from_numpy(vectors), words[0, begin : after - 1]])
        states = moved.lm.module.base_model(inputs_embeds=given[None])[0][0, len(vectors) :]
        logits = moved.lm.module.get_output_embeddings()(states)
        right = ids[0, begin + 1 : after]
        apart += functional.cross_entropy(logits[: len(right)], right, reduction="sum").item()
    assert together == pytest.approx(apart, rel=1e-4)


def test_an_answer_is_that_of_the_embeddings_laid_end_to_end(moved):
    vectors = moved.encode(TEXT)
    ids = moved.base._reader.encode(["Say why"])[0].ids[1:]  # no <s>: a text goes on
    words = moved._embedded(torch.from_numpy(ids)).numpy()
    given = moved.prompt_embeddings(vectors, "Say why")
    np.testing.assert_array_equal(given, np.concatenate([vectors, words]))
    asked = {"max_tokens": 8, "temperature": 1.0, "n": 2}
    answer = moved.generate(vectors, "Say why", **asked)
    assert answer == moved.lm.generate([given], **asked)[0]
    assert len(answer.texts) == 2


def test_scores_are_those_of_the_next_token(moved):
    vectors = moved.encode(TEXT)
    told = moved.logprobs(vectors, "Say why")
    given = torch.from_numpy(moved.prompt_embeddings(vectors, "Say why"))
    ids = moved.base._reader.encode(["Say why"])[0].ids[1:]
    logits = moved.lm.module(inputs_embeds=given[None]).logits[0].log_softmax(-1)
    expected = [logits[len(vectors) - 1 + i, token].item() for i, token in enumerate(ids)]
    np.testing.assert_allclose(told, expected, atol=1e-4)


def test_messages_are_rendered_and_do_not_begin_a_text(moved):
    vectors = moved.encode(TEXT)
    rendered = "<|user|>\nTea?\n<|assistant|>\n"
    talk = moved.prompt_embeddings(vectors, [{"role": "user", "content": "Tea?"}])
    np.testing.assert_array_equal(talk, moved.prompt_embeddings(vectors, rendered))


def test_vectors_of_another_width_are_refused(moved):
    with pytest.raises(SettingError, match=r"vectors of shape \(3, 5\); give what encode returned"):
        moved.generate(np.zeros((3, 5)), "Tea?")


def test_the_saved_reader_reads_as_the_trained_one(moved, tmp_path):
    moved.save_reader(tmp_path)
    reader = load(f"transformers:{tmp_path}", device="cpu")
    vectors = moved.encode(TEXT)
    asked = {"max_tokens": 8}
    assert moved.generate(vectors, "Say why", lm=reader, **asked) == moved.generate(
        vectors, "Say why", **asked
    )
    ours, its = moved.lm.logprobs([TEXT])[0], reader.logprobs([TEXT])[0]
    np.testing.assert_allclose(its.logprobs, ours.logprobs, atol=1e-3)


# What is learnt


def reached(made, lengths, monkeypatch):
    """For each substep, how far its loss moves with the embedding of each token."""
    ids = ids_of(made.base, int(sum(lengths)))
    words = made._embedded(ids).requires_grad_()
    found = []
    for loss, _ in made._substeps(ids, words, np.array(lengths)):
        [gradient] = torch.autograd.grad(loss, [words], retain_graph=True)
        found.append(gradient[0].abs().sum(-1))
    return found


@pytest.mark.usefixtures("exactly")
def test_no_gradient_crosses_from_one_substep_to_the_one_before(moved, monkeypatch):
    first, second = reached(moved, [10, 11, 12, 13], monkeypatch)
    assert (first[:21] > 0).all()
    assert (first[21:] == 0).all()
    assert (second[:21] == 0).all()
    assert (second[21 : 21 + 12] > 0).all()  # by their own loss, and by their vectors


@pytest.mark.usefixtures("exactly")
def test_a_gradient_does_cross_the_hand_over_within_a_substep(moved):
    ids = ids_of(moved.base, 24)
    words = moved._embedded(ids).requires_grad_()
    # Only the second segment's tokens are scored: what reaches the first went through vectors.
    states = []
    keep = summary_vectors.last_states

    def kept(lm, embeddings):
        states.append(keep(lm, embeddings))
        return states[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary_vectors, "last_states", kept)
        [*_] = moved._substeps(ids, words, np.array([12, 12]))
    [gradient] = torch.autograd.grad(states[1].sum(), [words])
    assert (gradient[0, :12].abs().sum(-1) > 0).all()
    assert moved.own["summary"].requires_grad


@pytest.mark.usefixtures("exactly")
@pytest.mark.parametrize(("first", "copied"), [(20, 4), (3, 3)])  # 4 slots, or fewer tokens
def test_copying_adds_the_loss_of_a_segments_last_tokens_one_by_each_slot(moved, first, copied):
    ids = ids_of(moved.base, first + 10)
    words = moved._embedded(ids)
    [(plain, count)] = moved._substeps(ids, words, np.array([first, 10]))
    moved.settings["copying"] = 0.5
    [(loss, still)] = moved._substeps(ids, words, np.array([first, 10]))
    given = torch.cat([words[:, :first], moved._asked(1)], dim=1)
    states = moved.lm.module.base_model(inputs_embeds=given)[0][0, -copied:]
    logits = moved.lm.module.get_output_embeddings()(states)
    right = ids[0, first - copied : first]
    expected = functional.cross_entropy(logits, right, reduction="sum").item()
    assert loss.item() == pytest.approx(plain.item() + 0.5 * expected, rel=1e-4)
    assert still == count  # a mean of the tokens that follow


def test_training_lowers_the_loss_and_leaves_the_base_alone(tiny, tmp_path):
    before = tiny.fingerprint
    made = SummaryVectors.train(
        tiny, [TEXT, TEXT[10:]], tmp_path, epochs=12, batch_tokens=64, learning_rate=1e-2,
        progress=False, **SMALL,
    )  # fmt: skip
    assert np.mean(made.losses_[-4:]) < 0.7 * np.mean(made.losses_[:4])
    assert tiny.fingerprint == before
    assert all(p.grad is None for p in tiny.module.parameters())
    assert made.own["summary"].detach().std(dim=0).max() > 0


def test_a_seed_gives_the_same_weights_in_any_order(tiny, tmp_path):
    texts = [TEXT, TEXT[3:200], "Boil water. " * 30]
    given = {"epochs": 2, "batch_tokens": 64, "progress": False, **SMALL}
    one = SummaryVectors.train(tiny, texts, tmp_path / "a", **given)
    other = SummaryVectors.train(tiny, texts[::-1], tmp_path / "b", **given)
    third = SummaryVectors.train(tiny, texts, tmp_path / "c", **given, seed=1)
    assert one.fingerprint == other.fingerprint != third.fingerprint


def test_texts_that_are_too_short_to_learn_from_are_named(tiny, tmp_path):
    with pytest.raises(DataError, match="summary-vectors: no text has tokens to learn from"):
        SummaryVectors.train(tiny, ["", "Tea"], tmp_path, progress=False, **SMALL)


def test_a_loss_that_is_no_number_is_named(tiny, tmp_path):
    with pytest.raises(ModelError, match=r"the loss is \w+ at step \d+ of .*=1e\+30"):
        SummaryVectors.train(
            tiny, [TEXT], tmp_path, learning_rate=1e30, epochs=3, batch_tokens=64,
            progress=False, **SMALL,
        )  # fmt: skip


def test_segments_that_do_not_fit_the_context_are_refused(tiny):
    with pytest.raises(SettingError, match="a segment of 3 to 824 tokens fits the context of 1024"):
        SummaryVectors(tiny, slots=50, segment=900, memory=3)
    with pytest.raises(SettingError, match="slots=0; give 1 or more"):
        SummaryVectors(tiny, slots=0)
    with pytest.raises(SettingError, match=r"copying=-1.0; give 0 or more"):
        SummaryVectors(tiny, copying=-1.0)


# What is saved


def test_what_is_saved_is_loaded_and_holds_no_base(moved, tmp_path):
    moved.save(tmp_path)
    again = SummaryVectors.from_pretrained(tmp_path, moved.base)
    np.testing.assert_array_equal(again.encode(TEXT), moved.encode(TEXT))
    assert again.fingerprint == moved.fingerprint
    assert again.settings == moved.settings
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    size = sum(p.numel() * 4 for p in moved.weights().values())
    assert (tmp_path / "compressor.safetensors").stat().st_size < size + 10_000


def test_the_base_may_be_loaded_in_another_precision(moved, tiny_folder, tmp_path):
    rounded = load(f"transformers:{tiny_folder}", device="cpu", dtype="bfloat16")
    moved.save(tmp_path)
    assert SummaryVectors.from_pretrained(tmp_path, rounded).encode(TEXT).dtype == np.float32


def test_another_base_is_refused(moved, tiny_folder, tmp_path):
    moved.save(tmp_path)
    other = load(f"transformers:{tiny_folder}", device="cpu")
    with torch.no_grad():
        next(other.module.parameters())[0] += 1
    with pytest.raises(ModelError, match=r"was trained on other weights than .* give base="):
        SummaryVectors.from_pretrained(tmp_path, other)


def test_settings_of_another_version_are_named(moved, tmp_path):
    moved.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["settings"]["colour"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"settings that are not known here .*colour"):
        SummaryVectors.from_pretrained(tmp_path, moved.base)


def test_a_folder_without_vectors_is_named(tmp_path, moved):
    with pytest.raises(ModelError, match="holds no soft compressor"):
        SummaryVectors.from_pretrained(tmp_path, moved.base)
    moved.save(tmp_path)
    (tmp_path / "compressor.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError, match="holds no soft compressor"):
        SummaryVectors.from_pretrained(tmp_path, moved.base)
