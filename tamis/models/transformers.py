"""Models of the Hugging Face transformers library, on a CPU or a GPU."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import MissingExtraError, ModelError
from tamis.models.base import Generation, Prompt, TokenLogprobs, unit_rows
from tamis.models.fingerprint import digest, of_config, of_tokenizer, of_weights
from tamis.models.packing import Pack, packs
from tamis.models.tokens import Piece, TextTokenizer, score

try:
    import torch
    import transformers

    from tamis.models.int8 import Int8Linear, in_int8
    from tamis.models.packed import OneDNN, fuse_activations, hidden_states, token_logprobs
    from tamis.models.sampling import Sampling, generate
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["TransformersEmbedder", "TransformersLM", "no_bar"]

Floats = npt.NDArray[np.float32]

_DECODED = 4  # times as many are held while a CPU writes: a step reads all weights for one token
_NO_LIMIT = 2**20  # tokens: a context that a configuration does not state


class TransformersLM:
    """A causal language model.

    Parameters
    ----------
    model : str or PreTrainedModel
        A hub id, a folder, or a model in memory (then `tokenizer` is needed).
    tokenizer : str or PreTrainedTokenizerBase, optional
        Another than the model's own.
    device : str, optional
        Default: a GPU where there is one.
    dtype : str
        'auto' is bfloat16 on a GPU and float32 on a CPU. 'int8', on a CPU: linear layers
        are rounded to 8 bits, which larger models take half the time for; for scoring and
        generating, not for training (see `tamis.models.int8`).
    batch_tokens : int, optional
        Tokens run together; default 1024 on a CPU, 16384 on a GPU. A CPU that writes answers
        holds four times as many. Never changes a score by more than rounding.
    **options
        For `AutoModelForCausalLM.from_pretrained` (`revision`, `quantization_config`,
        `trust_remote_code`, …).

    Attributes
    ----------
    module : PreTrainedModel
        The network, for methods that train or look inside.
    tokenizer : PreTrainedTokenizerBase
    context : int
        The longest sequence the model reads, in tokens.

    Notes
    -----
    Sequences are laid end to end instead of being padded, and continuations of one prompt
    share its work (see `tamis.models.packing`). The first call compares this with the
    model's own forward pass on a few tokens; a model that cannot be packed (recurrent
    layers, attention with sinks, …) is run on sequences of equal length instead.
    """

    def __init__(
        self,
        model: "str | transformers.PreTrainedModel",
        *,
        tokenizer: "str | transformers.PreTrainedTokenizerBase | None" = None,
        device: str | None = None,
        dtype: str = "auto",
        batch_tokens: int | None = None,
        **options: Any,  # noqa: ANN401 - the library's own
    ) -> None:
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.name = f"transformers:{_shown(model)}"
        with _explained(self.name), no_bar(model):
            if isinstance(model, str):
                options["dtype"] = _dtype(dtype, device)
                known = {key: options[key] for key in _TOKENIZER_OPTIONS & options.keys()}
                tokenizer = _tokenizer(tokenizer or model, **known)
                model = transformers.AutoModelForCausalLM.from_pretrained(model, **options)
                if getattr(model, "hf_device_map", None) is None:
                    model = model.to(device)
                if dtype == "int8":
                    in_int8(model)
            elif isinstance(tokenizer, str):
                tokenizer = _tokenizer(tokenizer)
        if tokenizer is None:
            raise ModelError(f"{self.name}: a model in memory comes without words; give tokenizer=")
        self.module: Any = model.eval()
        fuse_activations(self.module)
        self.tokenizer: Any = tokenizer
        self.context: int = getattr(model.config, "max_position_embeddings", None) or _NO_LIMIT
        self.batch_tokens = batch_tokens or (1024 if self.module.device.type == "cpu" else 16384)
        self._reader = TextTokenizer(tokenizer, self.name)
        self._weights: tuple[tuple[tuple[int, int], ...], str] | None = None
        self._turn = threading.Lock()  # attention is switched for the time of a call

    def __repr__(self) -> str:
        return f"TransformersLM({self.name!r})"

    @property
    def fingerprint(self) -> str:
        """Digest of the weights as they are now, the configuration, the words and the template.

        Reads every weight, about a second a gigabyte, again only when one was written to.
        """
        state = tuple((t.data_ptr(), t._version) for t in self.module.parameters())
        if self._weights is None or self._weights[0] != state:
            self._weights = (state, of_weights(self.module))
        return digest(self._weights[1], of_config(self.module.config), of_tokenizer(self.tokenizer))

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """Score each continuation given its prompt, or each prompt where there are none.

        On a CPU, in float32, what is scored together changes no bit of a figure, but where
        prompts are equal, 16 tokens or longer: they are read once.
        """
        return score(self._reader, prompts, continuations, self.context, self._run)

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
        where those of tokens would. A draw belongs to (seed, prompt, number of the
        answer): neither other prompts nor batches change it.
        """
        how = Sampling(
            max_tokens,
            temperature,
            top_p,
            [stop] if isinstance(stop, str) else [*(stop or [])],
            schema,
            n,
            seed,
        )
        held = self.batch_tokens * (_DECODED if self.module.device.type == "cpu" else 1)
        with self._turn, self._explained_memory():
            return generate(self.module, self._reader, prompts, how, self.context, held)

    def hidden_states(self, texts: Sequence[str]) -> list[Floats]:
        """Return, for each text, the last layer's state at each of its tokens: (t, hidden).

        The leading tokens (BOS) are left out; a longer text than the context is cut.
        """
        encoded = self._reader.encode(texts)
        width = int(self.module.config.hidden_size)
        states = [np.empty((0, width), np.float32)] * len(texts)
        held = [i for i, text in enumerate(encoded) if len(text.ids)]
        # One token more than is read: the last of a piece is only foretold.
        pieces = [Piece(np.append(encoded[i].ids[: self.context], 0), 1) for i in held]
        with self.inference():
            for pack in packs(pieces, self.batch_tokens if self.packable else 1):
                hidden = self._hidden(pack).float().cpu().numpy()
                for i, rows in zip(pack.pieces, pack.rows, strict=True):
                    states[held[i]] = hidden[rows[encoded[held[i]].start :]]
        return states

    def _hidden(self, pack: Pack) -> torch.Tensor:
        if self.packable:
            return hidden_states(self.module, pack)
        ids = torch.from_numpy(pack.ids)[None].to(self.module.device)  # a sequence of its own
        return self.module.base_model(input_ids=ids, use_cache=False)[0][0]

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Let a caller run `module` itself: alone, without gradients, and as fast as we do."""
        with self._turn, self._fast():
            yield

    def _run(self, pieces: list[Piece]) -> list[Floats]:
        with self.inference():
            return self._packed(pieces) if self.packable else self._alike(pieces)

    def _packed(self, pieces: list[Piece]) -> list[Floats]:
        head = self.module.get_output_embeddings()
        results: list[Floats] = [np.empty(0, np.float32)] * len(pieces)
        for pack in packs(pieces, self.batch_tokens):
            targets = np.concatenate([pieces[i].ids[pieces[i].first :] for i in pack.pieces])
            rows = torch.from_numpy(np.concatenate(pack.rows)).to(self.module.device)
            hidden = hidden_states(self.module, pack)[rows]
            scores = token_logprobs(hidden, head, torch.from_numpy(targets).to(hidden.device))
            ends = np.cumsum([len(rows) for rows in pack.rows])[:-1]
            for i, part in zip(pack.pieces, np.split(scores.cpu().numpy(), ends), strict=True):
                results[i] = part
        return results

    def _alike(self, pieces: list[Piece]) -> list[Floats]:
        """Score by the model's own forward pass, sequences of equal length together."""
        results: list[Floats] = [np.empty(0, np.float32)] * len(pieces)
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i].ids))
        for length, group in groupby(order, key=lambda i: len(pieces[i].ids)):
            members = list(group)
            width = max(1, min(self.batch_tokens, 1024) // length)
            for at in range(0, len(members), width):
                some = members[at : at + width]
                ids = torch.from_numpy(np.stack([pieces[i].ids for i in some]))
                logits = self.module(input_ids=ids.to(self.module.device), use_cache=False).logits
                for row, i in enumerate(some):
                    first = pieces[i].first
                    foretold = logits[row, first - 1 : -1].float().log_softmax(-1).cpu()
                    results[i] = foretold.gather(1, ids[row, first:, None])[:, 0].numpy()
        return results

    @cached_property
    def packable(self) -> bool:
        """Whether packing gives this model's own figures, tried on a few tokens."""
        if not self.module._supports_attention_backend or self.module._is_stateful:
            return False
        ids = np.random.default_rng(0).integers(self.module.config.vocab_size, size=40)
        trial = [
            Piece(ids[:33], 1),
            Piece(ids[7:29], 9),
            Piece(ids[:40], 30),
            Piece(np.append(ids[:30], ids[5:9]), 30),
        ]
        with torch.inference_mode():
            own = np.concatenate(self._alike(trial))
            try:
                ours = np.concatenate(self._packed(trial))
            except (NotImplementedError, TypeError, AttributeError, KeyError):
                return False  # an architecture that does not take the blocks along
        rounded = isinstance(self.module.get_output_embeddings(), Int8Linear)
        exact = self.module.dtype == torch.float32 and not rounded
        return bool(np.abs(ours - own).mean() <= (1e-4 if exact else 5e-2))

    @contextmanager
    def _fast(self) -> Iterator[None]:
        fast = OneDNN() if self.module.device.type == "cpu" else nullcontext()
        with torch.inference_mode(), fast, self._explained_memory():
            yield

    @contextmanager
    def _explained_memory(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{self.name}: out of memory at batch_tokens={self.batch_tokens}; "
                "try smaller batch_tokens"
            ) from error


class TransformersEmbedder:
    """The mean of a causal language model's last hidden states, at length 1.

    The embedding of the papers that select with the model they train. An encoder made for
    retrieval places texts better: see `SentenceTransformersEmbedder`.

    Parameters
    ----------
    model, **options
        As for `TransformersLM`.
    """

    def __init__(self, model: str, **options: Any) -> None:  # noqa: ANN401
        self.lm = TransformersLM(model, **options)

    def __repr__(self) -> str:
        return f"TransformersEmbedder({self.lm.name!r})"

    @property
    def fingerprint(self) -> str:
        """That of the language model, and of the way it is used."""
        return digest(self.lm.fingerprint, "mean of the last hidden states")

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return float32 of shape (n, hidden); NaN for a text without tokens."""
        states = self.lm.hidden_states(texts)
        width = int(self.lm.module.config.hidden_size)
        return unit_rows(
            np.array(
                [state.mean(axis=0) if len(state) else np.full(width, np.nan) for state in states],
                np.float32,
            ).reshape(len(texts), width)
        )


_TOKENIZER_OPTIONS = {"revision", "trust_remote_code", "token", "cache_dir", "local_files_only"}


def _tokenizer(source: Any, **options: Any) -> Any:  # noqa: ANN401
    if isinstance(source, str):
        return transformers.AutoTokenizer.from_pretrained(source, **options)
    return source


def _dtype(dtype: str, device: str) -> str:
    if dtype == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if dtype == "int8" and device != "cpu":
        raise ModelError(f"dtype='int8' is for a CPU, not {device}; give quantization_config=")
    return "float32" if dtype == "int8" else dtype


def _shown(model: Any) -> str:  # noqa: ANN401
    if not isinstance(model, str):
        return type(model).__name__
    return Path(model).name if Path(model).is_dir() else model


@contextmanager
def no_bar(model: Any) -> Iterator[None]:  # noqa: ANN401
    """Draw no bar for weights that lie here: they load at once."""
    bars = transformers.utils.logging
    if not (isinstance(model, str) and Path(model).is_dir() and bars.is_progress_bar_enabled()):
        yield
        return
    bars.disable_progress_bar()
    try:
        yield
    finally:
        bars.enable_progress_bar()


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{name}: cannot be loaded ({said})") from error
