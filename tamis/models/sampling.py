"""Answers from a transformers model: drawn by prompt, not by batch, and held to a schema.

A draw is the largest of logits plus Gumbel noise (Maddison et al. 2014, arXiv 1411.0030):
a draw from the softmax, with noise that belongs to (seed, prompt, number of the answer)
alone, so that neither other prompts nor the size of a batch change an answer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from tamis.errors import MissingExtraError, SettingError
from tamis.models.account import spend
from tamis.models.base import Generation, Prompt
from tamis.models.fingerprint import seed_of
from tamis.models.tokens import TextTokenizer

__all__ = ["Sampling", "generate"]

Embeddings = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Sampling:
    """How to answer; the settings of `LanguageModel.generate`."""

    max_tokens: int
    temperature: float
    top_p: float
    stop: Sequence[str]
    schema: Mapping[str, Any] | None
    n: int
    seed: int


@dataclass(frozen=True)
class _Row:
    """One answer to be written: the embeddings of its prompt, and where its draws come from."""

    prompt: int
    embeddings: torch.Tensor
    seed: int


def generate(
    module: Any,  # noqa: ANN401 - any model of transformers that generates
    reader: TextTokenizer,
    prompts: Sequence[Prompt | Embeddings],
    how: Sampling,
    context: int,
    batch_tokens: int,
) -> list[Generation]:
    """Answer every prompt, in batches of about `batch_tokens` tokens with their answers.

    Raises
    ------
    ModelError
        If a prompt and its answer do not fit the context.
    """
    rows = sorted(
        _rows(module, reader, prompts, how, context), key=lambda row: -len(row.embeddings)
    )
    texts: list[list[str]] = [[] for _ in prompts]
    finishes: list[list[str]] = [[] for _ in prompts]
    while rows:
        width = max(1, batch_tokens // (len(rows[0].embeddings) + how.max_tokens))
        batch, rows = rows[:width], rows[width:]
        for row, answer in zip(batch, _answers(module, reader, batch, how), strict=True):
            spend(len(row.embeddings) + len(answer))
            text, finish = _ended(module, reader.tokenizer, answer, how.stop)
            texts[row.prompt].append(text)
            finishes[row.prompt].append(finish)
    return [
        Generation(tuple(text), tuple(finish)) for text, finish in zip(texts, finishes, strict=True)
    ]


def _rows(
    module: Any,  # noqa: ANN401
    reader: TextTokenizer,
    prompts: Sequence[Prompt | Embeddings],
    how: Sampling,
    context: int,
) -> Iterator[_Row]:
    table = module.get_input_embeddings()
    written = {i: text for i, text in enumerate(prompts) if not isinstance(text, np.ndarray)}
    texts = dict(zip(written, reader.encode([*written.values()]), strict=True))
    for i, prompt in enumerate(prompts):
        if i in texts:
            ids = texts[i].ids if len(texts[i].ids) else np.array(_ends(module)[:1], np.int64)
            embeddings = table(torch.from_numpy(ids).to(module.device))
            content: object = texts[i].text
        else:
            given = torch.from_numpy(np.asarray(prompt))
            embeddings = given.to(module.device, module.dtype)
            content = np.asarray(prompt, np.float32).tolist()
        reader.check_fits(i, len(embeddings), how.max_tokens, context)
        for answer in range(how.n):
            yield _Row(i, embeddings.detach(), seed_of(how.seed, content, answer))


def _answers(
    module: Any,  # noqa: ANN401
    reader: TextTokenizer,
    rows: Sequence[_Row],
    how: Sampling,
) -> list[list[int]]:
    """Return the tokens written for each row; padding goes before the prompts."""
    longest = max(len(row.embeddings) for row in rows)
    embeddings = rows[0].embeddings.new_zeros(len(rows), longest, rows[0].embeddings.shape[1])
    mask = torch.zeros(len(rows), longest, dtype=torch.int64, device=embeddings.device)
    for i, row in enumerate(rows):
        embeddings[i, longest - len(row.embeddings) :] = row.embeddings
        mask[i, longest - len(row.embeddings) :] = 1
    processors = LogitsProcessorList()
    if how.schema is not None:
        processors.append(_Schema(module, reader.tokenizer, how.schema, len(rows)))
    if how.temperature > 0:
        processors.append(_Draw(how.temperature, how.top_p, [row.seed for row in rows]))
    ends = _ends(module)
    with torch.inference_mode():
        written = module.generate(
            inputs_embeds=embeddings,
            attention_mask=mask,
            generation_config=GenerationConfig(
                max_new_tokens=how.max_tokens,
                do_sample=False,
                eos_token_id=ends or None,
                pad_token_id=ends[0] if ends else 0,
                repetition_penalty=1.0,
            ),
            logits_processor=processors,
            stopping_criteria=StoppingCriteriaList([_Stop(reader.tokenizer, how.stop)]),
        )
    return written.tolist()  # type: ignore[no-any-return]


def _ended(
    module: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    answer: list[int],
    stop: Sequence[str],
) -> tuple[str, str]:
    """Return an answer's text up to where it ends, and why it ends there."""
    ends = _ends(module)
    at = next((i for i, token in enumerate(answer) if token in ends), None)
    text = tokenizer.decode(
        answer[:at], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    cuts = [place for place in (text.find(word) for word in stop) if place >= 0]
    if cuts:
        return text[: min(cuts)], "stop"
    return text, "length" if at is None else "stop"


def _ends(module: Any) -> list[int]:  # noqa: ANN401
    """Return the tokens that end an answer."""
    ends = module.generation_config.eos_token_id
    if ends is None:
        return []
    return [ends] if isinstance(ends, int) else list(ends)


class _Draw(LogitsProcessor):  # type: ignore[misc]
    """Make the likeliest token a draw: temperature, nucleus, Gumbel noise of each row's own."""

    def __init__(self, temperature: float, top_p: float, seeds: Sequence[int]) -> None:
        self.temperature, self.top_p = temperature, top_p
        self.streams = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.float() / self.temperature
        if self.top_p < 1:
            ranked, order = scores.sort(descending=True)
            shares = ranked.softmax(-1)
            outside = shares.cumsum(-1) - shares >= self.top_p  # the likeliest always stays
            scores = scores.masked_fill(outside.scatter(1, order, outside), -torch.inf)
        noise = np.stack([stream.gumbel(size=scores.shape[1]) for stream in self.streams])
        return scores + torch.from_numpy(noise).to(scores)


class _Stop(StoppingCriteria):  # type: ignore[misc]
    """End a row once its text holds a stop string."""

    def __init__(self, tokenizer: Any, words: Sequence[str]) -> None:  # noqa: ANN401
        self.tokenizer, self.words = tokenizer, words
        # A token is at least a byte: this many hold any stop string, and what precedes it.
        self.tail = max((len(word.encode()) for word in words), default=0) + 8

    def __call__(self, input_ids: torch.Tensor, scores: Any, **others: Any) -> torch.Tensor:  # noqa: ANN401
        if not self.words:
            return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        texts = self.tokenizer.batch_decode(
            input_ids[:, -self.tail :], clean_up_tokenization_spaces=False
        )
        done = [any(word in text for word in self.words) for text in texts]
        return torch.tensor(done, device=input_ids.device)


class _Schema(LogitsProcessor):  # type: ignore[misc]
    """Leave only the tokens with which the text can still obey a JSON schema (llguidance)."""

    def __init__(
        self,
        module: Any,  # noqa: ANN401
        tokenizer: Any,  # noqa: ANN401
        schema: Mapping[str, Any],
        rows: int,
    ) -> None:
        try:
            import llguidance
            import llguidance.hf
            import llguidance.numpy
        except ImportError as error:
            raise MissingExtraError("llguidance", "models") from error
        self.size = int(module.config.vocab_size)
        self.fill = llguidance.numpy.fill_next_token_bitmask
        words = llguidance.hf.from_tokenizer(tokenizer, n_vocab=self.size)
        grammar = llguidance.LLMatcher.grammar_from_json_schema(
            json.dumps(schema),
            overrides={"whitespace_flexible": False},  # a model can fill it forever
        )
        self.matchers = [llguidance.LLMatcher(words, grammar) for _ in range(rows)]
        if self.matchers[0].is_error():
            said = self.matchers[0].get_error().splitlines()[0]
            raise SettingError(f"schema: {said}; mend it")
        self.bits = llguidance.numpy.allocate_token_bitmask(rows, self.size)
        self.ends = _ends(module)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for row, matcher in enumerate(self.matchers):
            if input_ids.shape[1] and not matcher.is_stopped():
                matcher.consume_token(int(input_ids[row, -1]))
            if not matcher.is_stopped():
                self.fill(matcher, self.bits, row)
        allowed = np.unpackbits(self.bits.view(np.uint8), axis=1, bitorder="little")
        allowed = allowed[:, : self.size].astype(bool)
        for row, matcher in enumerate(self.matchers):
            if matcher.is_stopped():
                allowed[row] = np.isin(np.arange(self.size), self.ends)
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), -torch.inf)
