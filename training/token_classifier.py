"""Train the bundled token classifier: a small encoder that says which words to keep.

    python -m training.token_classifier DATA WORK --texts 3500 --minutes 7

A ModernBERT of three layers over the bundled language model's tokens, whose embeddings start
as the principal directions of that model's. It learns, by cross-entropy, the share of rates
at which each token is kept (see `compressor_labels`). WORK/compressor/ is what `Tagger` and
`AutoModelForTokenClassification` load. It can be stopped: labels and weights are kept in WORK,
and another call goes on from there.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from transformers import ModernBertConfig, ModernBertForTokenClassification

import tamis
from tamis.models import bundled
from training.compressor_labels import Extract, Labelled, extracts, labelled

WIDTH, INNER, LAYERS, HEADS = 160, 256, 3, 5
CONTEXT = 1024
BATCH_TOKENS, RATE, DECAY = 2048, 2e-3, 0.05
_SAID_EVERY, _SAVED_EVERY = 100, 60  # steps; seconds

_COLUMNS = Labelled._fields

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def network(lm: Any) -> ModernBertForTokenClassification:  # noqa: ANN401
    """Return an encoder over the language model's words, which knows what these mean."""
    tokenizer = lm.tokenizer
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=CONTEXT,
        global_attn_every_n_layers=LAYERS,
        num_labels=2,
        id2label={0: "drop", 1: "keep"},
        label2id={"drop": 0, "keep": 1},
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        cls_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        sep_token_id=tokenizer.eos_token_id,
    )
    module = ModernBertForTokenClassification(config)
    with torch.no_grad():
        own = lm.module.get_input_embeddings().weight.float()
        _, _, directions = torch.linalg.svd(own - own.mean(0), full_matrices=False)
        start = (own - own.mean(0)) @ directions[:WIDTH].T
        module.get_input_embeddings().weight.copy_(start * (0.02 / start.std()))
    return module


def batches(examples: list[Labelled], draw: np.random.Generator, pad: int) -> list[Batch]:
    """Return ids, targets and weights, in batches of like lengths and of an order drawn."""
    noise = draw.uniform(0.9, 1.1, len(examples))
    order = np.argsort([len(one.ids) * n for one, n in zip(examples, noise, strict=True)])
    made: list[Batch] = []
    held: list[Labelled] = []
    for i in order:
        longest = max(len(one.ids) for one in [*held, examples[i]])
        if held and longest * (len(held) + 1) > BATCH_TOKENS:
            made.append(_batch(held, pad))
            held = []
        held.append(examples[i])
    made.append(_batch(held, pad))
    return [made[i] for i in draw.permutation(len(made))]


def _batch(examples: list[Labelled], pad: int) -> Batch:
    shape = (len(examples), max(len(one.ids) for one in examples))
    ids, keep, weights = np.full(shape, pad), np.zeros(shape, "f4"), np.zeros(shape, "f4")
    for row, one in enumerate(examples):
        n = len(one.ids)
        ids[row, :n] = one.ids
        keep[row, n - len(one.keep) : n] = one.keep
        weights[row, n - len(one.keep) : n] = one.weights
    return torch.from_numpy(ids), torch.from_numpy(keep), torch.from_numpy(weights)


def loss(module: ModernBertForTokenClassification, batch: Batch) -> torch.Tensor:
    """Return the cross-entropy to the share of rates, weighted, a token."""
    ids, keep, weights = batch
    mask = torch.arange(ids.shape[1]) < (ids != module.config.pad_token_id).sum(1, keepdim=True)
    logits = module(input_ids=ids, attention_mask=mask.long()).logits
    odds = logits[..., 1] - logits[..., 0]
    return F.binary_cross_entropy_with_logits(odds, keep, weights, reduction="sum") / weights.sum()


class Run:
    """A training that can be stopped, and goes on from where it last saved itself."""

    def __init__(self, module: ModernBertForTokenClassification) -> None:
        matrices = [w for w in module.parameters() if w.ndim == 2]
        others = [w for w in module.parameters() if w.ndim != 2]
        groups = [
            {"params": matrices, "weight_decay": DECAY},
            {"params": others, "weight_decay": 0.0},
        ]
        self.module = module
        self.optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
        self.steps, self.seconds = 0, 0.0

    def save(self, path: Path) -> None:
        """Write a checkpoint aside, and rename it into place."""
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.seconds = state["steps"], state["seconds"]

    def step(self, batch: Batch, share: float) -> float:
        """Learn from a batch, `share` of the training being over; return its loss."""
        rate = min(1.0, (self.steps + 1) / 100, (1 - share) / 0.6)
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * rate
        now = loss(self.module, batch)
        self.optimizer.zero_grad()
        now.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        return float(now.detach())


def train(run: Run, examples: list[Labelled], seconds: float, checkpoint: Path) -> None:
    """Train until so many seconds of processor time are spent in all calls together."""
    spent, saved, recent = run.seconds - time.process_time(), run.seconds, []
    run.module.train()
    while run.seconds < seconds:
        draw = np.random.default_rng((0, run.steps))
        for batch in batches(examples, draw, run.module.config.pad_token_id):
            recent.append(run.step(batch, run.seconds / seconds))
            run.seconds = time.process_time() + spent
            if run.steps % _SAID_EVERY == 0:
                share, told = run.seconds / seconds, np.mean(recent)
                print(f"{share:.3f} step {run.steps} loss {told:.4f}", flush=True)
                recent.clear()
            if run.seconds - saved > _SAVED_EVERY:
                run.save(checkpoint)
                saved = run.seconds
            if run.seconds >= seconds:
                break
    run.save(checkpoint)
    run.module.eval()


def kept(
    folder: Path,
    texts: list[Extract],
    label: Callable[[list[Extract]], list[Labelled]],
    together: int = 250,
) -> list[Labelled]:
    """Label texts, part by part; what was labelled before is read from the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    held: list[Labelled] = []
    for at in range(0, len(texts), together):
        path = folder / f"{at}.npz"
        if not path.exists():
            _write(path, label(texts[at : at + together]))
        held += _read(path)
    return held


def _write(path: Path, made: list[Labelled]) -> None:
    columns = {name: np.concatenate([getattr(one, name) for one in made]) for name in _COLUMNS}
    lengths = np.array([[len(getattr(one, name)) for name in _COLUMNS] for one in made])
    aside = path.with_suffix(".tmp.npz")
    np.savez(aside, lengths=lengths, **columns)
    aside.replace(path)


def _read(path: Path) -> list[Labelled]:
    with np.load(path) as held:
        ends = held["lengths"].cumsum(axis=0)[:-1]
        parts = [np.split(held[name], ends[:, i]) for i, name in enumerate(_COLUMNS)]
    return [Labelled(*some) for some in zip(*parts, strict=True)]


def save(folder: Path, module: ModernBertForTokenClassification, tokenizer: Any) -> None:  # noqa: ANN401
    """Write float16 weights and the tokenizer; what runs on a CPU is float32 again.

    A policy that learnt on other weights of the encoder goes.
    """
    (folder / "policy.safetensors").unlink(missing_ok=True)
    module.half().save_pretrained(folder)
    module.float()
    config = json.loads((folder / "config.json").read_text())
    config.pop("transformers_version", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((bundled("lm") / name).read_bytes())


def main() -> None:
    """Label, train, save and measure."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--texts", type=int, default=3500, help="to learn from")
    parser.add_argument("--minutes", type=float, default=7, help="of processor time, in all")
    given = parser.parse_args()
    torch.set_num_threads(1)

    lm = tamis.models.load("bundled", device="cpu")
    given.work.mkdir(parents=True, exist_ok=True)
    texts = extracts(given.data, given.texts)
    folder = given.work / f"labels-{given.texts}"
    examples = kept(folder, texts, lambda some: labelled(some, lm))
    print(f"{len(examples):,} texts, {sum(len(one.keep) for one in examples):,} tokens", flush=True)
    run, checkpoint = Run(network(lm)), given.work / "compressor.pt"
    if checkpoint.exists():
        run.load(checkpoint)
    print(f"{sum(w.numel() for w in run.module.parameters()) / 1e6:.2f} M parameters", flush=True)
    train(run, examples, given.minutes * 60, checkpoint)
    save(given.work / "compressor", run.module, lm.tokenizer)
    held = labelled(extracts(given.data, 200, held_out=True), lm)
    print(f"{run.steps:,} steps, {run.seconds:.0f} s; held out: {_measured(run.module, held)}")


def _measured(module: ModernBertForTokenClassification, held: list[Labelled]) -> dict[str, float]:
    """Return how far labels are foretold: loss, rank correlation, and answers above the rest."""
    losses, ranks, above = [], [], []
    for one in held:
        with torch.inference_mode():
            batch = _batch([one], module.config.pad_token_id)
            losses.append(float(loss(module, batch)))
            logits = module(input_ids=batch[0]).logits[0, -len(one.keep) :]
        odds = (logits[:, 1] - logits[:, 0]).numpy()
        wanted = one.weights > 1
        if wanted.any() and not wanted.all():
            above.append(float((odds[wanted][:, None] > odds[~wanted][None]).mean()))
        if len(odds) > 2:
            ranks.append(_correlation(odds[~wanted], one.keep[~wanted]))
    return {
        "loss": round(float(np.mean(losses)), 4),
        "rank correlation with LLMLingua": round(float(np.nanmean(ranks)), 3),
        "wanted above the rest": round(float(np.mean(above)), 3),
    }


def _correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    if len(first) < 3 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first.argsort().argsort(), second.argsort().argsort())[0, 1])


if __name__ == "__main__":
    main()
