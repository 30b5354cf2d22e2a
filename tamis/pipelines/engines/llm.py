"""vLLM on Ray: engines on the cards of a cluster, fed by Ray Data's LLM batches.

This process holds the model's words and configuration, and no engine. Each call is a job of
its own, in which as many engines start as the cards allow: requests are gathered by the
hundred thousand, so that starting is a small part. A prompt that an engine refuses stops no
other.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import ray
import ray.data

from tamis.errors import MissingExtraError, ModelError, RunError
from tamis.models.base import Generation, IncompleteError, Prompt, TokenLogprobs
from tamis.models.vllm import VLLM
from tamis.pipelines.engines.actors import dismiss
from tamis.pipelines.engines.joining import silent

with warnings.catch_warnings(action="ignore"):  # it is written for an older pydantic
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

__all__ = ["RayVLLM"]

T = TypeVar("T")

_BLOCK = 4096  # requests
_BATCH = 256
_FEWEST_CORES = 2
_OURS = ("max_tokens", "temperature", "top_p", "stop", "seed", "prompt_logprobs", "detokenize")


class RayVLLM(VLLM):
    """A language model; parameters as for `VLLM`.

    Attributes
    ----------
    together : int
        Requests that make a job.

    Notes
    -----
    An engine takes `tensor_parallel_size` times `pipeline_parallel_size` cards; where there
    are none, a core. Log-probabilities are those of `VLLM`, and are kept under its
    fingerprint: what one has scored, the other does not score again.
    """

    together = 100_000

    def _started(self, runner: str) -> "_Batches":
        return _Batches(self.model, runner, self.options)

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """As `VLLM.logprobs`.

        Raises
        ------
        IncompleteError
            If engines failed on some; the others' answers are in it.
        """
        scored = super().logprobs(prompts, continuations)
        marks = {i: int(np.nanmax(one.logprobs, initial=0)) for i, one in enumerate(scored)}
        failed = {i: self.llm.failed[mark] for i, mark in marks.items() if mark > 0}
        return self._complete(scored, failed)

    def generate(self, *args: Any, **how: Any) -> list[Generation]:  # noqa: ANN401 - as VLLM's
        """As `VLLM.generate`, one answer a prompt.

        Raises
        ------
        IncompleteError
            If engines failed on some; the others' answers are in it.
        """
        said = super().generate(*args, **how)
        return self._complete(said, {mark - 1: why for mark, why in self.llm.failed.items()})

    def _complete(self, answers: list[T], failed: dict[int, str]) -> list[T]:
        if not failed:
            return answers
        raise IncompleteError(
            f"{self.name}: {len(failed)} of {len(answers)} requests failed "
            f"({next(iter(failed.values()))})",
            [None if i in failed else one for i, one in enumerate(answers)],
            failed,
        )


class _Batches:
    """What `VLLM` wants of an engine, done by jobs of Ray's.

    Attributes
    ----------
    failed : dict of int to str
        Why a request of the last job failed, by its number, from 1. The number stands in the
        place of its log-probabilities: above 0 none of those can be.
    """

    def __init__(self, model: str, runner: str, options: dict[str, Any]) -> None:
        try:
            from vllm import EngineArgs
        except ImportError as error:
            raise MissingExtraError("vLLM", "vllm") from error
        self._model, self._options = model, options
        config = EngineArgs(model=model, runner=runner, **options).create_model_config()
        unfinished = SimpleNamespace(request_states=())
        self.llm_engine = SimpleNamespace(
            model_config=config, output_processor=unfinished, abort_request=lambda *_, **__: None
        )
        self.failed: dict[int, str] = {}

    def get_tokenizer(self) -> Any:  # noqa: ANN401 - a PreTrainedTokenizerBase
        from transformers import AutoTokenizer

        known = {name: self._options[name] for name in ("revision",) if name in self._options}
        return AutoTokenizer.from_pretrained(self._model, **known)

    def generate(
        self,
        prompts: Sequence[dict[str, Any]],
        how: Any,  # noqa: ANN401 - SamplingParams, one or a list
        *,
        use_tqdm: bool,
    ) -> list[SimpleNamespace]:
        """Run a job; as `vllm.LLM.generate`, of which it gives what `VLLM` reads."""
        del use_tqdm
        each = list(how) if isinstance(how, list) else [how] * len(prompts)
        if any("prompt_token_ids" not in prompt for prompt in prompts):
            raise ModelError("Ray's LLM batches take no embeddings; run with --engine local")
        if any(one.n != 1 for one in each):
            raise ModelError("Ray's LLM batches give one answer a prompt; run with --engine local")
        self.failed = {}
        rows = [
            {
                "number": i,
                "tokenized_prompt": prompt["prompt_token_ids"],
                "sampling_params": _plain(one),
            }
            for i, (prompt, one) in enumerate(zip(prompts, each, strict=True), start=1)
        ]
        said = {row["number"]: self._answer(row, asked) for row, asked in self._job(rows)}
        return [said[row["number"]] for row in rows]

    def _job(self, rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield what came of each request, and the request."""
        if not ray.is_initialized() or ray.cluster_resources().get("CPU", 0) < _FEWEST_CORES:
            raise RunError(
                f"{self._model}: Ray's LLM batches want a Ray of {_FEWEST_CORES} cores or more, "
                "as an engine takes one; give --workers 2, or run with --engine local"
            )
        dismiss("CPU", "GPU")  # engines want what they hold
        with ray.data.DataContext.current(silent(in_order=False)):
            blocks = [
                pa.Table.from_pylist(rows[start : start + _BLOCK])
                for start in range(0, len(rows), _BLOCK)
            ]
            done = build_processor(self._config())(ray.data.from_arrow(blocks))
        for row in done.iter_rows():  # of a batch in the order in which they were done
            yield row, rows[row["number"] - 1]

    def _config(self) -> vLLMEngineProcessorConfig:
        size = self._options.get("tensor_parallel_size", 1)
        size *= self._options.get("pipeline_parallel_size", 1)
        cards = int(ray.cluster_resources().get("GPU", 0))
        cores = {"placement_group_config": {"bundles": [{"CPU": 1}]}}
        return vLLMEngineProcessorConfig(
            model_source=self._model,
            engine_kwargs=dict(self._options),
            concurrency=max(1, cards // size),
            batch_size=_BATCH,
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
            should_continue_on_error=True,
            log_engine_metrics=False,
            **({} if cards else cores),
        )

    def _answer(self, row: dict[str, Any], asked: dict[str, Any]) -> SimpleNamespace:
        ids, wanted = asked["tokenized_prompt"], asked["sampling_params"]
        scores: list[float] = []
        if why := row.get("__inference_error__"):
            self.failed[asked["number"]] = _reason(why)
            scores = [float(asked["number"])] * (len(ids) - 1)
        elif "prompt_logprobs" in wanted:
            told = row["prompt_logprobs"][1:]
            scores = [one[token]["logprob"] for one, token in zip(told, ids[1:], strict=True)]
        long = len(row["generated_tokens"]) >= wanted["max_tokens"]
        said = SimpleNamespace(
            text=row["generated_text"],
            token_ids=row["generated_tokens"],
            finish_reason="length" if long else "stop",
        )
        return SimpleNamespace(
            prompt_token_ids=ids,
            prompt_logprobs=SimpleNamespace(logprobs=scores),
            outputs=[said],
        )


def _plain(how: Any) -> dict[str, Any]:  # noqa: ANN401 - SamplingParams
    plain = {name: getattr(how, name) for name in _OURS if getattr(how, name) is not None}
    if how.structured_outputs is not None:
        plain["structured_outputs"] = {"json": json.dumps(how.structured_outputs.json)}
    return plain


def _reason(why: str) -> str:
    """Return why a request failed, in a line; a refusal will be one whenever it is asked."""
    line = " ".join(why.split())[:300]
    return f"refused: {line}" if "ValidationError" in line or "ValueError" in line else line
