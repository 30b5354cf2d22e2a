"""LLMLingua-2: an encoder reads the prompt once, both ways, and says which words to keep.

    p(word) = mean over its tokens of p(keep | the whole chunk)

Pan et al., arXiv 2403.12968. Prompts are cut into chunks of 510 tokens at the ends of
sentences; chunks of all prompts are run together, sorted by length. Departures: words of all
chunks compete with each other (the released code has a threshold for each chunk, so that a
dense one loses as much as a sparse one), a number has the highest of its tokens, which many
tokenizers make of every digit, and none vanishes for being unknown.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from tamis.errors import SettingError
from tamis.models import bundled
from tamis.prompting.compression.base import Compressor, Job, whole_parts
from tamis.prompting.compression.ranking import Floats, Weighed
from tamis.prompting.compression.readers import Reader, TokenizerReader
from tamis.prompting.compression.released_words import ReleasedWords
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import Source
from tamis.prompting.compression.surprise import Ids, Meter
from tamis.prompting.compression.units import Units, edges_of

if TYPE_CHECKING:
    from tamis.models.tagger import Tagger

__all__ = ["TokenClassifier", "chunks", "read_both_ways"]


@dataclass(kw_only=True, repr=False)
class TokenClassifier(Compressor):
    """Keep the words that an encoder, trained on good compressions, would keep.

    Parameters
    ----------
    model : str or Tagger
        'bundled'; a folder; a hub id, such as
        'microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank'.
    units : 'word' or 'token'
        What is kept or dropped as a whole.
    force_tokens : tuple of str
        With `reference`: words that are kept, as the released code keeps them. Otherwise
        say it by `keep=`.
    force_digits : bool
        With `reference`: as the released code's `force_reserve_digit`.
    drop_consecutive : bool
        With `reference`: of forced words that follow each other, one is kept.
    word_score : 'mean' or 'first'
        With `reference`: a word's probability is its tokens' mean, or its first one's.
    reference : bool
        The released code's behaviour, word for word: a threshold for each chunk.

    See Also
    --------
    LLMLingua : no training, any language model.

    References
    ----------
    Pan et al., arXiv 2403.12968.
    """

    name: ClassVar[str] = "token-classifier"
    model: "str | Tagger" = "bundled"
    units: Units = "word"
    force_tokens: tuple[str, ...] = ()
    force_digits: bool = False
    drop_consecutive: bool = False
    word_score: Literal["mean", "first"] = "mean"
    reference: bool = False

    def reader(self, meter: Meter) -> Reader:
        """Return the encoder's tokenizer."""
        return TokenizerReader(self._tagger().tokenizer)

    def compress(self, job: Job) -> list[Compressed]:
        """Return each source compressed to its budget."""
        forced = self.force_tokens or self.force_digits or self.drop_consecutive
        if not self.reference:
            if forced or self.word_score != "mean":
                raise SettingError(
                    f"{self.name}: force_tokens, force_digits, drop_consecutive and word_score "
                    "are the released code's; give keep=, or reference=True"
                )
            return super().compress(job)
        released = ReleasedWords(
            self._tagger(),
            tuple(self.force_tokens),
            self.force_digits,
            self.drop_consecutive,
            self.word_score,
        )
        return released.compress(job, self.name)

    def _weigh(self, job: Job) -> list[Weighed]:
        return read_both_ways(self._tagger(), job.sources, self.units)

    def _tagger(self) -> "Tagger":
        return _loaded(self.model) if isinstance(self.model, str) else self.model


def read_both_ways(tagger: "Tagger", sources: list[Source], units: Units) -> list[Weighed]:
    """Return each token's probability of being kept, as what it is worth."""
    cuts = [chunks(tagger, source.text) for source in sources]
    said = iter(
        tagger.tag([one.text[a:b] for one, cut in zip(sources, cuts, strict=True) for a, b in cut])
    )
    weighed = []
    for source, cut in zip(sources, cuts, strict=True):
        spans: list[Ids] = [np.empty((0, 2), np.int64)]
        scores: list[Floats] = [np.empty(0)]
        for start, _ in cut:
            one = next(said)
            spans.append(one.spans + start)
            scores.append(one.keep.astype(np.float64))
        where = np.concatenate(spans)
        where[:, 1] = np.maximum.accumulate(where[:, 1])
        weighed.append(
            Weighed(
                where,
                np.concatenate(scores),
                edges_of(source.text, where, units),
                **whole_parts(source),
                model_tokens=len(where) + tagger.framing * len(cut),
                chances=True,
            )
        )
    return weighed


def chunks(tagger: Any, text: str) -> list[tuple[int, int]]:  # noqa: ANN401 - or its double
    """Return where to cut a text: at ends of sentences, into pieces that the encoder reads."""
    ends, tokens = tagger.ends(text)
    cut, start, at = [], 0, 0
    while at < len(ends):
        stop = at + tagger.context
        if stop < len(ends):
            closing = [i for i in range(at, stop) if _closes(tokens[i], text, int(ends[i]))]
            stop = closing[-1] + 1 if closing else stop
        stop = min(stop, len(ends))
        end = len(text) if stop == len(ends) else int(ends[stop - 1])
        if end > start:
            cut.append((start, end))
        start, at = end, stop
    return cut


def _closes(token: str, text: str, end: int) -> bool:
    """Whether a sentence or a line ends with this token."""
    return token[-1:] in ".!?。！？" or text[end : end + 1] == "\n"


@lru_cache(maxsize=2)
def _loaded(model: str) -> "Tagger":
    from tamis.models.tagger import Tagger

    if model == "bundled":
        return Tagger(str(bundled("compressor")), tokenizer=str(bundled("lm")))
    name = model.removeprefix("transformers:")
    return Tagger(str(Path(name)) if Path(name).is_dir() else name)
