"""Models run by vLLM in this process: for large models, many requests, several GPUs."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, ModelError
from tamis.models.account import spend
from tamis.models.base import Generation, Prompt, TokenLogprobs, unit_rows
from tamis.models.fingerprint import digest, folder_of, of_files, of_tokenizer, seed_of
from tamis.models.tokens import Piece, TextTokenizer, score

__all__ = ["VLLM", "VLLMClassifier", "VLLMEmbedder"]

Floats = npt.NDArray[np.float32]

# Options of the engine that move work about, and no answer but by rounding.
_ONLY_SPEED = {
    "async_scheduling",
    "cpu_offload_gb",
    "data_parallel_size",
    "disable_log_stats",
    "distributed_executor_backend",
    "download_dir",
    "enable_chunked_prefill",
    "enable_prefix_caching",
    "enforce_eager",
    "gpu_memory_utilization",
    "load_format",
    "max_num_batched_tokens",
    "max_num_seqs",
    "pipeline_parallel_size",
    "tensor_parallel_size",
}


# The grammar that `tamis.models.sampling` uses too; others let control characters into
# strings, and a model fill a line with blanks.
_STRICT = {"backend": "guidance", "disable_any_whitespace": True}


class _Engine:
    """A vLLM engine, what it was made with, and its words."""

    def __init__(self, model: str, runner: str, options: dict[str, Any]) -> None:
        shown = Path(model).name if Path(model).is_dir() else model
        self.name, self.model, self.options = f"vllm:{shown}", model, options
        with self._explained("cannot be loaded"):
            self.llm = self._started(runner)
        self.tokenizer: Any = self.llm.get_tokenizer()
        self.config = self.llm.llm_engine.model_config
        self.context = int(self.config.max_model_len)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _started(self, runner: str) -> Any:  # noqa: ANN401 - a vllm.LLM
        """Return the engine, which has the model loaded."""
        try:
            from vllm import LLM
        except ImportError as error:
            raise MissingExtraError("vLLM", "vllm") from error
        _spare_llvmlite()
        return LLM(model=self.model, runner=runner, **self.options)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the model's files, its words and template, and the engine's options.

        Options that move work about (`tensor_parallel_size`, …) are left out.
        """
        folder = folder_of(self.model, self.options.get("revision"))
        told = {key: value for key, value in self.options.items() if key not in _ONLY_SPEED}
        return digest(
            "vllm", of_files(folder), of_tokenizer(self.tokenizer), str(self.config.dtype), told
        )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except MissingExtraError:
            raise
        except Exception as error:  # the engine has many kinds of its own
            said = " ".join(str(error).split())[:300]
            raise ModelError(f"{self.name}: {what} ({said})") from error

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Explain what fails, and take back its requests: the next call would wait for them."""
        try:
            with self._explained(what):
                yield
        except ModelError:
            engine = self.llm.llm_engine
            engine.abort_request([*engine.output_processor.request_states], internal=True)
            raise

    def _cut(self, texts: Sequence[str]) -> list[dict[str, list[int]]]:
        """Return texts as tokens, with those the model wants around them, cut to its context."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.context)["input_ids"]
        return [{"prompt_token_ids": row} for row in ids]


class VLLM(_Engine):
    """A language model.

    Parameters
    ----------
    model : str
        A hub id or a folder.
    enable_prefix_caching : bool
        Keep what was computed for a prompt, for others that begin alike. Off, as with it
        the log-probabilities of a prompt can depend on what was asked before
        (vllm-project/vllm#42019); turn it on to generate from long shared prompts.
    **options
        For `vllm.LLM`, every one: `tensor_parallel_size`, `quantization`, `dtype`,
        `max_model_len`, `speculative_config`, `enable_prompt_embeds`, …

    Attributes
    ----------
    llm : vllm.LLM
    tokenizer : PreTrainedTokenizerBase
    context : int
        The longest sequence the model reads, in tokens.
    """

    def __init__(self, model: str, *, enable_prefix_caching: bool = False, **options: Any) -> None:  # noqa: ANN401
        options["enable_prefix_caching"] = enable_prefix_caching
        options.setdefault("structured_outputs_config", _STRICT)
        super().__init__(model, "generate", options)
        self._reader = TextTokenizer(self.tokenizer, self.name)

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """Score each continuation given its prompt, or each prompt where there are none."""
        # The engine insists on writing a token, which needs its place.
        return score(self._reader, prompts, continuations, self.context - 1, self._run)

    def generate(
        self,
        prompts: Sequence[Prompt | npt.NDArray[np.floating[Any]]],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stop: Sequence[str] | str | None = None,
        schema: Mapping[str, Any] | None = None,
        n: int = 1,
        seed: int = 0,
    ) -> list[Generation]:
        """Answer each prompt `n` times; as `LanguageModel.generate`.

        A prompt may also be a float array of shape (t, hidden): embeddings that stand
        where those of tokens would; load the model with `enable_prompt_embeds=True`.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        asked = self._prompts(prompts, max_tokens)
        obeyed = None
        if schema is not None:
            obeyed = StructuredOutputsParams(json=dict(schema))
        how = [
            SamplingParams(
                n=n,
                max_tokens=max_tokens,
                temperature=temperature,
                top_p=top_p,
                stop=stop,
                structured_outputs=obeyed,
                seed=seed_of(seed, content),
            )
            for _, content in asked
        ]
        with self._asked("cannot answer"):
            said = self.llm.generate([prompt for prompt, _ in asked], how, use_tqdm=False)
        spend(sum(len(one.prompt_token_ids or ()) for one in said))
        spend(sum(len(answer.token_ids) for one in said for answer in one.outputs))
        return [
            Generation(
                tuple(answer.text for answer in answers.outputs),
                tuple(str(answer.finish_reason) for answer in answers.outputs),
            )
            for answers in said
        ]

    def _prompts(
        self, prompts: Sequence[Prompt | npt.NDArray[np.floating[Any]]], max_tokens: int
    ) -> list[tuple[dict[str, Any], object]]:
        """Return each prompt as the engine takes it, and what its seed comes from."""
        import torch

        written = {i: text for i, text in enumerate(prompts) if not isinstance(text, np.ndarray)}
        texts = dict(zip(written, self._reader.encode([*written.values()]), strict=True))
        asked: list[tuple[dict[str, Any], object]] = []
        for i, prompt in enumerate(prompts):
            if i in texts:
                ids = texts[i].ids.tolist() or [self.tokenizer.eos_token_id]
                asked.append(({"prompt_token_ids": ids}, texts[i].text))
            else:
                soft = torch.from_numpy(np.asarray(prompt)).to(self.config.dtype)
                ids = soft.tolist()
                asked.append(({"prompt_embeds": soft}, ids))
            self._reader.check_fits(i, len(ids), max_tokens, self.context)
        return asked

    def _run(self, pieces: list[Piece]) -> list[Floats]:
        from vllm import SamplingParams

        # 0: the prompt's own tokens and no others, whose number has no bound.
        how = SamplingParams(
            max_tokens=1, temperature=0, prompt_logprobs=0, flat_logprobs=True, detokenize=False
        )
        asked = [{"prompt_token_ids": piece.ids.tolist()} for piece in pieces]
        with self._asked("cannot score"):
            said = self.llm.generate(asked, how, use_tqdm=False) if asked else []
        return [
            np.array(answer.prompt_logprobs.logprobs[piece.first - 1 :], np.float32)
            for piece, answer in zip(pieces, said, strict=True)
        ]


class VLLMEmbedder(_Engine):
    """An embedding model; parameters as for `VLLM`.

    See Also
    --------
    SentenceTransformersEmbedder : quicker for models of MiniLM's size.
    """

    def __init__(self, model: str, **options: Any) -> None:  # noqa: ANN401
        super().__init__(model, "pooling", options)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return float32 of shape (n, d), rows of length 1; NaN for an empty text.

        A text longer than the model reads is cut there.
        """
        held = [i for i, text in enumerate(texts) if text]
        points = np.full((len(texts), self.config.get_hidden_size()), np.nan)
        if held:
            with self._asked("cannot embed"):
                said = self.llm.embed(self._cut([texts[i] for i in held]), use_tqdm=False)
            rows = np.array([answer.outputs.embedding for answer in said])
            points = np.full((len(texts), rows.shape[1]), np.nan)
            points[held] = rows
        return unit_rows(points)


class VLLMClassifier(_Engine):
    """A model that rates texts: a classifier, or a reward model; parameters as for `VLLM`."""

    def __init__(self, model: str, **options: Any) -> None:  # noqa: ANN401
        super().__init__(model, "pooling", options)

    def rate(self, texts: Sequence[str], *, raw: bool = False) -> Floats:
        """Return the model's figures for each text.

        Parameters
        ----------
        texts : sequence of str
            A text longer than the model reads is cut there.
        raw : bool
            Logits, as a reward model's; otherwise probabilities.

        Returns
        -------
        float32 array of shape (n, labels)
        """
        from vllm import PoolingParams

        how = PoolingParams(use_activation=not raw)
        with self._asked("cannot rate"):
            said = self.llm.classify(self._cut(texts), pooling_params=how, use_tqdm=False)
        return np.array([answer.outputs.probs for answer in said], np.float32)


def _spare_llvmlite() -> None:
    """Let vLLM for CPUs load after numba.

    vLLM 0.32 looks for its kernels in every module there is, by `vars(value).get(…)`. One
    value of llvmlite's, the handle of its library, claims to have any attribute, and so a
    `__dict__` that is none. It is out of sight for the time of that search.
    """
    try:
        from vllm.triton_utils import dispatcher
    except ImportError:
        return  # another version of vLLM
    search = getattr(dispatcher, "_rebind_kernels", None)
    if search is None or hasattr(search, "spares_llvmlite"):
        return

    def careful(overrides: Any) -> None:  # noqa: ANN401 - vLLM's own
        ffi = sys.modules.get("llvmlite.binding.ffi")
        handle = vars(ffi).pop("lib") if ffi else None
        try:
            search(overrides)
        finally:
            if ffi:
                vars(ffi)["lib"] = handle

    careful.spares_llvmlite = True  # type: ignore[attr-defined]
    dispatcher._rebind_kernels = careful
