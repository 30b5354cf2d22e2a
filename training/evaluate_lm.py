"""Measure the language model on what it never saw.

    python -m training.evaluate_lm DATA WORK FOLDER

Bits per byte beside gzip, xz and a 5-gram Kneser-Ney model of the same tokenizer, once over
all the streams that training draws from and once over as many tokens as the model saw. A
held-out text of which a tenth was seen (runs of eight tokens: a passage that another data set
quotes) is left out, since it would measure memory. Greedy answers to 200 held-out simple
instructions; 100 instructions in the way of Self-Instruct.
"""

import argparse
import gzip
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training import data, tasks
from training.corpus import END, VOCABULARY, dialogue, streams
from training.data import Example
from training.kneser_ney import KneserNey
from training.lm import FIRST, windows

CONTEXT = 1024
BYTES_A_STREAM = 40_000
ANSWERS, GENERATIONS = 200, 100


class Model:
    """A model and its tokenizer, for a few batches."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def nats(self, tokens: list[int]) -> npt.NDArray[np.float64]:
        """Return -log p of each token but the first."""
        ids = torch.tensor([tokens])
        with torch.inference_mode():
            found = self.network(ids).logits[0, :-1].log_softmax(-1)
        return -found.gather(1, ids[0, 1:, None])[:, 0].double().numpy()

    def write(self, prompts: list[str], **how: object) -> list[str]:
        """Continue prompts, which hold their own special tokens; keep what ends in </s>."""
        found: list[str] = []
        for start in range(0, len(prompts), 50):
            batch = self.tokenizer(
                prompts[start : start + 50], return_tensors="pt", padding=True,
                add_special_tokens=False, return_token_type_ids=False,
            )  # fmt: skip
            with torch.inference_mode():
                out = self.network.generate(**batch, **how)
            found += self.tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :])
        return found


def held_out(folder: Path) -> dict[str, list[str]]:
    """Return held-out texts of each stream, about as much of each."""
    kept: dict[str, list[str]] = {}
    for name, text in streams(folder, held_out=True):
        kept.setdefault(name, []).append(text[:4000])
    draw = random.Random(3)
    for texts in kept.values():
        draw.shuffle(texts)
        ends = np.cumsum([len(text) for text in texts])
        del texts[int(np.searchsorted(ends, BYTES_A_STREAM)) + 1 :]
    return kept


def fresh(model: Model, texts: list[str], seen: npt.NDArray[np.uint64]) -> list[str]:
    """Return the texts of which less than a tenth stands in the training streams."""
    kept = []
    for text in texts:
        runs = _runs(np.array(model.tokenizer(text)["input_ids"][:CONTEXT], np.uint64))
        at = np.searchsorted(seen, runs).clip(max=len(seen) - 1)
        if len(runs) and (seen[at] == runs).mean() < 0.1:
            kept.append(text)
    return kept


def _runs(tokens: npt.NDArray[np.uint64], length: int = 8) -> npt.NDArray[np.uint64]:
    """Return a hash of each run of tokens."""
    n, hashes = max(0, len(tokens) - length + 1), np.zeros(1, np.uint64)
    for place in range(length):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + tokens[place : place + n] + np.uint64(1)
    return hashes


def bits_per_byte(model: Model, work: Path, texts: dict[str, list[str]], seen: int) -> dict:
    """Return bits per byte by stream and model, and over all."""
    loaded = {path.stem: np.load(path) for path in (work / "streams").glob("*.npy")}
    runs = [np.unique(_runs(tokens.astype(np.uint64))) for tokens in loaded.values()]
    known = np.unique(np.concatenate(runs))
    texts = {stream: fresh(model, parts, known) for stream, parts in texts.items()}
    texts = {stream: parts for stream, parts in texts.items() if parts}
    draw = np.random.default_rng(4)
    drawn = windows(loaded, FIRST, (seen // 257, 257), draw).numpy().ravel()
    everything = np.concatenate(list(loaded.values())).astype(np.int64)
    grams = {
        "Kneser-Ney, all streams": KneserNey(everything, VOCABULARY),
        "Kneser-Ney, as many tokens": KneserNey(drawn, VOCABULARY),
    }
    bits: dict[str, Counter[str]] = {name: Counter() for name in ["bundled", *grams]}
    sizes: Counter[str] = Counter()
    for stream, parts in texts.items():
        for text in parts:
            tokens = model.tokenizer(text)["input_ids"][:CONTEXT]
            sizes[stream] += len(model.tokenizer.decode(tokens, skip_special_tokens=True).encode())
            bits["bundled"][stream] += model.nats(tokens).sum() / np.log(2)
            for name, gram in grams.items():
                bits[name][stream] -= np.log2(gram.probabilities(np.array(tokens))).sum()
    found = {
        name: {stream: round(of[stream] / sizes[stream], 3) for stream in sizes}
        | {"all": round(of.total() / sizes.total(), 3)}
        for name, of in bits.items()
    }
    whole = "\n".join(text.replace(END, "") for parts in texts.values() for text in parts).encode()
    found["texts"] = {stream: len(parts) for stream, parts in texts.items()}
    found["gzip"] = {"all": round(8 * len(gzip.compress(whole, 9)) / len(whole), 3)}
    found["xz"] = {"all": round(8 * len(lzma.compress(whole, preset=9)) / len(whole), 3)}
    return found


_WORD = r"[\w'’-]+"
FORMATS: dict[str, str] = {
    "induction/first_word_letter": r"\w",
    "induction/second_word_letter": r"\w",
    "induction/letters_list": r"(\S )+\S",
    "induction/sum": r"-?\d+",
    "induction/diff": r"-?\d+",
    "induction/num_to_verbal": r"[a-z -]+",
    "induction/sentiment": r"positive|negative",
    "induction/word_in_context": r"same|not the same",
    "induction/larger_animal": rf"{_WORD}( {_WORD}){{0,2}}",
    "induction/antonyms": rf"{_WORD}( {_WORD}){{0,2}}",
    "induction/synonyms": rf"{_WORD}( {_WORD}){{0,2}}",
    "induction/rhymes": _WORD,
    "induction/singular_to_plural": rf"{_WORD}( {_WORD})?",
    "induction/translation_en-de": rf"{_WORD}( {_WORD}){{0,3}}",
    "induction/translation_en-es": rf"{_WORD}( {_WORD}){{0,3}}",
    "induction/translation_en-fr": rf"{_WORD}( {_WORD}){{0,3}}",
    "induction/negation": r"[A-Z].{8,}[.!?]",
    "induction/active_to_passive": r"[A-Z].{8,}[.!?]",
    "induction/taxonomy_animal": rf"{_WORD}(, {_WORD})*",
    "rule/bullets": r"(- \w+\n?)+",
    "rule/numbers": r"(\d+\. \w+\n?)+",
    "rule/contains": r"Yes|No",
    "rule/count": r"\d+",
    "rule/first": r"\w+",
    "rule/last": r"\w+",
    "rule/json": r'\["\w+"(, "\w+")*\]',
    "rule/repeat": r"\w+( \w+)*",
    "rule/sorted": r"\w+(, \w+)*",
    "rule/upper": r"[A-Z]+( [A-Z]+)*",
}
"""What a whole answer looks like, for tasks where that can be said."""


def simple_tasks(folder: Path) -> list[Example]:
    """Return held-out tasks whose format can be checked, about as many of each kind."""
    draw = random.Random(5)
    found = [e for e in data.examples(folder, held_out=True) if e.task in FORMATS]
    for document in data.documents(folder, held_out=True):
        found.append(tasks.by_rule(draw, document.text))
    draw.shuffle(found)
    seen: Counter[str] = Counter()
    ranked = []
    for example in found:
        ranked.append((seen[example.task], len(ranked)))
        seen[example.task] += 1
    return [found[place] for _, place in sorted(ranked)[:ANSWERS]]


def answers(model: Model, examples: list[Example]) -> dict[str, float]:
    """Return what shares of greedy answers are as an answer should be."""
    asked = [dialogue(example._replace(output="")) for example in examples]
    prompts = [f"<s>{text.removesuffix(END + chr(10))}" for text in asked]
    written = model.write(prompts, max_new_tokens=64, do_sample=False)
    checks: dict[str, Callable[[Example, str], bool]] = {
        "non-empty": lambda _, answer: bool(answer.partition(END)[0].strip()),
        "ended": lambda _, answer: END in answer,
        "not repeating": lambda _, answer: not _repeats(answer.partition(END)[0]),
        "on format": lambda e, answer: _fits(e, answer),
        "right": lambda e, answer: answer.partition(END)[0].strip() == e.output,
    }
    passed = {
        name: [check(e, answer) for e, answer in zip(examples, written, strict=True)]
        for name, check in checks.items()
    }
    wanted = [passed[name] for name in ("non-empty", "not repeating", "on format")]
    passed["non-empty, on format, not repeating"] = [
        all(three) for three in zip(*wanted, strict=True)
    ]
    return {name: round(float(np.mean(found)), 3) for name, found in passed.items()}


def _fits(example: Example, answer: str) -> bool:
    text = answer.partition(END)[0].strip()
    return END in answer and re.fullmatch(FORMATS[example.task], text) is not None


def _repeats(text: str) -> bool:
    """Whether three words in a row stand there three times."""
    words = text.split()
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    return bool(runs) and max(runs.values()) >= 3


def self_instruct(model: Model, folder: Path, temperature: float) -> dict[str, object]:
    """Return how many of 100 generated instructions pass Self-Instruct's filters.

    The paper's 0.7 came with a presence penalty of 2, which keeps GPT-3 from repeating
    itself; a model without one needs a higher temperature for that.
    """
    draw = random.Random(6)
    torch.manual_seed(6)
    seeds = [row["instruction"] for row in data.rows(folder, "self_instruct_seed_tasks")]
    trained = {text.lower() for text in data.instructions(folder, held_out=False)}
    asked: list[str] = []
    while len(asked) < GENERATIONS:
        prompts = [f"<s>{tasks.numbered(draw.sample(seeds, 8))}9." for _ in range(10)]
        how = {"max_new_tokens": 300, "do_sample": True, "temperature": temperature, "top_p": 0.9}
        for text in model.write(prompts, **how):
            lines = re.split(r"\n\d+\s?\. ", text.partition(END)[0])
            asked += [" ".join(line.split()) for line in lines if line.strip()]
    asked = asked[:GENERATIONS]
    kept: list[str] = []
    reasons: Counter[str] = Counter()
    for text in asked:
        reason = refused(text, seeds + kept)
        reasons[reason or "kept"] += 1
        kept += [] if reason else [text]
    copies = sum(text.lower() in trained for text in kept)
    return {**reasons, "kept, but in the training set": copies, "samples": kept[:12]}


_HINTS = re.compile(r"\b(images?|graphs?|pictures?|files?|maps?|draw|plot|go to)\b", re.IGNORECASE)


def refused(text: str, known: list[str]) -> str | None:
    """Return why Self-Instruct drops an instruction, or None.

    >>> refused("Draw a picture of a house.", []), refused("Name three fruits.", [])
    ('not about text', 'too short or long')
    """
    if not 3 < len(text.split()) <= 150:
        return "too short or long"
    if _HINTS.search(text):
        return "not about text"
    if text.startswith("Write a program"):
        return "a program"
    if not (text[0].isascii() and text[0].isalnum()):
        return "odd start"
    return "too like another" if any(rouge_l(text, other) >= 0.7 for other in known) else None


def rouge_l(first: str, second: str) -> float:
    """Return ROUGE-L's F of two texts.

    >>> rouge_l("Write a short poem about cats.", "Write a short story about dogs.")
    0.6666666666666666
    """
    a, b = (re.findall("[a-z0-9]+", text.lower()) for text in (first, second))
    if 2 * min(len(a), len(b)) < 0.7 * (len(a) + len(b)):
        return 0.0  # too different in length to come near the limit
    row = [0] * (len(b) + 1)
    for word in a:
        last = row
        row = [0]
        for place, other in enumerate(b):
            row.append(last[place] + 1 if word == other else max(row[-1], last[place + 1]))
    return 2 * row[-1] / (len(a) + len(b)) if row[-1] else 0.0


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = Model(given.folder)
    seen = torch.load(given.work / "checkpoint.pt", weights_only=True)["progress"]["tokens"]
    found = {
        "tokens seen": seen,
        "answers": answers(model, simple_tasks(given.data)),
        "self-instruct, by temperature": {
            temperature: self_instruct(model, given.data, temperature)
            for temperature in (0.7, 0.85, 1.0)
        },
        "bits per byte": bits_per_byte(model, given.work, held_out(given.data), seen),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
