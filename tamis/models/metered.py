"""A language model that counts what it is asked, and stops before a limit is passed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tamis.errors import ModelError, SettingError
from tamis.models.base import Generation, IncompleteError, LanguageModel, Prompt, TokenLogprobs
from tamis.models.tokens import TextTokenizer

__all__ = ["LimitError", "MeteredLM", "Spent"]


class LimitError(ModelError):
    """What is to be asked could pass a limit on requests, tokens or money: it is not asked."""


@dataclass(frozen=True)
class Spent:
    """What was asked and answered.

    Attributes
    ----------
    requests : int
        Prompts and texts that a model was given.
    prompt_tokens, completion_tokens : int
    money : float or None
        None where the model has no prices.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Spent") -> "Spent":
        known = [money for money in (self.money, other.money) if money is not None]
        return Spent(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            sum(known) if known else None,
        )


class MeteredLM:
    """A language model with an account, and limits that are never passed.

    Parameters
    ----------
    lm : LanguageModel
        Left as it is.
    requests, tokens, money : optional
        Limits; a call that could pass one asks nothing. Money needs a model with prices.
    spent : Spent
        What was spent before, against the same limits.

    Notes
    -----
    Tokens are those that a server reports, or else those of the model's tokenizer, or else
    UTF-8 bytes, which no token is less than; `counted_by` says which. Before a call the
    answers are taken to be as long as they may be.
    """

    def __init__(
        self,
        lm: LanguageModel,
        *,
        requests: int | None = None,
        tokens: int | None = None,
        money: float | None = None,
        spent: Spent | None = None,
    ) -> None:
        self.lm, self.spent = lm, spent or Spent()
        self.limits = {"requests": requests, "tokens": tokens, "money": money}
        if money is not None and self._prices is None:
            raise SettingError(
                "money: the model has no prices; give input_price= and output_price= with the "
                "model (a million tokens), or a limit on tokens"
            )

    def __repr__(self) -> str:
        return f"MeteredLM({self.lm!r})"

    @property
    def fingerprint(self) -> str:
        """That of the model."""
        return self.lm.fingerprint

    @property
    def context(self) -> int | None:
        """The longest sequence that the model reads, where it says so."""
        return getattr(self.lm, "context", None)

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401 - a PreTrainedTokenizerBase
        """The model's tokenizer, where it has one."""
        return getattr(self.lm, "tokenizer", None)

    @property
    def counted_by(self) -> str:
        """What tokens are: 'server', 'tokenizer' or 'bytes'."""
        if hasattr(self.lm, "usage"):
            return "server"
        return "tokenizer" if self.tokenizer is not None else "bytes"

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """As `LanguageModel.logprobs`.

        Raises
        ------
        LimitError
            If a limit has no room for all of them.
        """
        read = self._sizes(prompts)
        if continuations is not None:
            pairs = zip(read, self._sizes(continuations), strict=True)
            read = [before + after for before, after in pairs]
        self._check(read, 0)
        before = self._usage
        scored = self.lm.logprobs(prompts, continuations)
        self._count(sum(read), 0, len(read), before)
        return scored

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stop: Sequence[str] | str | None = None,
        schema: Mapping[str, Any] | None = None,
        n: int = 1,
        seed: int = 0,
    ) -> list[Generation]:
        """As `LanguageModel.generate`.

        Raises
        ------
        LimitError
            If a limit has no room for all of them.
        """
        how: dict[str, Any] = {
            "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p,
            "stop": stop, "schema": schema, "n": n, "seed": seed,
        }  # fmt: skip
        read = self._sizes(prompts)
        self._check(read, max_tokens * n * len(prompts))
        before = self._usage
        answers: Sequence[Generation | None] = []
        try:
            answers = said = self.lm.generate(prompts, **how)
        except IncompleteError as error:
            answers = error.answers
            raise
        finally:
            held = [answer is not None for answer in answers]
            written = [text for answer in answers if answer is not None for text in answer.texts]
            seen = sum(size for size, has in zip(read, held, strict=False) if has)
            most = max_tokens * len(written)
            self._count(seen, min(self._written(written), most), sum(held), before)
        return said

    @property
    def _prices(self) -> Any:  # noqa: ANN401 - a server's, or None
        return getattr(self.lm, "prices", None)

    @property
    def _usage(self) -> Any:  # noqa: ANN401 - a server's, or None
        return getattr(self.lm, "usage", None)

    @cached_property
    def _reader(self) -> TextTokenizer | None:
        return None if self.tokenizer is None else TextTokenizer(self.tokenizer, repr(self.lm))

    def _sizes(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the tokens of each prompt, or its bytes."""
        if self._reader is not None:
            return [len(text.ids) for text in self._reader.encode(list(prompts))]
        texts = (prompt if isinstance(prompt, str) else str([*prompt]) for prompt in prompts)
        return [len(text.encode("utf-8", "surrogatepass")) for text in texts]

    def _written(self, texts: Sequence[str]) -> int:
        """Return the tokens of answers: without what the tokenizer puts before a text."""
        leading = len(self._reader.leading) if self._reader is not None else 0
        return sum(size - leading for size in self._sizes(texts)) if texts else 0

    def _check(self, read: Sequence[int], written: int) -> None:
        most = self.spent + Spent(len(read), sum(read), written, self._money(sum(read), written))
        for name, limit in self.limits.items():
            wanted = getattr(most, name)
            if limit is not None and wanted is not None and wanted > limit:
                had = getattr(self.spent, name) or 0
                raise LimitError(
                    f"{name}: {had:g} of {limit:g} are spent, and the next {len(read)} requests "
                    f"can take {wanted - had:g}; give a higher limit to go on"
                )

    def _money(self, read: int, written: int) -> float | None:
        return None if self._prices is None else float(self._prices.of(read, written))

    def _count(self, read: int, written: int, requests: int, before: Any) -> None:  # noqa: ANN401
        if before is not None:  # what the server says counts
            after = self._usage
            read = after.prompt_tokens - before.prompt_tokens
            written = after.completion_tokens - before.completion_tokens
        self.spent = self.spent + Spent(requests, read, written, self._money(read, written))
