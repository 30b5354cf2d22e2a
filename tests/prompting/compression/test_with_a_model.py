"""With a real model, tiny and with random weights: what the doubles cannot show."""

import pytest

from tamis.prompting import compress

pytest.importorskip("torch", reason='pip install "tamis[models]"')

TEXT = "Größe, naïve café: 東京は日本の首都です。 Boil 3-5 l of water. Привет, мир! 👨‍👩‍👧 " * 12


@pytest.mark.parametrize("method", ["llmlingua", "selective-context", "longllmlingua"])
@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_bytes_of_a_character_are_not_parted(tiny, method, rate):
    done = compress(TEXT, rate=rate, lm=tiny, method=method, question="Where?", progress=False)
    assert "\ufffd" not in done.text
    assert done.text == "".join(done.original[a:b] for a, b in done.kept)
    assert done.tokens == len(tiny.tokenizer(done.text, add_special_tokens=False)["input_ids"])
    assert done.tokens <= rate * done.original_tokens


def test_a_batch_comes_out_as_one_by_one(tiny):
    texts = [TEXT, TEXT[:200], TEXT[100:900]]
    batch = compress(texts, rate=0.4, lm=tiny, progress=False)
    assert batch == [compress(text, rate=0.4, lm=tiny, progress=False) for text in texts]


@pytest.mark.parametrize("method", ["llmlingua", "longllmlingua"])
def test_a_long_prompt_goes_through_the_model_once(tiny, method):
    prompt = TEXT * 9
    done = compress(prompt, rate=0.5, lm=tiny, method=method, question="Where?", progress=False)
    assert done.original_tokens > 4 * tiny.context
    assert done.model_tokens <= 1.2 * done.original_tokens


def test_another_rate_costs_nothing_when_answers_are_kept(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path))
    first = compress(TEXT, rate=0.5, lm=tiny, cache=True, progress=False)
    monkeypatch.setattr(tiny, "_run", None)  # cannot be run any more
    assert compress(TEXT, rate=0.5, lm=tiny, cache=True, progress=False) == first
    assert compress(TEXT, rate=0.2, lm=tiny, cache=True, progress=False).tokens < first.tokens


def test_the_readers_tokenizer_may_be_a_folder(tiny, tiny_folder):
    by_folder = compress(TEXT, target_tokens=50, lm=tiny, tokenizer=tiny_folder, progress=False)
    assert by_folder == compress(TEXT, target_tokens=50, lm=tiny, progress=False)


@pytest.mark.parametrize("method", ["llmlingua", "longllmlingua", "selective-context"])
def test_memory_does_not_grow_with_the_prompt(tiny, method, monkeypatch):
    # What a forward takes goes by the tokens it is given; a prompt of 100,000 is given in parts.
    seen = []
    base = tiny.module.base_model
    forward = base.forward

    def counted(input_ids, **how):
        seen.append(input_ids.numel())
        return forward(input_ids=input_ids, **how)

    monkeypatch.setattr(tiny, "context", 512)
    monkeypatch.setattr(base, "forward", counted)
    steps = [f"Boil {i} l of water in a pot, and wait for it. " for i in range(4500)]
    prompt = "\n\n".join("".join(steps[i : i + 10]) for i in range(0, len(steps), 10))
    done = compress(prompt, rate=0.2, lm=tiny, method=method, question="Why?", progress=False)
    assert done.original_tokens > 100_000
    assert sum(seen) >= done.original_tokens
    assert max(seen) <= tiny.batch_tokens
