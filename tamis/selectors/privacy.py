"""Rows with personal data go: addresses, phone and card numbers, IP addresses, keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats, personal
from tamis.selectors.base import Scorer
from tamis.selectors.pickers import top_k
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["Privacy"]


@dataclass(kw_only=True, repr=False)
class Privacy(Scorer):
    """Drop rows that hold personal data.

    A row's score is the number of pieces found, with a minus: 0 is the best, and only such
    rows are kept. The reason says how many of which kind, never what they are. What counts
    is said in `tamis.data.personal`; precision comes before recall, so a check digit must be
    true, an IP address public, and a phone number written as one.

    Parameters
    ----------
    kinds : tuple of str
        Of 'email', 'phone', 'ip', 'card' and 'key'.

    See Also
    --------
    tamis.data.personal.mask : keeps the rows, and puts '[email]' in the address's place.
        `tamis export --mask` does so: a row's id is its content, so that a pool stays as it is.
    """

    name: ClassVar[str] = "privacy"
    needs_k: ClassVar[bool] = False
    kinds: tuple[str, ...] = tuple(personal.KINDS)

    def __post_init__(self) -> None:
        self.kinds = (self.kinds,) if isinstance(self.kinds, str) else tuple(self.kinds)
        personal.check_kinds(self.kinds, "Privacy")

    def fit(self, pool: Dataset) -> Self:
        """Return self: a row is looked at on its own."""
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return how many pieces of each kind are in the text of each row."""
        return dict(personal.counts(formats.fields(batch).text, self.kinds))

    def score_of(self, signals: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return minus the number of pieces in each row."""
        found = np.sum([signals[kind] for kind in self.kinds], axis=0)
        return np.asarray(-found, np.float64) + 0.0

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Mapping[str, npt.NDArray[Any]],
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        clear = scores == 0
        indices = top_k(scores, ids, len(scores) if k is None else k, among=clear)
        reasons = one_reason(len(scores), "no room: as good as the kept, later by id")
        for row in np.flatnonzero(~clear):
            there = {kind: int(signals[kind][row]) for kind in self.kinds if signals[kind][row]}
            reasons[row] = f"personal data: {_listed(there)}"
        say_kept(reasons, indices)
        return Selection(indices, scores, reasons, pa.table(dict(signals)))


def _listed(there: dict[str, int]) -> str:
    """Say how many of what.

    >>> _listed({"email": 2, "key": 1})
    '2 e-mail addresses, 1 key'
    """
    words = {kind: personal.KINDS[kind] for kind in there}
    plural = {kind: f"{word}{'es' if word.endswith('s') else 's'}" for kind, word in words.items()}
    return ", ".join(
        f"{count} {plural[kind] if count > 1 else words[kind]}" for kind, count in there.items()
    )
