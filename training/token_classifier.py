"""Train the bundled token classifier: a small encoder that says which words to keep.

    python -m training.token_classifier DATA WORK --texts 2000 --minutes 2

A ModernBERT of three layers over the bundled language model's tokens, whose embeddings start
as the principal directions of that model's. It learns, by cross-entropy, the share of rates
at which each token is kept (see `compressor_labels`). WORK/compressor/ is what `Tagger` and
`AutoModelForTokenClassification` load.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from transformers import ModernBertConfig, ModernBertForTokenClassification

import tamis
from tamis.models import bundled
from training.compressor_labels import Labelled, labelled

WIDTH, INNER, LAYERS, HEADS = 160, 256, 3, 5
CONTEXT = 1024
BATCH_TOKENS, RATE, DECAY = 2048, 2e-3, 0.05
_SAID_EVERY = 100

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


def train(
    module: ModernBertForTokenClassification, examples: list[Labelled], seconds: float
) -> int:
    """Train for so many seconds of processor time; return the steps."""
    matrices = [w for w in module.parameters() if w.ndim == 2]
    others = [w for w in module.parameters() if w.ndim != 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    draw, began, steps, recent = np.random.default_rng(0), time.process_time(), 0, []
    module.train()
    while True:
        for batch in batches(examples, draw, module.config.pad_token_id):
            share = (time.process_time() - began) / seconds
            if share >= 1:
                module.eval()
                return steps
            rate = min(1.0, (steps + 1) / 100, (1 - share) / 0.6)
            for group in optimizer.param_groups:
                group["lr"] = RATE * rate
            now = loss(module, batch)
            optimizer.zero_grad()
            now.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            steps += 1
            recent.append(float(now.detach()))
            if steps % _SAID_EVERY == 0:
                print(f"{share:.3f} step {steps} loss {np.mean(recent):.4f}", flush=True)
                recent.clear()


def save(folder: Path, module: ModernBertForTokenClassification, tokenizer: Any) -> None:  # noqa: ANN401
    """Write float16 weights and the tokenizer; what runs on a CPU is float32 again."""
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
    parser.add_argument("--texts", type=int, default=2000, help="to learn from")
    parser.add_argument("--minutes", type=float, default=2, help="of processor time, to train")
    given = parser.parse_args()
    torch.set_num_threads(1)

    lm = tamis.models.load("bundled", device="cpu")
    began = time.process_time()
    examples = labelled(given.data, lm, given.texts)
    tokens = sum(len(one.keep) for one in examples)
    print(f"{len(examples):,} texts, {tokens:,} tokens, {time.process_time() - began:.0f} s")
    module = network(lm)
    print(f"{sum(w.numel() for w in module.parameters()) / 1e6:.2f} M parameters")
    steps = train(module, examples, given.minutes * 60)
    save(given.work / "compressor", module, lm.tokenizer)
    held = labelled(given.data, lm, 200, held_out=True)
    print(f"{steps:,} steps; held out: {_measured(module, held)}")


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
