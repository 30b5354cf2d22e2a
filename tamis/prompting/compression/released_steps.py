"""The steps of the released LLMLingua's token level: segments, thresholds, dropped tokens."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tamis.models.readings import Reading

__all__ = ["Segment", "Sequence", "drop", "schedule", "threshold"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Segment = list[tuple[int, float]]


def schedule(lengths: list[int], target: float, size: int, offsets: list[float]) -> list[Segment]:
    """Return the segments: for each, lengths and rates of the documents in it.

    >>> schedule([10, 10], target=11, size=8, offsets=[0.0, 0.0])
    [[(7, 0.44)], [(5, 0.44), (3, 0.44)], [(8, 0.44)], [(1, 0.44)]]
    """
    counted = [length + 2 for length in lengths]
    base = target / (sum(counted) + 1)
    segments: list[Segment] = []
    held: Segment = []
    last = 1
    for length, offset in zip(counted, offsets, strict=True):
        rate = max(min(1, base + offset), 0)
        if last + length < size:
            last += length
            held.append((length, rate))
            continue
        segments.append([*held, (size - last, rate)])
        last += length - size
        if last > size:
            segments += [[(size, rate)]] * (last // size)
            last %= size
        held = [(last, rate)] if last else []
    return [*segments, held] if held else segments


def threshold(losses: Floats, rate: float) -> float:
    """Return the loss above which tokens are kept."""
    if rate == 1.0:
        return -np.inf
    ordered = np.sort(losses[losses != 10000])[::-1]
    return float(ordered[max(0, min(len(ordered) - 1, int(len(ordered) * rate) - 1))])


@dataclass(eq=False)
class Sequence:
    """Tokens that are left, where they stood, and the losses of all but the first."""

    ids: Ids
    where: Ids
    reading: Reading
    losses: Floats | None = None
    ready: int = 0

    def learn(self, losses: Floats, end: int) -> None:
        """Write what was read over what was known from an earlier pass."""
        if self.losses is None:
            self.losses = losses.copy()
            return
        lacking = max(0, end - 1 - len(self.losses))
        self.losses = np.concatenate([self.losses, np.zeros(min(lacking, len(losses)), np.float32)])
        self.losses[self.ready : end - 1] = losses

    def shift(self, extra: int, first: int) -> None:
        """Make room in the context: forget `extra` tokens, but in the cache not the first."""
        self.ids, self.where = self.ids[extra:], self.where[extra:]
        self.reading.drop(first, extra)
        self.ready -= extra


def drop(main: Sequence, own: Sequence | None, start: int, end: int, size: int, rate: float) -> int:
    """Drop tokens of the `size` before `end`; return where these end then."""
    losses = main.losses
    assert losses is not None
    if own is None or own.losses is None:
        need = np.concatenate([losses > threshold(losses, rate), losses[:1] > 0])
    else:
        gain = own.losses[: len(losses) - start] - losses[start:]
        need = np.concatenate([losses[:start] > 0, gain > threshold(gain, rate), losses[:1] > 0])
    need[end:] = True
    need[: end - size] = True  # a bound below zero counts from the end: their defect
    main.losses = losses[need[:-1]]
    if own is not None and own.losses is not None:
        need = _filled(need, len(own.losses) + start + 1)
        own.losses = own.losses[need[start:-1]]
    need = _filled(need, len(main.ids))[: len(main.ids)]
    if own is not None:
        own.ids, own.where = own.ids[need[start:]], own.where[need[start:]]
    main.ids, main.where = main.ids[need], main.where[need]
    return end - int((~need[:end]).sum())


def _filled(need: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    return np.concatenate([need, np.ones(max(0, length - len(need)), bool)])
