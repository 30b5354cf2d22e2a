"""An interpolated Kneser-Ney model of tokens (Chen and Goodman 1999): the baseline to beat.

    p(w | h) = max(c(h w) - D, 0) / c(h) + D N(h ·) / c(h) p(w | h'), h' = h without its first

Below the highest order c counts the different words before; below the lowest stands the
uniform distribution over the vocabulary, so that every token has a probability and they sum
to one. D is n1 / (n1 + 2 n2) of each order, kept from 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


@dataclass
class _Order:
    """The n-grams of one length, as sorted keys, and the sums over their histories."""

    grams: Tokens
    counts: Counts
    histories: Tokens
    totals: Counts
    followers: Counts
    discount: float


class KneserNey:
    """Counts of all n-grams of a token stream, up to `order`.

    Parameters
    ----------
    tokens : int array
        What to learn from.
    vocabulary : int
    order : int
    """

    def __init__(self, tokens: Tokens, vocabulary: int, order: int = 5) -> None:
        self.vocabulary, self.order = vocabulary, order
        self._known: list[Tokens] = []  # keys of the n-grams of each length: their ranks name them
        ranks = np.asarray(tokens, np.int64)
        occurring = [ranks]
        for length in range(2, order + 1):
            keys = occurring[-1][:-1] * vocabulary + tokens[length - 1 :]
            found, ranks = np.unique(keys, return_inverse=True)
            self._known.append(found)
            occurring.append(ranks)
        self._orders = [self._counted(tokens, n, occurring) for n in range(1, order + 1)]

    def _counted(self, tokens: Tokens, n: int, occurring: list[Tokens]) -> _Order:
        keys = occurring[n - 1] if n == 1 else self._known[n - 2][occurring[n - 1]]
        if n < self.order:  # how many different tokens stand before it
            _, first = np.unique(occurring[n], return_index=True)
            keys = keys[first + 1]
        grams, counts = np.unique(keys, return_counts=True)
        heads, starts = np.unique(grams // self.vocabulary, return_index=True)
        if n == 1:
            heads, starts = np.zeros(1, np.int64), np.zeros(1, np.int64)
        totals = np.add.reduceat(counts, starts)
        followers = np.diff(np.append(starts, len(grams)))
        ones, twos = (counts == 1).sum(), (counts == 2).sum()
        discount = float(
            (ones + 0.5) / (ones + 2 * twos + 1)
        )  # never 0: all that is possible counts
        return _Order(grams, counts, heads, totals, followers, discount)

    def probabilities(self, tokens: Tokens, first: int = 1) -> npt.NDArray[np.float64]:
        """Return the probability of tokens[first:], each given all before it."""
        tokens = np.asarray(tokens, np.int64)
        found = np.full(len(tokens) - first, 1 / self.vocabulary)
        for n, order in enumerate(self._orders, 1):
            places = np.arange(max(first, n - 1), len(tokens))
            history = self._rank(tokens, places, n - 1)
            found_here = found[places - first]
            at = np.searchsorted(order.histories, history).clip(max=len(order.histories) - 1)
            seen = (order.histories[at] == history) & (history >= 0)
            keys = history * self.vocabulary + tokens[places] if n > 1 else tokens[places]
            gram = np.searchsorted(order.grams, keys).clip(max=len(order.grams) - 1)
            count = np.where(order.grams[gram] == keys, order.counts[gram], 0)
            kept = np.maximum(count - order.discount, 0) / order.totals[at]
            spread = order.discount * order.followers[at] / order.totals[at]
            found[places - first] = np.where(seen, kept + spread * found_here, found_here)
        return found

    def _rank(self, tokens: Tokens, places: Tokens, length: int) -> Tokens:
        """Return the rank of the `length` tokens before each place, -1 where never seen."""
        if length == 0:
            return np.zeros(len(places), np.int64)
        rank = tokens[places - length]
        for n in range(2, length + 1):
            known, keys = (
                self._known[n - 2],
                rank * self.vocabulary + tokens[places - length + n - 1],
            )
            at = np.searchsorted(known, keys).clip(max=len(known) - 1)
            rank = np.where((known[at] == keys) & (rank >= 0), at, -1)
        return rank
