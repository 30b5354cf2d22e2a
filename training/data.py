"""What the bundled models may learn from: rows whose licence lets their weights be shipped.

Left out for their licence: reviews, news and the Pile sample (research use, or mixed), Alpaca,
LIMA, the AlpaGasus ratings, the Cherry reviews, the mixed test prompts, and those sets inside
P3 whose own terms are non-commercial or unclear (film and product reviews, SAMSum, Gigaword,
SciQ, …). What is left is named in `SOURCES` with its licence and copied into the model cards.

Two in a hundred documents and instructions are held out, chosen by a hash of what they say, so
that every script holds out the same.
"""

import json
import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

TEXTS = {
    "text_books": "classic-books-markdown, public domain",
    "text_medical": "MedQuAD, CC BY 4.0",
    "text_software_docs": "Python PEPs (public domain), project docs (MIT, Apache-2.0, BSD)",
    "text_math": "The Stacks project, GFDL 1.2",
    "text_meetings": "QMSum, MIT",
    "text_wikipedia": "Wikipedia (2WikiMultihopQA, wikitext-2), CC BY-SA",
    "text_speeches": "US inaugural and state-of-the-union addresses, public domain",
    "text_genres_masc": "MASC, open",
    "text_web": "C4 sample, ODC-BY",
}
INSTRUCTIONS = {
    "instructions_dolly_filtered_3k": "Databricks Dolly, CC BY-SA 3.0",
    "self_instruct_seed_tasks": "Self-Instruct seed tasks, Apache-2.0",
    "instruction_induction": "Instruction Induction, Apache-2.0",
    "instruction_induction_annotations": "Instruction Induction, Apache-2.0",
    "p3_pool": "P3 prompts (Apache-2.0) over openly licensed data sets (see P3_OPEN)",
    "gsm8k": "GSM8K, MIT",
    "mmlu": "MMLU, MIT",
    "bbh": "BIG-Bench Hard, MIT",
    "math_word_problems": "MultiArith and AQuA, Apache-2.0",
    "qa_nq_multidoc20": "Natural Questions over Wikipedia, MIT and CC BY-SA 3.0",
    "qa_qmsum_meetings": "QMSum, MIT",
    "qa_qmsum_queries": "QMSum, MIT",
}
JUDGEMENTS = {
    "pairwise_judgements_gisting": "Gisting's ChatGPT judgements, Apache-2.0",
    "preferences_dpo_demo": "LLaMA-Factory's DPO demo, Apache-2.0",
    "gsm8k_model_solutions": "GSM8K model solutions, MIT",
}
SOURCES = TEXTS | INSTRUCTIONS | JUDGEMENTS

P3_OPEN = {
    "adversarial_qa_dbert",
    "adversarial_qa_dbidaf",
    "adversarial_qa_droberta",
    "common_gen",
    "commonsense_qa",
    "cosmos_qa",
    "dbpedia_14",
    "duorc_ParaphraseRC",
    "duorc_SelfRC",
    "kilt_tasks_hotpotqa",
    "paws_labeled_final",
    "qasc",
    "quarel",
    "quartz",
    "quoref",
    "ropes",
    "social_i_qa",
    "wiki_bio",
    "wiki_hop_original",
    "wiqa",
}
"""Data sets of P3 under MIT, Apache, CC BY or CC BY-SA."""

TEST_ONLY = {
    "instructions_alpaca_labelled": "AlpaGasus ratings over Alpaca, CC BY-NC 4.0",
    "pairwise_reviews_cherry": "Cherry's GPT-4 reviews, unknown licence",
}
"""Sets that measure a model and never train one."""

HELD_OUT_PERCENT = 2
_QUESTION = re.compile(r"\s*Question:\s*(.+?)\nAnswer:\s*(.+)", re.DOTALL)


class Document(NamedTuple):
    """A text, or the next part of a long one."""

    domain: str
    key: str
    title: str
    text: str


class Example(NamedTuple):
    """An instruction, what it is applied to ('' for nothing), and the answer.

    What shares its `key` is held out together: a question and the document it is asked of.
    """

    task: str
    instruction: str
    input: str
    output: str
    key: str = ""

    @property
    def prompt(self) -> str:
        """Instruction and input as a user would type them."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


def rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `name`, if its licence allows what it is for.

    Raises
    ------
    KeyError
        If it is neither a source nor a test.
    """
    if name not in SOURCES | TEST_ONLY:
        raise KeyError(f"{name} is not in the diet: its licence does not allow it")
    with zstandard.open(folder / f"{name}.jsonl.zst", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def is_held_out(content: str) -> bool:
    """Whether evaluation keeps this content for itself.

    >>> sum(is_held_out(str(number)) for number in range(10_000))
    195
    """
    digest = blake2b(" ".join(content.lower().split()).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % 100 < HELD_OUT_PERCENT


def documents(folder: Path, *, held_out: bool) -> Iterator[Document]:
    """Yield the texts, whole documents held out or not."""
    for name in TEXTS:
        for row in rows(folder, name):
            if is_held_out(row["doc"]) is held_out:
                yield Document(row["domain"], row["doc"], row["title"], row["text"])
    seen = set()
    for row in rows(folder, "qa_nq_multidoc20"):
        for context in row["contexts"]:
            title, text = context["title"], context["text"]
            if text not in seen and is_held_out(title) is held_out:
                seen.add(text)
                yield Document("wikipedia", f"nq/{title}", title, f"{title}\n\n{text}")


def examples(folder: Path, *, held_out: bool) -> Iterator[Example]:
    """Yield instructions with their answers, held out or not by key, else by what they ask."""
    for example in _every_example(folder):
        if is_held_out(example.key or example.instruction + example.input) is held_out:
            yield example


def instructions(folder: Path, *, held_out: bool) -> list[str]:
    """Return what people asked for, each once: the stuff of task lists."""
    asked = [row["instruction"] for row in rows(folder, "instructions_dolly_filtered_3k")]
    asked += [row["instruction"] for row in rows(folder, "self_instruct_seed_tasks")]
    for row in rows(folder, "instruction_induction_annotations"):
        asked += row["instructions"]
    short = dict.fromkeys(" ".join(text.split()) for text in asked if len(text) < 300)
    return [text for text in short if is_held_out(text) is held_out]


def pairs(folder: Path, *, held_out: bool) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, text, text): two that belong together, neither saying little."""
    for example in examples(folder, held_out=held_out):
        if len(example.output) >= 40 and example.task.split("/")[0] != "bbh":
            yield example.task.split("/")[0], example.prompt, example.output
    last = Document("", "", "", "")
    for document in documents(folder, held_out=held_out):
        passages = _passages(document.text)
        if document.key == last.key:
            passages.insert(0, _passages(last.text)[-1])
        yield from (("neighbours", first, second) for first, second in pairwise(passages))
        if document.title and document.domain in {"wikipedia", "medical"}:
            yield "title", document.title, document.text.removeprefix(document.title)[:1000].strip()
        last = document


def _passages(text: str, length: int = 500) -> list[str]:
    """Cut a text at paragraphs into passages of about `length` characters."""
    passages = [""]
    for paragraph in text.split("\n"):
        if len(passages[-1]) >= length:
            passages.append("")
        passages[-1] = f"{passages[-1]}\n{paragraph}".strip()
    return [passage[: 3 * length] for passage in passages if len(passage) >= 80] or [text[:length]]


def _every_example(folder: Path) -> Iterator[Example]:
    yield from _people(folder)
    yield from _induction(folder)
    yield from _questions(folder)
    for row in rows(folder, "p3_pool"):
        if row["dataset"] in P3_OPEN:
            yield Example(f"p3/{row['task_type']}", row["input"].strip(), "", row["output"].strip())


def _people(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "instructions_dolly_filtered_3k"):
        asked = row["instruction"]
        yield Example(f"dolly/{row['task']}", asked, row["input"], row["output"], key=asked)
    for row in rows(folder, "self_instruct_seed_tasks"):
        for one in row["instances"]:
            asked = row["instruction"]
            yield Example(f"seed/{row['task']}", asked, one["input"], one["output"], key=asked)


def _induction(folder: Path) -> Iterator[Example]:
    asked = {
        row["task"]: row["instructions"]
        for row in rows(folder, "instruction_induction_annotations")
    }
    for number, row in enumerate(rows(folder, "instruction_induction")):
        wordings = asked[row["task"]]
        instruction = wordings[number % len(wordings)]
        instruction = instruction[0].upper() + instruction[1:]
        yield Example(f"induction/{row['task']}", instruction, row["input"], row["outputs"][0])


def _questions(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "text_medical"):
        if match := _QUESTION.match(row["text"]):
            asked, answer = match[1].strip(), match[2].strip()[:1500]
            yield Example("medical/question", asked, "", answer, key=row["doc"])
    for row in rows(folder, "gsm8k"):
        worked = re.sub(r"<<[^>]*>>", "", row["answer"]).replace("####", "The answer is")
        yield Example("gsm8k/problem", row["question"], "", worked)
    for row in rows(folder, "math_word_problems"):
        yield Example(f"math/{row['dataset']}", row["question"], "", str(row["answer"]))
    for row in rows(folder, "mmlu"):
        options = "\n".join(f"{x}. {c}" for x, c in zip("ABCD", row["choices"], strict=True))
        right = row["choices"]["ABCD".index(row["answer"])]
        yield Example("mmlu/choice", row["question"], options, f"{row['answer']}. {right}")
    for row in rows(folder, "bbh"):
        yield Example(f"bbh/{row['task']}", row["input"], "", row["target"])
    for row in rows(folder, "qa_nq_multidoc20"):
        gold = row["contexts"][row["gold_index"]]
        yield Example("nq/passage", row["question"] + "?", "", gold["text"], gold["title"])
    for row in rows(folder, "qa_qmsum_queries"):
        answer = row["answers"][0]
        yield Example("qmsum/query", row["question"], "", answer, key=row["meeting_id"])
