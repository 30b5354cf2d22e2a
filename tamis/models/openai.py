"""Models behind a server that speaks OpenAI's protocol: OpenAI's own, `vllm serve`, many others."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.errors import DataError, ModelError
from tamis.models.base import Generation, Prompt, TokenLogprobs, unit_rows
from tamis.models.fingerprint import digest, seed_of
from tamis.models.server import Bill, Prices, Server, Usage
from tamis.models.spelling import spans_of, unspelt
from tamis.models.tokens import Piece, TextTokenizer, score

__all__ = ["OpenAIEmbedder", "OpenAILM"]

OPENAI = "https://api.openai.com/v1"
_TEXTS_A_REQUEST = 64
_LARGEST = 1e30  # of an embedding's numbers; its length must be one too
_CHANGES_BY_ITSELF = {"created", "permission"}  # in what vLLM says of a model


class _Served:
    """A model on a server.

    Parameters
    ----------
    model : str
        The server's name for it.
    base_url : str, optional
        Default: `OPENAI_BASE_URL`, or OpenAI's own.
    api_key : str, optional
        Default: `OPENAI_API_KEY`, which goes to the default server alone, never to one
        that `base_url` names.
    input_price, output_price : float, optional
        Money for a million tokens.
    budget : float, optional
        Money that is never passed.
    timeout, in_flight, retries
        As for `Server`.
    **fields
        Sent along with each request (`reasoning_effort`, …).
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        input_price: float | None = None,
        output_price: float | None = None,
        budget: float | None = None,
        timeout: float = 60.0,
        in_flight: int = 32,
        retries: int = 6,
        **fields: Any,  # noqa: ANN401 - any JSON value
    ) -> None:
        if base_url is None:
            base_url = os.environ.get("OPENAI_BASE_URL") or OPENAI
            api_key = api_key or os.environ.get("OPENAI_API_KEY")
        priced = input_price is not None or output_price is not None
        self.model, self.fields = model, fields
        self.base_url = base_url.rstrip("/")
        self.server = Server(
            f"openai:{model}",
            self.base_url,
            api_key,
            Bill(Prices(input_price or 0.0, output_price or 0.0) if priced else None, budget),
            timeout=timeout,
            in_flight=in_flight,
            retries=retries,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, base_url={self.base_url!r})"

    @property
    def usage(self) -> Usage:
        """Requests, tokens and money so far."""
        return self.server.bill.usage

    @property
    def prices(self) -> Prices | None:
        """Money for a million tokens, where it was given."""
        return self.server.bill.prices

    @cached_property
    def card(self) -> dict[str, Any]:
        """What the server says of the model."""
        listed = self.server.get("/models")
        entries = listed.get("data") if isinstance(listed, dict) else None
        listing = entries if isinstance(entries, list) else []
        known = [entry for entry in listing if isinstance(entry, dict)]
        return next((entry for entry in known if entry.get("id") == self.model), {})

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the model's name, its server, and what that says of it.

        A server that changes a model and says nothing cannot be found out.
        """
        said = {key: value for key, value in self.card.items() if key not in _CHANGES_BY_ITSELF}
        return digest("openai", self.base_url, self.model, said, self.fields)

    def _body(self, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"model": self.model, **self.fields, **fields}


class OpenAILM(_Served):
    """A language model on a server.

    Messages go to `/chat/completions`, text to `/completions`, which continues it.
    Log-probabilities of a prompt come by `echo`, which `vllm serve` knows and most hosted
    models do not.

    Parameters
    ----------
    model, **options
        As for any served model: `base_url`, `api_key`, `input_price`, `output_price`,
        `budget`, `timeout`, `in_flight`, `retries`, and fields of a request.
    tokenizer : str, optional
        A hub id or folder. Texts to be scored are then sent as tokens, so that the border
        between prompt and continuation is exact in every script, long texts are scored
        in windows, and messages can be scored.
    """

    def __init__(self, model: str, *, tokenizer: str | None = None, **options: Any) -> None:  # noqa: ANN401
        super().__init__(model, **options)
        self._words = tokenizer

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[str] | None = None
    ) -> list[TokenLogprobs]:
        """Score each continuation given its prompt, or each prompt where there are none.

        Raises
        ------
        ModelError
            If the server gives no log-probabilities of a prompt.
        IncompleteError
            If some requests got no answer.
        """
        if self._reader is not None:
            context = self.card.get("max_model_len")
            context = context if isinstance(context, int) and context > 1 else 2**20
            return score(self._reader, prompts, continuations, context - 1, self._run)
        texts = [self._text(prompt) for prompt in prompts]
        pairs = [
            ("", text) if continuations is None else (text, continuation)
            for text, continuation in zip(texts, continuations or texts, strict=True)
        ]
        held = [i for i, pair in enumerate(pairs) if pair[1]]
        scored = [_unscored()] * len(pairs)
        said = self._ask([a + b for a, b in (pairs[i] for i in held)])
        for i, (tokens, ids, logprobs) in zip(held, said, strict=True):
            scored[i] = self._placed(*pairs[i], tokens, ids, logprobs)
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
        """Answer each prompt `n` times; as `LanguageModel.generate`.

        Each request has a seed of its own, from `seed` and the prompt; whether it is heeded
        is the server's affair.

        Raises
        ------
        IncompleteError
            If some requests got no answer; it holds the others.
        """
        how: dict[str, Any] = {"temperature": temperature}
        long = "max_completion_tokens" if self.base_url == OPENAI else "max_tokens"
        how[long] = max_tokens
        if top_p < 1:
            how["top_p"] = top_p
        if stop:
            how["stop"] = stop
        if n > 1:
            how["n"] = n
        if schema is not None:
            named = {"name": "answer", "strict": True, "schema": schema}
            how["response_format"] = {"type": "json_schema", "json_schema": named}
        kinds = {isinstance(prompt, str) for prompt in prompts}
        if len(kinds) > 1:
            raise DataError(f"{self.server.name}: texts and messages together; ask for each alone")
        if kinds == {True}:
            bodies = [
                self._body(prompt=prompt, seed=seed_of(seed, prompt), **how) for prompt in prompts
            ]
            return self.server.ask("/completions", bodies, lambda said: _written(said, n))
        talks = [[dict(message) for message in prompt] for prompt in prompts]  # type: ignore[arg-type]
        bodies = [self._body(messages=talk, seed=seed_of(seed, talk), **how) for talk in talks]
        return self.server.ask("/chat/completions", bodies, lambda said: _said(said, n))

    @cached_property
    def _reader(self) -> TextTokenizer | None:
        if self._words is None:
            return None
        from transformers import AutoTokenizer

        return TextTokenizer(AutoTokenizer.from_pretrained(self._words), self.server.name)

    def _text(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        raise DataError(
            f"{self.server.name}: messages can be scored only with their template; give tokenizer="
        )

    def _run(self, pieces: list[Piece]) -> list[npt.NDArray[np.float32]]:
        said = self._ask([piece.ids.tolist() for piece in pieces])
        return [
            logprobs[piece.first : len(piece.ids)]
            for piece, (_, _, logprobs) in zip(pieces, said, strict=True)
        ]

    def _ask(self, prompts: Sequence[str | list[int]]) -> list["_Tokens"]:
        ids = {"return_token_ids": True} if self.card.get("owned_by") == "vllm" else {}
        bodies = [
            self._body(prompt=prompt, max_tokens=1, temperature=0, echo=True, logprobs=1, **ids)
            for prompt in prompts
        ]
        said = self.server.ask("/completions", bodies, _foretold)
        if any(tokens is None for tokens in said):
            raise ModelError(
                f"{self.server.name}: the server gives no log-probabilities of a prompt; "
                "load the model as transformers:… or vllm:…"
            )
        return [tokens for tokens in said if tokens is not None]

    def _placed(
        self,
        prompt: str,
        text: str,
        tokens: list[str],
        ids: npt.NDArray[np.int64],
        logprobs: npt.NDArray[np.float32],
    ) -> TokenLogprobs:
        """Lay the server's tokens beside the text; keep those that end in the continuation."""
        whole, border = prompt + text, len(prompt)
        spans = spans_of(tokens, whole)
        if spans is not None:
            own = spans[:, 1] > border
            over = own & (spans[:, 0] < border) & np.array([unspelt(token) for token in tokens])
        if spans is None or over.any():
            raise ModelError(
                f"{self.server.name}: the server does not spell the tokens of "
                f"{whole[max(0, border - 9) : border + 9]!r}; give tokenizer="
            )
        return TokenLogprobs(text, np.maximum(spans[own] - border, 0), ids[own], logprobs[own])


class OpenAIEmbedder(_Served):
    """An embedding model on a server, by `/embeddings`; parameters as for `OpenAILM`."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return float32 of shape (n, d), rows of length 1; NaN for an empty text.

        Raises
        ------
        ModelError
            If the server gives vectors of different lengths.
        """
        held = [i for i, text in enumerate(texts) if text]
        groups = [held[at : at + _TEXTS_A_REQUEST] for at in range(0, len(held), _TEXTS_A_REQUEST)]
        bodies = [
            self._body(input=[texts[i] for i in group], encoding_format="float") for group in groups
        ]
        said = self.server.ask("/embeddings", bodies, _vectors)
        if len({part.shape[1] for part in said}) > 1 or sum(map(len, said)) != len(held):
            raise ModelError(f"{self.server.name}: not one vector of one length a text")
        points = np.full((len(texts), said[0].shape[1] if said else 0), np.nan)
        if said:
            points[held] = np.concatenate(said)
        return unit_rows(points)


_Tokens = tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.float32]]


def _unscored() -> TokenLogprobs:
    none = np.empty(0, np.int64)
    return TokenLogprobs("", none.reshape(0, 2), none, np.empty(0, np.float32))


def _written(said: Any, n: int) -> Generation:  # noqa: ANN401
    choices = _choices(said, n)
    return Generation(
        tuple(_text(choice["text"]) for choice in choices),
        tuple(_text(choice.get("finish_reason") or "stop") for choice in choices),
    )


def _said(said: Any, n: int) -> Generation:  # noqa: ANN401
    choices = _choices(said, n)
    return Generation(
        tuple(_text(choice["message"].get("content") or "") for choice in choices),
        tuple(
            "refusal" if choice["message"].get("refusal") else _text(choice["finish_reason"])
            for choice in choices
        ),
    )


def _text(said: object) -> str:
    """Return text of an answer; what is no character of Unicode (half a pair) is replaced."""
    if not isinstance(said, str):
        raise TypeError("no text")
    return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _choices(said: Any, n: int) -> list[Any]:  # noqa: ANN401
    choices = sorted(said["choices"], key=lambda choice: int(choice["index"]))
    if len(choices) != n:
        raise ValueError(f"{len(choices)} answers of {n}")
    return choices


def _foretold(said: Any) -> _Tokens | None:  # noqa: ANN401
    """Return the tokens of a prompt and their log-probabilities; None where none are told."""
    choice = said["choices"][0]
    told = choice.get("logprobs")
    if not told or len(told["tokens"]) < 2:  # the one that was written, at most
        return None
    count = int(said["usage"]["prompt_tokens"])
    ids = choice.get("prompt_token_ids") or [-1] * count
    numbers = [np.nan if number is None else number for number in told["token_logprobs"][:count]]
    tokens = [_text(token) for token in told["tokens"][:count]]
    if not len(tokens) == len(ids) == len(numbers) == count:
        raise ValueError("not one number a token")
    return tokens, np.array(ids, np.int64), np.array(numbers, np.float64).astype(np.float32)


def _vectors(said: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401
    rows = sorted(said["data"], key=lambda row: int(row["index"]))
    points = np.array([row["embedding"] for row in rows], np.float64)
    if points.ndim != 2 or not points.shape[1] or not (np.abs(points) < _LARGEST).all():
        raise ValueError("not a table of numbers")
    points[np.abs(points) < 1 / _LARGEST] = 0.0  # their squares would be, and lengths with them
    return points
