"""`compress`: one call for every method, budget and model."""

from collections.abc import Callable, Sequence, Sized
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tamis.errors import BudgetError, DataError, SettingError, did_you_mean
from tamis.models import load
from tamis.prompting.compression.base import Compressor, Job
from tamis.prompting.compression.methods import get
from tamis.prompting.compression.pick import Budget
from tamis.prompting.compression.readers import Reader, reader_of
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import Source
from tamis.prompting.compression.surprise import Meter

if TYPE_CHECKING:
    from tamis.models.base import LanguageModel

__all__ = ["compress"]

Tokenizer = str | Path | Callable[[str], int | Sized]


@overload
def compress(prompt: str = ..., **settings: Any) -> Compressed: ...  # noqa: ANN401
@overload
def compress(prompt: list[str], **settings: Any) -> list[Compressed]: ...  # noqa: ANN401
def compress(
    prompt: str | Sequence[str] = "",
    *,
    rate: float | None = None,
    target_tokens: int | None = None,
    method: str = "llmlingua",
    contexts: Sequence[str] | None = None,
    question: str = "",
    instruction: str = "",
    keep: str | Sequence[str] = (),
    structure: bool = False,
    tokenizer: Tokenizer | None = None,
    lm: "str | LanguageModel" = "bundled",
    seed: int = 0,
    reference: bool = False,
    cache: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Compressed | list[Compressed]:
    """Shorten prompts to a share, or a number, of their tokens.

    The result is made of pieces of the prompt, in its words; see `Compressed.kept`.

    Parameters
    ----------
    prompt : str or list of str
        A list is compressed in one batch, and gives a list.
    rate : float, optional
        Tokens kept of each token, 0 to 1; default 0.5. What must survive can make a result
        longer.
    target_tokens : int, optional
        Instead of `rate`: the most tokens a result may have. Never exceeded.
    method : str
        'llmlingua', 'longllmlingua', 'selective-context', 'token-classifier', 'pcrl', or
        a baseline: 'truncate', 'random'.
    contexts : sequence of str, optional
        Documents of one prompt, instead of `prompt`; methods may choose among them.
    question, instruction : str
        Stay whole: the one after the prompt, the other before it.
    keep : str or sequence of str
        Regular expressions; what they match survives.
    structure : bool
        Code between back-ticks, JSON, XML tags, addresses, placeholders and numbers
        survive.
    tokenizer : str, Path or callable, optional
        Of the model that will read the result: 'transformers:ID', a folder, or a function
        of a text. Budgets and rates count its tokens. Default: the compressing model's.
    lm : str or LanguageModel
        The model that reads the prompt to judge it; see `tamis.models.load`.
    seed : int
        Of methods that draw.
    reference : bool
        The released code's behaviour where it departs from the paper.
    cache : bool
        Keep what the model says, on disk, by content: another rate then costs nothing.
    progress : bool
        Draw a bar on stderr, when that is a terminal.
    **settings
        The method's own; see its class (`tamis.prompting.compression.get(method)`).

    Raises
    ------
    SettingError
        For a method or setting that there is not, or a value out of range.
    BudgetError
        If what must survive has more than `target_tokens`.
    ModelError
        If the model fails.

    Notes
    -----
    A prompt in a batch comes out as it does alone, up to rounding in the model's figures.

    Examples
    --------
    >>> compress("one two three four", rate=0.5, method="truncate", tokenizer=str.split).text
    'one two'
    """
    compressor = _compressor(method, seed, reference, settings)
    several = not isinstance(prompt, str)
    sources = _sources(prompt, contexts, question, instruction, compressor)
    _check_budget(rate, target_tokens)
    patterns = (keep,) if isinstance(keep, str) else tuple(keep)
    meter = Meter(lambda: _model(lm, cache), progress)
    reader = compressor.reader(meter) if tokenizer is None else reader_of(tokenizer)
    results = _compressed(
        compressor, sources, rate, target_tokens, reader, meter, patterns, structure
    )
    return results if several else results[0]


def _compressed(
    compressor: Compressor,
    sources: list[Source],
    rate: float | None,
    target_tokens: int | None,
    reader: Reader,
    meter: Meter,
    keep: tuple[str, ...],
    structure: bool,
) -> list[Compressed]:
    """Compress those that are over their budget; return the others as they are."""
    if reader is meter and meter.tokenizer is None:
        meter.read([source.text for source in sources])  # counts them, in one batch
    budgets = [_budget(reader.count(one.text), rate, target_tokens) for one in sources]
    over = [i for i, one in enumerate(budgets) if one.original_tokens > one.tokens]
    job = Job(
        [sources[i] for i in over], [budgets[i] for i in over], reader, meter, keep, structure
    )
    done = dict(zip(over, compressor.compress(job) if over else [], strict=True))
    return [
        done[i] if i in done else _as_it_is(source, budgets[i], compressor.name)
        for i, source in enumerate(sources)
    ]


def _budget(tokens: int, rate: float | None, target_tokens: int | None) -> Budget:
    if target_tokens is not None:
        return Budget(target_tokens, tokens, min(1.0, target_tokens / max(1, tokens)), strict=True)
    share = 0.5 if rate is None else rate
    return Budget(int(tokens * share), tokens, share, strict=False)


def _as_it_is(source: Source, budget: Budget, method: str) -> Compressed:
    kept = ((0, len(source.text)),) if source.text else ()
    n = budget.original_tokens
    return Compressed(source.text, kept, source.text, n, n, 0, method)


def _compressor(method: str, seed: int, reference: bool, settings: dict[str, Any]) -> Compressor:
    kind = get(method)
    known = {setting.name for setting in fields(kind)}
    for name in settings:
        if name not in known:
            raise SettingError(f"{method} has no setting '{name}'; {did_you_mean(name, known)}")
    if reference and "reference" not in known:
        raise SettingError(f"{method} has no reference to follow; drop reference=True")
    lent = {"seed": seed, "reference": reference}
    return kind(**{name: value for name, value in lent.items() if name in known} | settings)


def _sources(
    prompt: str | Sequence[str],
    contexts: Sequence[str] | None,
    question: str,
    instruction: str,
    compressor: Compressor,
) -> list[Source]:
    if isinstance(contexts, str):
        raise DataError("contexts is one text where a list of texts is wanted; write [text]")
    if contexts is not None:
        if prompt:
            raise SettingError("give a prompt or contexts=, not both")
        return [Source.of_documents(list(contexts), question, instruction)]
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    split = compressor.splits
    return [Source.of_prompt(one, question, instruction, split=split) for one in prompts]


def _check_budget(rate: float | None, target_tokens: int | None) -> None:
    if rate is not None and target_tokens is not None:
        raise SettingError("give rate= or target_tokens=, not both")
    if rate is not None and not 0 <= rate <= 1:
        raise SettingError(f"rate={rate}: the share of tokens to keep; give one from 0 to 1")
    if target_tokens is not None and target_tokens < 0:
        raise BudgetError(f"target_tokens={target_tokens}; give 0 or more")


def _model(lm: "str | LanguageModel", cache: bool) -> "LanguageModel":
    model = _loaded(lm) if isinstance(lm, str) else lm
    if cache:
        from tamis.models.cached import CachedLM

        return CachedLM(model, progress=False)
    return model


@lru_cache(maxsize=2)
def _loaded(name: str) -> "LanguageModel":
    return load(name)
