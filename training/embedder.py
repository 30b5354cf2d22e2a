"""Train the bundled embedder: vectors of word pieces, added up.

    python -m training.embedder DATA WORK

Pairs that belong together (instruction and answer, question and passage, title and text, a
passage and a spoilt copy) are told from the other pairs of their batch, all of one kind
(InfoNCE). The batches of copies are of neighbouring passages, so that what is of one subject is
told from what says the same; to bring neighbours together would undo that. They are also told
apart across texts, every copy of a batch from every two neighbours, because who looks for
duplicates has one threshold for all. The vectors start as a random projection of TF-IDF, which is
already of use, and learn from there; a word that was never learnt keeps that. WORK/embedder/ is
what `StaticEmbedder` loads.
"""

import argparse
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from tamis.models.static import StaticEmbedder
from training import data
from training.tasks import changed

VOCABULARY, WIDTH = 15_360, 640  # 9.8 MB in int8: more directions are worth more than digits
UNKNOWN = "[UNK]"
BATCH, STEPS, RATE = 1024, 300, 4e-3
TEMPERATURE = 0.05
LONGEST = 800  # characters of a text that training reads
DROPPED = 0.15  # share of pieces left out at random, so that no single word decides
PART = 0.7  # what marks, letters and ends of words count at the start, beside words
RUN = 16  # so many passages in a row are copied together
ORDER, SOFTNESS = 100, 0.1  # weight of the order of copies and neighbours, and its step's width

COPIES, NEIGHBOURS = "copies", "neighbours"

Ragged = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Learn a byte-level WordPiece in lower case, whose every byte is a piece."""
    tokenizer = Tokenizer(models.WordPiece({UNKNOWN: 0}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[ \t\n\r\f\v]+"), "removed"),
            pre_tokenizers.Split(Regex(r"[!-/:-@\[-`{-~]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY - len(letters),
        special_tokens=[UNKNOWN],
        initial_alphabet=letters,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learnt = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    pieces = dict.fromkeys([token for token, _ in learnt] + [f"##{letter}" for letter in letters])
    tokenizer.model = models.WordPiece(
        {token: number for number, token in enumerate(pieces)},
        unk_token=UNKNOWN,
        max_input_chars_per_word=1_000_000,
    )
    return tokenizer


def start(tokenizer: Tokenizer, sides: list["Sides"]) -> npt.NDArray[np.float32]:
    """Return random directions, near each other where letters are shared, by their IDF long.

    What is no word's beginning counts less: a table is mostly marks, and a misspelt word falls
    into pieces that say nothing of it.
    """
    size = tokenizer.get_vocab_size()
    names = [tokenizer.id_to_token(number) for number in range(size)]
    texts = sum(len(side.starts) - 1 for side in sides)
    found_in = sum(np.bincount(side.pieces, minlength=size) for side in sides)
    rarity = np.log(texts / (found_in + 1))
    rarity[tokenizer.token_to_id(UNKNOWN)] = 0
    rarity *= [PART if name.startswith("##") or len(name) == 1 else 1 for name in names]

    letters = shared_letters(names)
    draw = np.random.default_rng(0)
    own, shared = (draw.normal(size=(n, WIDTH)) for n in letters.shape)
    directions = normalize(own + letters @ shared)
    return (directions * rarity[:, None] / np.sqrt((rarity**2).mean())).astype(np.float32)


def shared_letters(pieces: list[str]) -> csr_matrix:
    """Return which runs of 3 to 5 letters each piece has; rare runs count more, rows are unit."""
    counts = CountVectorizer(analyzer=letters_in, min_df=2, dtype=np.float32).fit_transform(pieces)
    weights = 1 / np.log2(1 + np.asarray(counts.sum(axis=0)).ravel())
    return normalize(counts @ diags(weights))


def letters_in(piece: str) -> list[str]:
    """Return the runs of letters in a piece that is long enough to be told by them.

    >>> letters_in("sieve"), letters_in("##ing")
    (['<si', 'sie', 'iev', 'eve', '<sie', 'siev', 'ieve', '<siev', 'sieve'], [])
    """
    word = piece.removeprefix("##")
    if len(word) < 4:
        return []
    marked = word if piece.startswith("##") else f"<{word}"
    return [marked[at : at + n] for n in (3, 4, 5) for at in range(len(marked) - n + 1)]


def save(folder: Path, tokenizer: Tokenizer, vectors: npt.NDArray[np.float32]) -> None:
    """Write the folder, in int8: a vector's length has no unit, so no scale is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    largest = np.quantile(np.abs(vectors), 0.9999) or 1
    whole = np.rint(vectors * (127 / largest)).clip(-127, 127).astype(np.int8)
    save_file({"embedding.weight": whole}, folder / "model.safetensors")


def averaged(
    first: npt.NDArray[np.float32], learnt: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return what stands half-way between the start and what was learnt from it.

    It serves other data than it learnt from better than either (Wortsman et al. 2022).
    """
    sizes = [np.linalg.norm(vectors, axis=1).mean() for vectors in (first, learnt)]
    return (first / sizes[0] + learnt / sizes[1]) / 2


class Sides:
    """One side of all pairs of a kind, ready to be looked up."""

    def __init__(self, ragged: Ragged) -> None:
        starts, pieces = ragged
        rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        each, counts = np.unique(rows * VOCABULARY + pieces, return_counts=True)
        self.pieces, self.weights = each % VOCABULARY, np.sqrt(counts).astype(np.float32)
        self.starts = np.searchsorted(each // VOCABULARY, np.arange(len(starts)))

    def points(
        self, rows: npt.NDArray[np.int64], weight: Tensor, draw: np.random.Generator
    ) -> Tensor:
        """Return the unit vectors of some rows, with some of their pieces left out."""
        first = self.starts[rows]
        lengths = self.starts[rows + 1] - first
        offsets = np.concatenate([[0], lengths.cumsum()])
        places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], lengths)
        kept = self.weights[places] * (draw.random(len(places)) > DROPPED)
        added = F.embedding_bag(
            torch.from_numpy(self.pieces[places]),
            weight,
            torch.from_numpy(offsets[:-1]),
            mode="sum",
            per_sample_weights=torch.from_numpy(kept),
        )
        return F.normalize(added, dim=1)


def drawn(n: int, run: int, draw: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the rows of a batch, by whole runs."""
    first = draw.permutation(n // run)[: BATCH // run]
    return (first[:, None] * run + np.arange(run)).ravel()


def disorder(near: Tensor) -> Tensor:
    """Return a smooth share of copies that are less near than two neighbours, of any texts.

    A row of `near` is a passage, a column the copy of one, in the order of their documents. Where
    a step stands for the slope, this is 1 - AUC.
    """
    copies, neighbours = near.diagonal(), torch.cat([near.diagonal(1), near.diagonal(-1)])
    return F.softplus((neighbours[:, None] - copies) / SOFTNESS).mean()


def train(vectors: npt.NDArray[np.float32], kinds: dict[str, tuple[Sides, Sides]]) -> Tensor:
    """Learn; return the vectors."""
    weight = torch.nn.Parameter(torch.from_numpy(vectors))
    optimizer = torch.optim.Adam([weight], lr=RATE, betas=(0.9, 0.99))
    names = list(kinds)
    shares = np.array([len(kinds[name][0].starts) ** 0.5 for name in names])
    draw, started, recent = np.random.default_rng(1), time.monotonic(), []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 50) * (1 - step / STEPS)
        kind = draw.choice(names, p=shares / shares.sum())
        first, second = kinds[kind]
        rows = drawn(len(first.starts) - 1, RUN if kind == COPIES else 1, draw)
        near = first.points(rows, weight, draw) @ second.points(rows, weight, draw).T
        right = torch.arange(len(rows))
        loss = sum(F.cross_entropy(side / TEMPERATURE, right) for side in (near, near.T)) / 2
        if kind == COPIES:
            loss = loss + ORDER * disorder(near)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recent.append(float(loss.detach()))
        if step % 50 == 49:
            passed = time.monotonic() - started
            print(f"step {step + 1} loss {np.mean(recent):.3f} {passed:.0f} s")
            recent.clear()
    return weight.detach()


def main() -> None:
    """Build the tokenizer, train and save."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = given.work / "embedder"

    texts: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for kind, first, second in data.pairs(given.data, held_out=False):
        for side, text in zip(texts[kind], (first, second), strict=True):
            side.append(text[:LONGEST])
    tokenizer = train_tokenizer([text for sides in texts.values() for text in sides[1][::2]])
    passages, _ = texts[NEIGHBOURS]
    draw = random.Random(0)
    texts[COPIES] = (passages, [changed(text, draw) for text in passages])
    save(folder, tokenizer, np.zeros((tokenizer.get_vocab_size(), WIDTH), np.float32))
    cutter = StaticEmbedder(str(folder))
    kinds = {
        kind: (Sides(cutter.pieces(first)), Sides(cutter.pieces(second)))
        for kind, (first, second) in texts.items()
    }
    print({kind: len(first) for kind, (first, _) in texts.items()})
    vectors = start(tokenizer, [side for sides in kinds.values() for side in sides])
    save(given.work / "embedder-start", tokenizer, vectors)
    del kinds[NEIGHBOURS]
    save(folder, tokenizer, averaged(vectors, train(vectors.copy(), kinds).numpy()))


if __name__ == "__main__":
    main()
