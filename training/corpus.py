"""The language model's diet as token streams: tokenizer, dialogues, task lists, texts.

    python -m training.corpus DATA WORK

writes WORK/tokenizer/ and one WORK/streams/NAME.npy (uint16) a source.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from training import data, tasks
from training.data import Example

VOCABULARY = 8192
BEGIN, END, PAD = "<s>", "</s>", "<pad>"
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{{ message['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

_TEXT_GROUPS = {"books", "medical", "software_docs", "math", "meetings", "wikipedia", "speeches"}
_LIST_LENGTH = 16  # Self-Instruct stops a list before "16."


def dialogue(example: Example) -> str:
    """Render an example as the chat template does."""
    return f"<|user|>\n{example.prompt}{END}\n<|assistant|>\n{example.output}{END}\n"  # after <s>


def streams(folder: Path, *, held_out: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (stream, text) of the whole diet, without <s>; deterministic."""
    draw = random.Random(0)
    topics: list[str] = []
    for document in data.documents(folder, held_out=held_out):
        group = document.domain if document.domain in _TEXT_GROUPS else "various"
        yield f"text-{group}", document.text + END
        if document.domain == "wikipedia" and len(document.title) < 40:
            topics.append(document.title.partition(" (")[0])
        if draw.random() < (0.5 if document.domain == "wikipedia" else 0.1):
            yield "rules", dialogue(tasks.by_rule(draw, document.text))
    yield from _instructed(folder, draw, held_out=held_out)
    yield from _lists(folder, draw, topics, held_out=held_out)


def _instructed(folder: Path, draw: random.Random, *, held_out: bool) -> Iterator[tuple[str, str]]:
    for example in data.examples(folder, held_out=held_out):
        family = example.task.partition("/")[0]
        if len(example.prompt) > 1500:
            continue
        name = {"seed": "people", "dolly": "people", "induction": "induction", "p3": "p3"}
        yield name.get(family, "questions"), dialogue(example)
        if family in {"seed", "dolly", "medical", "nq"} and len(example.output) > 80:
            yield "designs", dialogue(tasks.designed(example))


def _lists(
    folder: Path, draw: random.Random, topics: list[str], *, held_out: bool
) -> Iterator[tuple[str, str]]:
    people = data.instructions(folder, held_out=held_out)
    for _ in range(40 if held_out else 3000):
        lines = [
            draw.choice(people) if draw.random() < 0.6 else tasks.asked(draw, topics)
            for _ in range(_LIST_LENGTH - 1)
        ]
        yield "lists", tasks.numbered(lines) + END
        yield "asked", dialogue(Example("ask", "Write a new task.", "", lines[0]))


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE that puts <s> before a text, as Llama's does."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END, PAD, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(texts, trainer)
    words.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=ROLES,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def save(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer so that transformers 4 reads it as well as 5."""
    tokenizer.save_pretrained(folder)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": ROLES,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> npt.NDArray[np.uint16]:
    """Lay texts end to end, each after <s>, in an order drawn once."""
    order = np.random.default_rng(0).permutation(len(texts))
    encoded = tokenizer._tokenizer.encode_batch_fast([texts[place] for place in order])
    return np.concatenate([np.array(one.ids, np.uint16) for one in encoded])


def main() -> None:
    """Build tokenizer and streams."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--megabytes", type=float, default=6, help="of each stream, at most")
    given = parser.parse_args()

    kept: dict[str, list[str]] = {}
    for name, text in streams(given.data):
        kept.setdefault(name, []).append(text)
    draw = random.Random(1)
    for name, texts in kept.items():
        draw.shuffle(texts)
        ends = np.cumsum([len(text) for text in texts])
        del texts[int(np.searchsorted(ends, given.megabytes * 1e6)) + 1 :]
        print(f"{name}: {len(texts):,} texts, {sum(map(len, texts)) / 1e6:.1f} MB")
    plain = (text for texts in kept.values() for text in texts[: len(texts) // 2])
    tokenizer = train_tokenizer(plain)
    save(tokenizer, given.work / "tokenizer")
    (given.work / "streams").mkdir(parents=True, exist_ok=True)
    for name, texts in kept.items():
        np.save(given.work / "streams" / f"{name}.npy", encode(tokenizer, texts))


if __name__ == "__main__":
    main()
