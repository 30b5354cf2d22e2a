"""Reward models of the Hugging Face library: one number for how good an answer is."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.data.features import FeatureStore
from tamis.errors import MissingExtraError, ModelError
from tamis.models.fingerprint import digest, of_config, of_tokenizer, of_weights
from tamis.models.judges import Ratings

try:
    import torch
    import transformers
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["RewardModel"]

_FLUSH_SECONDS = 5.0  # of work that a killed run can lose
_NO_LIMIT = 2**20  # tokens: a context that nothing states
_HOW = {"revision", "trust_remote_code", "token", "cache_dir", "local_files_only"}


class RewardModel:
    """A judge that was trained on preferences, such as MoDS' and InstructMining's.

    Theirs is 'OpenAssistant/reward-model-deberta-v3-large-v2'. Its scores are the model's
    own: logits around 0, without ends, and not from 0 to 5. What counts as good depends on
    the model.

    Parameters
    ----------
    model : str or PreTrainedModel
        A hub id, a folder, or a model in memory (then `tokenizer` is needed). It classifies
        sequences, with one output.
    tokenizer : PreTrainedTokenizerBase, optional
        Another than the model's own. If it has a chat template, prompt and response are a
        user's and an assistant's turn; if not, a pair of sequences.
    context : int, optional
        The longest pair that is rated, in tokens. Default: what the model's positions
        allow, or its tokenizer states.
    device : str, optional
        Default: a GPU where there is one.
    dtype : str
        'auto' is bfloat16 on a GPU and float32 on a CPU.
    batch_tokens : int, optional
        Tokens run together, padding too; default 4096 on a CPU, 32768 on a GPU.
    store : FeatureStore, optional
        Default: the one in `TAMIS_HOME`. No answer is rated twice, and a killed run goes on
        where it was.
    progress : bool
        Draw a bar on stderr, when that is a terminal.
    **options
        For `AutoModelForSequenceClassification.from_pretrained` (`revision`, …).

    Attributes
    ----------
    middle : float
        The score between good and bad, 0; that of judges who rate from 0 to 5 is 2.5.

    Raises
    ------
    ModelError
        If the model cannot be loaded, or has several outputs.
    """

    middle = 0.0

    def __init__(
        self,
        model: "str | transformers.PreTrainedModel",
        *,
        tokenizer: "transformers.PreTrainedTokenizerBase | None" = None,
        context: int | None = None,
        device: str | None = None,
        dtype: str = "auto",
        batch_tokens: int | None = None,
        store: FeatureStore | None = None,
        progress: bool = True,
        **options: Any,  # noqa: ANN401 - the library's own
    ) -> None:
        self.name = f"reward:{model if isinstance(model, str) else type(model).__name__}"
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if isinstance(model, str):
            if dtype == "auto":
                dtype = "float32" if device == "cpu" else "bfloat16"
            model, tokenizer = _loaded(self.name, model, tokenizer, {"dtype": dtype, **options})
        if tokenizer is None:
            raise ModelError(f"{self.name}: a model in memory comes without words; give tokenizer=")
        if model.config.num_labels != 1:
            raise ModelError(
                f"{self.name}: has {model.config.num_labels} outputs; give a reward model, with one"
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if model.config.pad_token_id is None:  # by which a decoder finds the last token
            model.config.pad_token_id = tokenizer.pad_token_id
        self.module: Any = model.eval().to(device)
        self.tokenizer: Any = tokenizer
        self.context = context or _context(model.config, tokenizer)
        self.batch_tokens = batch_tokens or (4096 if device == "cpu" else 32768)
        self._store, self._progress = store, progress

    def __repr__(self) -> str:
        return f"RewardModel({self.name!r})"

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights, the configuration, the words and the template."""
        return digest(
            of_weights(self.module), of_config(self.module.config), of_tokenizer(self.tokenizer)
        )

    def rate(self, prompts: Sequence[str], responses: Sequence[str]) -> Ratings:
        """Rate each response to its prompt: a logit, the higher the better.

        An empty response has no score, nor has a pair that is longer than `context`.
        """
        said = [i for i, response in enumerate(responses) if response.strip()]
        words = ["not asked: the response is empty"] * len(responses)
        scores = np.full(len(responses), np.nan)
        if said:
            encoded = self._encoded([prompts[i] for i in said], [responses[i] for i in said])
            lengths = np.array([len(pair["input_ids"]) for pair in encoded])
            fit = np.flatnonzero(lengths <= self.context)
            found = self._kept([encoded[i] for i in fit])
            for place, i in enumerate(said):
                words[i] = f"not asked: {lengths[place]} tokens, and the context is {self.context}"
            for place, score in zip(fit.tolist(), found, strict=True):
                scores[said[place]] = score
                words[said[place]] = "" if np.isfinite(score) else "the model gave no number"
        return Ratings(scores, words)

    def _encoded(self, prompts: list[str], responses: list[str]) -> list[dict[str, list[int]]]:
        """Return what the model is shown of each pair, without padding."""
        if self.tokenizer.chat_template is None:
            tokens = self.tokenizer(prompts, responses, truncation=False, verbose=False)
        else:
            chats = [
                [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
                for prompt, response in zip(prompts, responses, strict=True)
            ]
            texts = self.tokenizer.apply_chat_template(chats, tokenize=False)
            tokens = self.tokenizer(texts, add_special_tokens=False, verbose=False)
        return [{name: tokens[name][i] for name in tokens} for i in range(len(prompts))]

    def _kept(self, pairs: list[dict[str, list[int]]]) -> npt.NDArray[np.float64]:
        """Return the score of each pair; those that were rated before come from the store."""
        if not pairs:
            return np.empty(0)
        named = "".join(digest(pair) for pair in pairs)
        ids = np.frombuffer(bytes.fromhex(named), "V16")
        shelf = (self._store or FeatureStore()).open("ratings", self.fingerprint)
        shelf.fill(
            ids,
            lambda rows: self._rated([pairs[i] for i in rows]),
            flush_seconds=_FLUSH_SECONDS,
            progress=self._progress,
        )
        return shelf.numbers(ids).astype(np.float64)

    def _rated(self, pairs: list[dict[str, list[int]]]) -> npt.NDArray[np.float64]:
        scores = np.empty(len(pairs))
        lengths = np.array([len(pair["input_ids"]) for pair in pairs])
        order = np.argsort(-lengths, kind="stable")
        at = 0
        while at < len(order):
            some = order[at : at + max(1, self.batch_tokens // lengths[order[at]])]
            batch = self.tokenizer.pad([pairs[i] for i in some], return_tensors="pt")
            try:
                with torch.inference_mode():
                    logits = self.module(**batch.to(self.module.device)).logits
            except torch.OutOfMemoryError as error:
                raise ModelError(
                    f"{self.name}: out of memory at batch_tokens={self.batch_tokens}; "
                    "try smaller batch_tokens"
                ) from error
            scores[some] = np.nan_to_num(
                logits[:, 0].double().cpu().numpy(), nan=np.nan, posinf=np.nan, neginf=np.nan
            )
            at += len(some)
        return scores


def _loaded(name: str, model: str, tokenizer: Any, options: Mapping[str, Any]) -> tuple[Any, Any]:  # noqa: ANN401
    try:
        how = {key: options[key] for key in _HOW & options.keys()}
        words = tokenizer or transformers.AutoTokenizer.from_pretrained(model, **how)
        module = transformers.AutoModelForSequenceClassification.from_pretrained(model, **options)
    except (OSError, ValueError, TypeError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{name}: cannot be loaded ({said})") from error
    return module, words


def _context(config: Any, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the longest sequence that has positions; of relative ones there is no end."""
    relative = getattr(config, "position_biased_input", True) is False  # DeBERTa's
    positions = None if relative else getattr(config, "max_position_embeddings", None)
    return int(min(positions or _NO_LIMIT, tokenizer.model_max_length, _NO_LIMIT))
