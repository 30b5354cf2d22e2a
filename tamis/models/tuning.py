"""Train a copy of a language model on prompts and responses, by a seed.

Quick enough to ask 'which thousand rows train better?' on two cores: `tamis.models.passes`
says why.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from tamis.data.progress import progress_bar
from tamis.errors import DataError, MissingExtraError, ModelError, SettingError
from tamis.kernels.draws import uniforms
from tamis.kernels.threads import end_if_asked
from tamis.models.base import LanguageModel, Prompt
from tamis.models.fingerprint import digest, seed_of
from tamis.models.lora import learner
from tamis.models.losses import lm_of
from tamis.models.passes import backward, sequences
from tamis.models.tokens import Piece
from tamis.models.transformers import TransformersLM

try:
    import torch
except ImportError as error:
    raise MissingExtraError("transformers", "models") from error

__all__ = ["Tuning", "on_cores", "trainable", "training", "tune", "usual_rate"]

_WARM_UP = 0.05  # of the steps


def tune(
    lm: TransformersLM,
    prompts: Sequence[Prompt],
    responses: Sequence[str],
    *,
    epochs: int = 1,
    learning_rate: float | None = None,
    batch_tokens: int | None = None,
    lora: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> TransformersLM:
    """Return a copy of a model that was trained to give these responses to these prompts.

    Parameters
    ----------
    lm : TransformersLM
        Left as it is.
    prompts : sequence of str or of messages
        An empty one lets the model learn all of the response, as in pretraining.
    responses : sequence of str
        Each is learnt together with the model's end token.
    epochs : int
        Passes over the rows.
    learning_rate : float, optional
        Of AdamW, at its peak: it rises over 5 % of the steps and falls to 0 in a line.
        Default: 1e-3 at a width of 256, less by as much as the model is wider; with `lora`
        five times that.
    batch_tokens : int, optional
        Tokens a step, about. How many run at once is the model's own `batch_tokens`.
        Default: 4096 on a CPU, 16384 on a GPU.
    lora : int, optional
        Train low-rank additions of this rank to every linear layer, and nothing else. By
        default every weight learns, and the copy is float32.
    seed : int
        Of the order in which rows are seen, and of LoRA's first weights. The order given
        never matters: rows are drawn by their content.
    progress : bool
        Draw a bar on stderr, when that is a terminal.

    Raises
    ------
    ModelError
        If the loss is no longer a number, or memory does not suffice.
    DataError
        If no row holds a token to learn.

    Notes
    -----
    Dropout is off. The same seed gives the same weights, bit for bit, on one machine with
    one number of threads. A row that is longer than the model's context is cut into
    sequences of that length. Memory: without LoRA 16 bytes a parameter.

    References
    ----------
    Hu et al., arXiv 2106.09685 (LoRA).
    """
    tuning = Tuning(
        lm, prompts, responses, epochs=epochs, learning_rate=learning_rate,
        batch_tokens=batch_tokens, lora=lora, seed=seed, progress=progress,
    )  # fmt: skip
    for epoch in range(epochs):
        tuning.run(epoch)
    return tuning.lm


def trainable(lm: LanguageModel | str, who: str) -> TransformersLM:
    """Return the model itself, or load the one of that name; it must be one that can be trained.

    Parameters
    ----------
    lm : LanguageModel or str
    who : str
        Asks for it; an error begins with that.

    Raises
    ------
    SettingError
        If transformers does not run it.
    """
    found = lm_of(lm)
    if not isinstance(found, TransformersLM):
        raise SettingError(
            f"{who}: {found!r} cannot be trained; give 'bundled', or a transformers: model"
        )
    return found


class Tuning:
    """A training that can be looked at between its epochs.

    Parameters
    ----------
    As for `tune`.

    Attributes
    ----------
    lm : TransformersLM
        The copy, as trained so far.
    optimizer : AdamW
        Its moments, by parameter.
    losses : list of float
        Mean loss of a token, in nats, at each step so far.
    rates : list of float
        Learning rate of each step so far.
    """

    def __init__(
        self,
        lm: TransformersLM,
        prompts: Sequence[Prompt],
        responses: Sequence[str],
        *,
        epochs: int = 1,
        learning_rate: float | None = None,
        batch_tokens: int | None = None,
        lora: int | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.lm = learner(lm, lora, seed)
        learning = [p for p in self.lm.module.parameters() if p.requires_grad]
        self._rate = learning_rate or usual_rate(lm, lora)
        self.optimizer = torch.optim.AdamW(learning, lr=self._rate, weight_decay=0.0, fused=True)
        self.losses: list[float] = []
        self.rates: list[float] = []
        self._rows = sequences(lm, prompts, responses)
        self._ids = _content_ids(prompts, responses)
        self._tokens = np.array([sum(len(piece.ids) for piece in row) for row in self._rows])
        if not self._tokens.sum():
            raise DataError(
                f"{lm.name}: no row has a token to learn; give responses that say something"
            )
        per_step = batch_tokens or (4096 if lm.module.device.type == "cpu" else 16384)
        self._steps = int(np.ceil(self._tokens.sum() / per_step))
        self._epochs, self._seed, self._progress = epochs, seed, progress

    def run(self, epoch: int) -> None:
        """Go once over the rows, in the order that belongs to this epoch."""
        batches = self._batches(epoch)
        bar = progress_bar(
            batches, desc=f"training {epoch + 1}/{self._epochs}", leave=False,
            progress=self._progress,
        )  # fmt: skip
        with training(self.lm):
            for batch in bar:
                end_if_asked()
                self._step(batch)
                bar.set_postfix(loss=f"{self.losses[-1]:.3f}", refresh=False)

    def _batches(self, epoch: int) -> list[list[Piece]]:
        """Return the pieces of each step: steps as even as rows allow."""
        order = np.argsort(uniforms(self._ids, seed_of(self._seed, epoch)))
        before = np.cumsum(self._tokens[order]) - self._tokens[order]
        step = before * self._steps // self._tokens.sum()
        batches: list[list[Piece]] = [[] for _ in range(self._steps)]
        for at, row in zip(step, order, strict=True):
            batches[at].extend(self._rows[row])
        return [batch for batch in batches if batch]

    def _step(self, batch: list[Piece]) -> None:
        done, planned = len(self.losses), self._steps * self._epochs
        share = min((done + 1) / max(1.0, _WARM_UP * planned), 1 - done / planned)
        self.rates.append(self._rate * min(1.0, share))
        self.optimizer.param_groups[0]["lr"] = self.rates[-1]
        self.optimizer.zero_grad(set_to_none=True)
        count = sum(len(piece.ids) - piece.first for piece in batch)
        loss = backward(self.lm, batch, 1 / count) / count
        if not np.isfinite(loss):
            raise ModelError(
                f"{self.lm.name}: the loss is {loss} at step {done + 1} of {planned}, "
                f"learning_rate={self._rate:g}; try a smaller one"
            )
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], 1.0)
        self.optimizer.step()
        self.losses.append(loss)


def usual_rate(lm: TransformersLM, lora: int | None) -> float:
    """Return the learning rate that is used where none is given."""
    return (0.256 if lora is None else 1.28) / int(lm.module.config.hidden_size)


@contextmanager
def on_cores(cores: int) -> Iterator[None]:
    """Let torch use so many cores inside the `with`, for what this thread does on a CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def training(lm: TransformersLM) -> Iterator[None]:
    """Ask a GPU for kernels that sum in one order, as a CPU's do; explain a lack of memory."""
    before = torch.are_deterministic_algorithms_enabled()
    if lm.module.device.type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with lm._explained_memory():
            yield
    finally:
        torch.use_deterministic_algorithms(before)


def _content_ids(prompts: Sequence[Prompt], responses: Sequence[str]) -> npt.NDArray[np.void]:
    named = (digest(*row) for row in zip(prompts, responses, strict=True))
    return np.frombuffer(bytes.fromhex("".join(named)), "V16")
