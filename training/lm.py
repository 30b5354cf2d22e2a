"""Train the bundled language model.

    python -m training.corpus DATA WORK          # tokenizer and token streams
    python -m training.lm WORK --size cpu --minutes 45
    python -m training.lm WORK --size gpu --minutes 25

One run, three quarters on short windows of everything at a constant rate, then a decay on
dialogues, task lists and longer windows. Its length is a time, not a number of steps, so it
ends when it should on any machine. It saves itself every few minutes and goes on from there.
WORK/lm/ is what `AutoModelForCausalLM` and vLLM load.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from training.network import HEAD, THETA, Llama, Size, TokenLoss

SIZES = {
    "cpu": Size(layers=4, hidden=256, inner=704),  # 5.3 M parameters
    "gpu": Size(layers=6, hidden=320, inner=896),  # 10.2 M, as much as 30 MB allow
}
BATCH_TOKENS = {"cpu": 4096, "gpu": 65_536}
MATRIX_RATE, OTHER_RATE = 0.02, 3e-3

# How often a window is drawn from each stream: while learning the language, then while decaying.
FIRST = {
    "text-wikipedia": 12, "text-books": 8, "text-medical": 8, "text-meetings": 5,
    "text-software_docs": 5, "text-math": 5, "text-speeches": 4, "text-various": 5,
    "people": 6, "induction": 6, "rules": 6, "questions": 10, "p3": 8, "designs": 4,
    "lists": 6, "asked": 2,
}  # fmt: skip
LAST = FIRST | {"people": 14, "induction": 14, "rules": 14, "lists": 12, "designs": 6, "asked": 4}

_DECAY_FROM, _LONG_FROM = 0.7, 0.85
_SHORT = 256
_SAVE_EVERY = 180  # seconds
_STALL = 30  # seconds: a longer step was a pause of the process, and does not count in full


@dataclass
class Progress:
    """How far a run has come."""

    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)


class Run:
    """A model in training: bfloat16 weights that work, float32 weights that learn."""

    def __init__(self, size: Size, device: str) -> None:
        torch.manual_seed(0)
        self.size, self.device = size, device
        self.model = Llama(size).to(device)
        self.names = [name for name, _ in self.model.named_parameters()]
        self.exact = [p.detach().clone().requires_grad_() for p in self.model.parameters()]
        self.model.bfloat16()
        matrices = [w for n, w in zip(self.names, self.exact, strict=True) if ".layers" in f".{n}"]
        matrices = [w for w in matrices if w.ndim == 2]
        chosen = {id(w) for w in matrices}
        others = [w for w in self.exact if id(w) not in chosen]
        self.optimizers = [
            torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.05),
            torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.progress = Progress()

    def step(self, windows: Tensor, rate: float) -> float:
        """Learn from windows of shape (batch, length + 1); return the loss before it."""
        hidden = self.model(windows[:, :-1]).flatten(0, 1)
        weight = self.model.embed_tokens.weight
        loss = TokenLoss.apply(hidden, weight, windows[:, 1:].flatten())
        loss.backward()
        for exact, working in zip(self.exact, self.model.parameters(), strict=True):
            exact.grad, working.grad = working.grad.float(), None
        torch.nn.utils.clip_grad_norm_(self.exact, 1.0)
        for optimizer, base in zip(self.optimizers, (MATRIX_RATE, OTHER_RATE), strict=True):
            optimizer.param_groups[0]["lr"] = base * rate
            optimizer.step()
        with torch.no_grad():
            for exact, working in zip(self.exact, self.model.parameters(), strict=True):
                working.copy_(exact)
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Save all that `load` needs to go on, aside first."""
        state = {
            "exact": self.exact,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        with torch.no_grad():
            for exact, working, saved in zip(
                self.exact, self.model.parameters(), state["exact"], strict=True
            ):
                exact.copy_(saved)
                working.copy_(saved)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])


def windows(
    streams: dict[str, npt.NDArray[np.uint16]],
    weights: dict[str, int],
    shape: tuple[int, int],
    draw: np.random.Generator,
) -> Tensor:
    """Draw windows of tokens, each from a stream drawn by its weight."""
    names = [name for name in weights if name in streams]
    shares = np.array([weights[name] for name in names], float)
    batch = np.empty(shape, np.int64)
    for row, chosen in zip(
        batch, draw.choice(names, shape[0], p=shares / shares.sum()), strict=True
    ):
        stream = streams[chosen]
        start = draw.integers(max(1, len(stream) - shape[1]))
        row[:] = np.resize(stream[start : start + shape[1]], shape[1])
    return torch.from_numpy(batch)


def train(run: Run, work: Path, seconds: float, batch_tokens: int) -> None:
    """Train until `seconds` are spent in all runs together."""
    streams = {path.stem: np.load(path, mmap_mode="r") for path in (work / "streams").glob("*.npy")}
    at, saved, recent = run.progress, time.monotonic(), []
    while at.seconds < seconds:
        started, share = time.monotonic(), at.seconds / seconds
        length = run.size.context if share >= _LONG_FROM else _SHORT
        draw = np.random.default_rng((1, at.steps))
        shape = (batch_tokens // length, length + 1)
        batch = windows(streams, LAST if share >= _DECAY_FROM else FIRST, shape, draw)
        recent.append(run.step(batch.to(run.device), _rate(share, at.steps)))
        at.steps, at.tokens = at.steps + 1, at.tokens + shape[0] * length
        at.seconds += min(time.monotonic() - started, _STALL)
        if at.steps % 50 == 0:
            at.losses.append((at.steps, float(np.mean(recent))))
            pace = at.tokens / at.seconds
            print(f"{share:.3f} step {at.steps} loss {np.mean(recent):.3f} {pace:.0f} tokens/s")
            recent.clear()
        if time.monotonic() - saved > _SAVE_EVERY:
            run.save(work / "checkpoint.pt")
            saved = time.monotonic()
    run.save(work / "checkpoint.pt")


def _rate(share: float, step: int) -> float:
    """Warm up over 100 steps, stay, then fall to nothing."""
    return min(1.0, (step + 1) / 100, max(0.0, 1 - share) / (1 - _DECAY_FROM))


def export(run: Run, work: Path) -> Path:
    """Write what transformers and vLLM load; bfloat16, as it was trained."""
    folder, size = work / "lm", run.size
    folder.mkdir(exist_ok=True)
    state = {f"model.{name}": w.contiguous() for name, w in run.model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": size.vocabulary,
        "hidden_size": size.hidden,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.hidden // HEAD,
        "num_key_value_heads": size.hidden // HEAD,
        "head_dim": HEAD,
        "max_position_embeddings": size.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": THETA,
        "rope_parameters": {"rope_type": "default", "rope_theta": THETA},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
    }
    ends = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(ends, indent=2) + "\n")
    for path in (work / "tokenizer").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def main() -> None:
    """Train, or go on training, and export."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("work", type=Path, help="where training.corpus wrote")
    parser.add_argument("--size", choices=SIZES, default="cpu")
    parser.add_argument(
        "--minutes", type=float, required=True, help="in all, earlier runs included"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="of a CPU; more pay only where nothing else runs"
    )
    given = parser.parse_args()

    torch.set_num_threads(given.threads)
    run = Run(SIZES[given.size], "cuda" if given.size == "gpu" else "cpu")
    print(f"{sum(w.numel() for w in run.exact) / 1e6:.2f} M parameters")
    if (given.work / "checkpoint.pt").exists():
        run.load(given.work / "checkpoint.pt")
    train(run, given.work, given.minutes * 60, BATCH_TOKENS[given.size])
    print(export(run, given.work), asdict(run.progress) | {"losses": None})


if __name__ == "__main__":
    main()
