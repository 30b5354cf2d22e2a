"""From prompts and continuations to token sequences, and from their scores back to the text.

Nothing here runs a model: `score` renders, tokenises, cuts what is too long into windows,
asks for the log-probabilities of the pieces, and lays them beside the characters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import DataError, ModelError, SettingError
from tamis.models.account import spend
from tamis.models.base import Prompt, TokenLogprobs

__all__ = ["Encoded", "Piece", "TextTokenizer", "score"]

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A text as tokens.

    Attributes
    ----------
    text : str
        The part to be scored.
    ids : int64 array of shape (t,)
        All tokens: what the tokenizer puts first, the prompt, the text.
    start : int
        Where the text's tokens begin.
    spans : int64 array of shape (t - start, 2)
        Where each of the text's tokens lies in it.
    """

    text: str
    ids: Ids
    start: int
    spans: Ids


@dataclass(frozen=True, eq=False)
class Piece:
    """A sequence that fits the model, to be scored from position `first` (at least 1) on."""

    ids: Ids
    first: int


@dataclass(frozen=True, eq=False)
class TextTokenizer:
    """A Hugging Face tokenizer, used one way everywhere.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        A fast one: character offsets are needed.
    name : str
        The model's, for errors.
    """

    tokenizer: Any
    name: str

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"{self.name}: its tokenizer gives no character offsets; "
                "use a model with a fast one"
            )

    @cached_property
    def leading(self) -> list[int]:
        """The tokens that the tokenizer itself puts before a text: a BOS token, or none."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self.tokenizer("a")["input_ids"]
        starts = (i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        return list(whole[: next(starts, 0)])

    def render(self, prompt: Prompt) -> str:
        """Return the text of a prompt; messages go through the chat template.

        Raises
        ------
        SettingError
            If there are messages, but no template, or the template refuses them.
        """
        if isinstance(prompt, str):
            return prompt
        if self.tokenizer.chat_template is None:
            raise SettingError(f"{self.name}: no chat template; give text instead of messages")
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [dict(message) for message in prompt],
                    tokenize=False,
                    add_generation_prompt=True,
                )
            )
        except Exception as error:  # a template raises what it likes
            raise SettingError(f"{self.name}: its chat template refuses ({error})") from error

    def encode(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[Encoded]:
        """Tokenise each prompt, joined with its continuation.

        A token belongs to the continuation when it ends in it; one that straddles the
        border is clipped.
        """
        if continuations is not None and len(prompts) != len(continuations):
            raise DataError(
                f"{self.name}: {len(prompts)} prompts, but {len(continuations)} continuations; "
                "give one each"
            )
        if isinstance(prompts, str) or not prompts:
            return _refuse_text(self.name, prompts)
        before = [self.render(prompt) for prompt in prompts]
        wholes = [a + b for a, b in zip(before, continuations or [""] * len(before), strict=True)]
        tokens = self.tokenizer(
            wholes,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        borders = [0] * len(before) if continuations is None else [len(text) for text in before]
        return [
            self._encoded(*row)
            for row in zip(
                wholes, borders, tokens["input_ids"], tokens["offset_mapping"], strict=True
            )
        ]

    def check_fits(self, prompt: int, length: int, max_tokens: int, context: int) -> None:
        """Refuse a prompt of `length` tokens that leaves no room for its answer.

        Raises
        ------
        ModelError
        """
        if length + max_tokens > context:
            raise ModelError(
                f"{self.name}: prompt {prompt} has {length} tokens, and with "
                f"max_tokens={max_tokens} passes the model's {context}; shorten it"
            )

    def _encoded(
        self, whole: str, border: int, ids: list[int], offsets: list[tuple[int, int]]
    ) -> Encoded:
        spans = np.array(offsets, np.int64).reshape(-1, 2)
        own = int(np.argmax(spans[:, 1] > border)) if whole[border:] and len(ids) else len(ids)
        leading = [] if self._opens(whole) else self.leading
        return Encoded(
            whole[border:],
            np.array([*leading, *ids], np.int64),
            len(leading) + own,
            np.maximum(spans[own:] - border, 0),
        )

    def _opens(self, text: str) -> bool:
        """Whether a text, rendered by a chat template, brings the leading tokens itself."""
        return bool(self.leading) and text.startswith(self._leading_text)

    @cached_property
    def _leading_text(self) -> str:
        return str(self.tokenizer.decode(self.leading))


def score(
    tokenizer: TextTokenizer,
    prompts: Sequence[Prompt],
    continuations: Sequence[str] | None,
    context: int,
    run: Callable[[list[Piece]], list[npt.NDArray[np.float32]]],
) -> list[TokenLogprobs]:
    """Score texts with a function that scores pieces.

    Parameters
    ----------
    tokenizer : TextTokenizer
    prompts, continuations
        As `LanguageModel.logprobs` takes them.
    context : int
        The longest sequence the model reads. A longer text is scored in windows that
        overlap by half: each token is given at least `context // 2` tokens before it.
    run : function of a list of pieces
        Returns, for each, the log-probabilities of `ids[first:]`.
    """
    texts = tokenizer.encode(prompts, continuations)
    cut = [_pieces(text, context, tokenizer.leading) for text in texts]
    spend(sum(len(piece.ids) for pieces in cut for piece in pieces))
    scores = iter(run([piece for pieces in cut for piece in pieces]))
    results = []
    for text, pieces in zip(texts, cut, strict=True):
        unseen = np.full(1 if text.start == 0 and len(text.ids) else 0, np.nan, np.float32)
        parts = [unseen, *(next(scores) for _ in pieces)]
        results.append(
            TokenLogprobs(text.text, text.spans, text.ids[text.start :], np.concatenate(parts))
        )
    return results


def _pieces(text: Encoded, context: int, leading: list[int]) -> list[Piece]:
    """Cut a text into pieces of at most `context` tokens that score its tokens once each."""
    pieces, position, length = [], max(text.start, 1), len(text.ids)
    while position < length:
        begin = max(0, min(position - context // 2, length - context)) if length > context else 0
        end = min(length, begin + context)
        ids = text.ids[begin:end]
        if begin:
            ids = np.concatenate([np.array(leading, np.int64), ids[len(leading) :]])
        pieces.append(Piece(ids, position - begin))
        position = end
    return pieces


def _refuse_text(name: str, prompts: Sequence[Prompt]) -> list[Encoded]:
    if isinstance(prompts, str):
        raise DataError(f"{name}: one text where a list of texts is wanted; write [text]")
    return []
