"""Self-Instruct: from a few tasks that people wrote, many new ones.

A round asks for lists of new tasks, each list begun with eight known ones; keeps those that
pass the published filters and are unlike all before; asks of each whether it is a
classification; and then for instances, inputs first, or class labels first where it is one,
so that not all get the same label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from datasets import Dataset

from tamis.data.formats import fields
from tamis.data.ids import example_ids, id_texts
from tamis.errors import DataError
from tamis.models.fingerprint import seed_of
from tamis.prompting.generation.base import Answer, Asked, Generator
from tamis.prompting.generation.filters import conflict, damage, instance_fault, instruction_fault
from tamis.prompting.generation.journal import Round
from tamis.prompting.generation.novelty import RougeL
from tamis.prompting.generation.parsing import instances_of, labelled, numbered
from tamis.prompting.generation.templates import listed, template

__all__ = ["SelfInstruct"]

_TYPE_TOKENS = 3
_OUTPUT_FIRST_TOKENS, _INPUT_FIRST_TOKENS = 300, 350


@dataclass
class _Known:
    """The tasks so far: their ids and instructions, people's first, and what tells them apart."""

    people: list[tuple[str, str]]
    made: list[tuple[str, str]]
    texts: RougeL

    def add(self, task: str, instruction: str) -> None:
        self.made.append((task, instruction))
        self.texts.add(instruction)

    def id_of(self, position: int) -> str:
        return [*self.people, *self.made][position][0] if position >= 0 else ""


@dataclass
class _Candidate:
    """A new task on its way."""

    task: str
    instruction: str
    whence: dict[str, Any]
    similarity: float
    nearest: str
    is_classification: bool | None = None


@dataclass(kw_only=True)
class SelfInstruct(Generator[_Known]):
    """Make new instructions with inputs and outputs from seed tasks.

    Parameters
    ----------
    lm : LanguageModel or str
        The paper's is a base model, which goes on with a list; `chat=True` asks a chat
        model the same.
    people, made : int
        Tasks shown in a request: of people's, and of those made before.
    requests : int
        Lists asked for in a round, together.
    instances : int
        Instances a task, at most.
    answers : str
        'examples' asks for instances as the paper does, by worked examples that a model goes
        on with. 'direct' gives the instruction to a chat model as a user does, and takes
        its answer for the output: one instance, no input, no question for the type.
    similarity : float
        ROUGE-L F to all tasks before, from which on a new one is refused.
    temperature, top_p, max_tokens
        Of the lists; the paper's. A model without a presence penalty repeats itself less at
        a temperature of 1.
    classification_only : bool
        Show and ask for classification tasks alone, as the paper does to get more of them;
        seeds need a column `is_classification`.
    reference : bool
        As the released code does: refuse from *above* `similarity` on, lower all letters
        but the first, end a list at '16.' anywhere, and none of our own filters.
    chat, seed, patience
        As every generator: ask by a user's message; of the draws; rounds in a row without a
        new task after which to end.

    Notes
    -----
    Rows have `is_classification`, `similarity` (ROUGE-L F to the nearest task before) and
    `nearest` (its id). Ids of people's tasks are those of their examples, of new ones
    round.request.place. Refused beside the published filters: what is too long, repeats
    itself, or holds the marks of a chat template.

    Presence penalties (2 for lists, 1.5 for instances) are not among a model's protocol;
    a server takes them as an option, 'openai:MODEL?presence_penalty=2'.

    References
    ----------
    Wang et al., arXiv 2212.10560.
    """

    name: ClassVar[str] = "self-instruct"
    columns: ClassVar[dict[str, pa.DataType]] = {
        "is_classification": pa.bool_(),
        "similarity": pa.float64(),
        "nearest": pa.string(),
    }
    people: int = 6
    made: int = 2
    requests: int = 8
    instances: int = 5
    answers: Literal["examples", "direct"] = "examples"
    similarity: float = 0.7
    temperature: float = 0.7
    top_p: float = 0.5
    max_tokens: int = 1024
    classification_only: bool = False
    reference: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(1, "people", "requests", "instances", "max_tokens")
        self._check(0, "made", "similarity", "temperature")

    def _remember(self, pool: Dataset, rounds: Sequence[Round]) -> _Known:
        people = self._seeds(pool)
        known = _Known(people, [], RougeL(instruction for _, instruction in people))
        for task, instruction in (pair for one in rounds for pair in one.memory):
            known.add(task, instruction)
        return known

    def _round(self, number: int, memory: _Known, asked: Asked) -> Round:
        one = Round(requests=asked.requests)
        new = self._new_tasks(number, memory, asked, one)
        if self.answers == "direct":
            asks = {f"{each.task}.answer": each.instruction for each in new}
            said = asked("answer", asks, _INPUT_FIRST_TOKENS, chat=True)
            pairs = [*zip(new, said, strict=True)]
        else:
            self._find_types(new, asked)
            pairs = self._instances_asked(new, asked)
        for candidate, answer in pairs:
            self._read_instances(candidate, answer, one)
        one.memory = [[candidate.task, candidate.instruction] for candidate in new]
        return one

    def _seeds(self, pool: Dataset) -> list[tuple[str, str]]:
        """Return id and instruction of each of people's tasks, in the order of their ids."""
        batch = pool.with_format("arrow")[:]
        named = "instruction" in batch.column_names
        instructions = batch["instruction"] if named else fields(batch).prompt
        kept: dict[str, str] = {}
        wanted = self._are_classification(batch) if self.classification_only else None
        ids = id_texts(example_ids(pool)).to_pylist()
        for i in np.argsort(ids, kind="stable").tolist():
            instruction = instructions[i].as_py()
            if instruction and instruction.strip() and (wanted is None or wanted[i]):
                kept.setdefault(instruction.strip(), ids[i])
        if not kept:
            raise DataError("SelfInstruct: no seed task has an instruction; give some that have")
        return [(example_id, instruction) for instruction, example_id in kept.items()]

    def _are_classification(self, batch: pa.Table) -> list[bool]:
        if "is_classification" not in batch.column_names:
            raise DataError(
                "SelfInstruct: classification_only needs seeds with a column is_classification"
            )
        return [bool(value) for value in batch["is_classification"].to_pylist()]

    def _new_tasks(self, number: int, known: _Known, asked: Asked, one: Round) -> list[_Candidate]:
        """Ask for lists of tasks; keep what is fit and new, refuse the rest by name."""
        shown = {
            f"{number + 1:05}.{request:02}": self._shown(number, request, known)
            for request in range(self.requests)
        }
        asks = {
            request: self.list_prompt([instruction for _, instruction in tasks])
            for request, tasks in shown.items()
        }
        ends = ["\n\n", "16" if self.reference else "\n16."]
        answers = asked(
            "new tasks", asks, self.max_tokens, temperature=self.temperature, top_p=self.top_p,
            stop=ends[1:] if self.chat else ends, seed=seed_of(self.seed, number),
        )  # fmt: skip
        new = []
        for answer in answers:
            whence = self._whence(answer, [task for task, _ in shown[answer.request]])
            if not answer.whole:
                reason = "cut off" if answer.finish == "length" else "no answer"
                one.refused.append(_refused(answer.text, reason, answer.finish, whence))
                continue
            for place, text in enumerate(numbered(answer.text)):
                candidate = self._fit(f"{answer.request}.{place}", text, known, whence, one)
                if candidate is not None:
                    known.add(candidate.task, candidate.instruction)
                    new.append(candidate)
        return new

    def _shown(self, number: int, request: int, known: _Known) -> list[tuple[str, str]]:
        """Draw the tasks that begin a list: people's in the place of made ones that lack."""
        draw = np.random.default_rng([self.seed % 2**63, number, request])
        made = min(self.made, len(known.made))
        people = min(self.people + self.made - made, len(known.people))
        tasks = [known.people[i] for i in draw.choice(len(known.people), people, replace=False)]
        if made:
            tasks += [known.made[i] for i in draw.choice(len(known.made), made, replace=False)]
        return [tasks[i] for i in draw.permutation(len(tasks))]

    def list_prompt(self, instructions: Sequence[str]) -> str:
        """Return the prompt that shows these instructions and asks for more."""
        kind = "classification-tasks" if self.classification_only else "tasks"
        return template(kind).format(tasks=listed(instructions))

    def _fit(
        self, task: str, text: str, known: _Known, whence: dict[str, Any], one: Round
    ) -> _Candidate | None:
        """Return a new task, or refuse it."""
        instruction = text.capitalize() if self.reference else text[:1].upper() + text[1:]
        reason, detail = instruction_fault(instruction), ""
        if reason is None and not self.reference:
            reason = damage(instruction)
        if reason is None:
            near = known.texts.nearest(instruction, at_least=self.similarity)
            alike = near.f > self.similarity if self.reference else near.position >= 0
            if alike:
                reason = "like a task before"
                detail = f"{known.id_of(near.position)}: ROUGE-L {near.f:.3f}"
        if reason is not None:
            one.refused.append(_refused(instruction, reason, detail, whence))
            return None
        near = known.texts.nearest(instruction)
        return _Candidate(task, instruction, whence, near.f, known.id_of(near.position))

    def _find_types(self, new: list[_Candidate], asked: Asked) -> None:
        """Ask of each task whether it is a classification."""
        asks = {
            f"{candidate.task}.type": template("type").format(instruction=candidate.instruction)
            for candidate in new
        }
        answers = asked("type", asks, _TYPE_TOKENS, stop=["\n"] if not self.chat else None)
        for candidate, answer in zip(new, answers, strict=True):
            candidate.is_classification = answer.text.strip().lower().startswith("yes")

    def _instances_asked(
        self, new: list[_Candidate], asked: Asked
    ) -> list[tuple[_Candidate, Answer]]:
        """Ask for the instances of each task: labels first for classification, else inputs."""
        found: list[tuple[_Candidate, Answer]] = []
        ends = [f"Example {self.instances + 1}", "Task:"]
        for kind, tokens in (
            ("output-first", _OUTPUT_FIRST_TOKENS),
            ("input-first", _INPUT_FIRST_TOKENS),
        ):
            some = [one for one in new if one.is_classification == (kind == "output-first")]
            asks = {
                f"{one.task}.instances": template(kind).format(instruction=one.instruction) + "\n"
                for one in some
            }
            found += zip(some, asked(kind, asks, tokens, stop=ends), strict=True)
        return sorted(found, key=lambda pair: pair[0].task)

    def _read_instances(self, candidate: _Candidate, answer: Answer, one: Round) -> None:
        """Keep the sound instances of a task; a task without one is refused."""
        pairs = self.instances_in(answer.text, answer.finish, bool(candidate.is_classification))
        kept, refused = self.sound(pairs)
        shown = candidate.whence
        for given, output, reason in refused:
            row = _refused(candidate.instruction, reason, "", shown)
            one.refused.append(row | {"input": given, "output": output})
        if not kept and not refused:
            one.refused.append(_refused(candidate.instruction, "no instance", answer.finish, shown))
        one.rows += [
            {
                "instruction": candidate.instruction, "input": given, "output": output,
                "source": self.name, "task": candidate.task,
                "is_classification": candidate.is_classification,
                "similarity": candidate.similarity, "nearest": candidate.nearest, **shown,
            }
            for given, output in kept
        ]  # fmt: skip

    def instances_in(
        self, text: str, finish: str, is_classification: bool
    ) -> list[tuple[str, str]]:
        """Return (input, output) of each instance in an answer, but for one that was cut off."""
        if self.answers == "direct":
            return [("", text.strip())] if finish == "stop" else []
        found = labelled(text) if is_classification else instances_of(text)
        return found[:-1] if finish == "length" else found[: self.instances]

    def sound(
        self, pairs: Sequence[tuple[str, str]]
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
        """Return the instances to keep, each once, and (input, output, filter) of the others."""
        refused: list[tuple[str, str, str]] = []
        kept: list[tuple[str, str]] = []
        for given, output in dict.fromkeys(pairs):
            reason = instance_fault(given, output)
            if reason is None and not self.reference:
                reason = damage(given) or damage(output)
            if reason is None:
                kept.append((given, output))
            else:
                refused.append((given, output, reason))
        if clash := conflict(kept):
            refused += [(given, output, clash) for given, output in kept]
            kept = []
        return kept, refused

    def _whence(self, answer: Answer, seeds: list[str]) -> dict[str, Any]:
        return {"request": answer.request, "seeds": seeds, "model": self._model}


def _refused(instruction: str, reason: str, detail: str, whence: dict[str, Any]) -> dict[str, Any]:
    said = {"instruction": instruction, "input": "", "output": ""}
    return {**said, "filter": reason, "detail": detail, **whence}
