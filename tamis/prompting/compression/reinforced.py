"""PCRL: a policy that learnt, by reward, which tokens a model's answer can do without.

    R = CR  if ROUGE-L(answer to all, answer to what is kept) > t,  else λ
    CR = 1 − (kept − fixed) / (all − fixed)

Jung and Kim, arXiv 2308.08758. A token's worth is the probability that the policy keeps it,
so that any rate can be asked for; with `reference` the policy says itself what goes: every
token that it would sooner remove than keep. It learns in `policy_gradient`.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tamis.errors import SettingError
from tamis.models import bundled
from tamis.prompting.compression.base import Compressor, Job
from tamis.prompting.compression.ranking import Weighed
from tamis.prompting.compression.readers import Reader, TokenizerReader
from tamis.prompting.compression.result import Compressed
from tamis.prompting.compression.source import DOCUMENT, Source
from tamis.prompting.compression.surprise import Ids, Meter
from tamis.prompting.compression.token_classifier import read_both_ways
from tamis.prompting.compression.units import Units, between_characters

if TYPE_CHECKING:
    from tamis.models.tagger import Tagger

__all__ = ["FIXED", "PCRL"]

FIXED = r"(?m)^(?:Instruction|Input|Output):"
"""The prefixes of a prompt's template, which no policy removes."""


@dataclass(kw_only=True, repr=False)
class PCRL(Compressor):
    """Keep the tokens without which a language model would answer otherwise.

    Parameters
    ----------
    model : str or Tagger
        'bundled'; or a folder that `tamis.models.policy.save_policy` wrote to.
    units : 'word' or 'token'
        What is kept or dropped as a whole; the paper drops tokens.
    reference : bool
        What the policy would sooner remove than keep is removed, whatever the rate.

    Notes
    -----
    The bundled policy learnt on the answers of the bundled language model, on prompts of up
    to 128 tokens. Longer ones are read in chunks.

    See Also
    --------
    TokenClassifier : learnt from compressions, not from answers; made for low rates.

    References
    ----------
    Jung and Kim, arXiv 2308.08758.
    """

    name: ClassVar[str] = "pcrl"
    model: "str | Tagger" = "bundled"
    units: Units = "word"
    reference: bool = False

    def reader(self, meter: Meter) -> Reader:
        """Return the encoder's tokenizer."""
        return TokenizerReader(self._tagger().tokenizer)

    def compress(self, job: Job) -> list[Compressed]:
        """Return each source compressed to its budget, or as the policy would."""
        job = replace(job, keep=(*job.keep, FIXED))
        if not self.reference:
            return super().compress(job)
        if any(budget.strict for budget in job.budgets):
            raise SettingError(
                f"{self.name}: with reference=True the policy says what goes, and no budget; "
                "drop target_tokens=, or reference=True"
            )
        return [
            self._as_it_would(source, one, job)
            for source, one in zip(job.sources, self._weigh(job), strict=True)
        ]

    def _weigh(self, job: Job) -> list[Weighed]:
        return read_both_ways(self._tagger(), job.sources, self.units)

    def _as_it_would(self, source: Source, weighed: Weighed, job: Job) -> Compressed:
        alive = np.zeros(len(source.text), bool)
        edges = between_characters(source.text, weighed.edges)
        starts = np.concatenate([[0], edges[:-1]])
        unit = np.searchsorted(edges, weighed.spans[:, 1])
        total = np.bincount(unit, weighed.scores, len(edges))
        mean = total / np.maximum(np.bincount(unit, minlength=len(edges)), 1)
        for start, end in zip(starts[mean >= 0.5], edges[mean >= 0.5], strict=True):
            alive[start:end] = True
        whole = [(p.start, p.end) for p in source.parts if p.kind != DOCUMENT]
        for start, end in [*whole, *job.whole(source).tolist()]:
            alive[start:end] = True
        kept = [(int(a), int(b)) for a, b in _runs(alive)]
        text = "".join(source.text[a:b] for a, b in kept)
        return Compressed(
            text,
            tuple(kept),
            source.text,
            job.reader.count(text),
            job.reader.count(source.text),
            weighed.model_tokens,
            self.name,
        )

    def _tagger(self) -> "Tagger":
        return _loaded(self.model) if isinstance(self.model, str) else self.model


def fixed_tokens(text: str, spans: Ids) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which tokens belong to the template's prefixes."""
    fixed = np.zeros(len(spans), bool)
    for found in re.finditer(FIXED, text):
        fixed |= (spans[:, 1] > found.start()) & (spans[:, 0] < found.end())
    return fixed


def _runs(alive: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Ids:
    """Return start and end of each run of True.

    >>> _runs(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    return np.flatnonzero(np.diff(alive, prepend=False, append=False)).reshape(-1, 2)


@lru_cache(maxsize=2)
def _loaded(model: str) -> "Tagger":
    from tamis.models.policy import load_policy

    if model == "bundled":
        return load_policy(bundled("compressor"), tokenizer=str(bundled("lm")))
    return load_policy(Path(model))
