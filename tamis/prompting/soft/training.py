"""The trainer that the soft compressors share: batches of nearly one length, no padding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.data.progress import progress_bar
from tamis.errors import DataError, MissingExtraError, ModelError
from tamis.kernels.draws import uniforms
from tamis.models.fingerprint import digest, seed_of
from tamis.models.tuning import training, usual_rate
from tamis.prompting.soft.base import Ids, SoftCompressor

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "models") from error

__all__ = ["batches", "fit", "windows"]

_WARM_UP = 0.05  # of the steps
_ALIKE = 1.25  # in a batch, which is cut to its shortest row, none is longer by more


def fit(
    compressor: SoftCompressor,
    rows: Sequence[Any],
    *,
    epochs: int = 1,
    learning_rate: float | None = None,
    batch_tokens: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> None:
    """Train a compressor in place.

    Parameters
    ----------
    compressor : SoftCompressor
        Gets `losses_`: the mean loss of a token at each step.
    rows : sequence
        What its `losses` takes; a row's length is its number of tokens.
    epochs : int
        Passes over the rows.
    learning_rate : float, optional
        Of AdamW, at its peak: it rises over 5 % of the steps and falls to 0 in a line.
        Default: that of `tune` with LoRA.
    batch_tokens : int, optional
        Tokens a step, about. Default: 4096 on a CPU, 16384 on a GPU.
    seed : int
        Of the order and of what a method draws. The order given never matters.
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    Raises
    ------
    DataError
        If there is no row.
    ModelError
        If the loss is no longer a number.
    """
    if not rows:
        raise DataError(f"{compressor.name}: no text has tokens to learn from; give longer ones")
    lm, weights = compressor.lm, [*compressor.weights().values()]
    peak = learning_rate or usual_rate(compressor.base, compressor.settings["lora"])
    per_step = batch_tokens or (4096 if lm.module.device.type == "cpu" else 16384)
    optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=0.0)
    ids = np.frombuffer(bytes.fromhex("".join(digest(_content(row)) for row in rows)), "V16")
    lengths = np.array([len(row) for row in rows])
    steps = [
        batch for epoch in range(epochs) for batch in batches(ids, lengths, per_step, (seed, epoch))
    ]
    compressor.losses_ = []
    bar = progress_bar(steps, desc=f"training {compressor.name}", leave=False, progress=progress)
    with training(lm):
        for done, batch in enumerate(bar):
            rate = peak * min(1, (done + 1) / max(1, _WARM_UP * len(steps)), 1 - done / len(steps))
            optimizer.param_groups[0]["lr"] = rate
            draw = np.random.default_rng((seed, done))
            compressor.losses_.append(_step(compressor, [rows[i] for i in batch], draw, weights))
            if not np.isfinite(compressor.losses_[-1]):
                raise ModelError(
                    f"{compressor.name}: the loss is {compressor.losses_[-1]} at step {done + 1} "
                    f"of {len(steps)}, learning_rate={peak:g}; try a smaller one"
                )
            optimizer.step()
            bar.set_postfix(loss=f"{compressor.losses_[-1]:.3f}", refresh=False)


def _step(
    compressor: SoftCompressor,
    rows: list[Any],
    draw: np.random.Generator,
    weights: list[torch.nn.Parameter],
) -> float:
    """Leave the gradient of the mean loss of a token with the weights; return that loss."""
    total, count = 0.0, 0
    for weight in weights:
        weight.grad = None
    for loss, tokens in compressor.losses(rows, draw):
        loss.backward()
        total, count = total + float(loss.detach()), count + tokens
    for weight in weights:
        if weight.grad is not None:
            weight.grad /= count
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    return total / count


def batches(
    ids: npt.NDArray[np.void], lengths: npt.NDArray[np.int64], tokens: int, seed: tuple[int, int]
) -> list[list[int]]:
    """Group rows of nearly one length, at random by their content.

    Parameters
    ----------
    ids : V16 array of shape (n,)
        Of the rows' content.
    lengths : int64 array of shape (n,)
    tokens : int
        A batch, about; one row at least.
    seed : (int, int)

    Returns
    -------
    list of lists of int
        Every row is in one batch.
    """
    order = np.lexsort((uniforms(ids, seed_of(*seed)), lengths))
    groups: list[list[int]] = []
    for row in order.tolist():
        held = groups[-1] if groups else []
        room = len(held) * lengths[row] < tokens
        if not held or not room or lengths[row] > _ALIKE * lengths[held[0]]:
            groups.append([])
        groups[-1].append(row)
    shuffled = np.argsort(uniforms(ids[[group[0] for group in groups]], seed_of(*seed, "batches")))
    return [groups[i] for i in shuffled]


def windows(texts: Sequence[Ids], length: int, least: int) -> list[Ids]:
    """Cut each text into windows of at most `length` tokens, as even as can be.

    A text of fewer than `least` tokens has none.

    >>> [len(window) for window in windows([np.arange(10), np.arange(3)], 4, 3)]
    [3, 3, 4, 3]
    """
    cut: list[Ids] = []
    for text in texts:
        if len(text) >= least:
            parts = -(-len(text) // length)
            ends = np.arange(1, parts) * len(text) // parts
            cut.extend(part for part in np.split(text, ends) if len(part) >= least)
    return cut


def _content(row: Any) -> Any:  # noqa: ANN401 - a row of any method
    return row.tolist() if isinstance(row, np.ndarray) else row.content
