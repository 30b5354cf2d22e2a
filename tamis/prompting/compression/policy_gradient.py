"""How PCRL's policy learns: by what its removals do to a language model's answers.

    advantage = R(drawn) − R(likeliest)          the policy is its own critic
    loss = −mean(advantage · Σ_i log π(a_i)) − c · entropy

Jung and Kim, arXiv 2308.08758; the reward is in `reinforced`. No gradient goes through the
language model, so any will do. Answers are greedy, and those to one text are asked for once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tamis.errors import DataError, MissingExtraError
from tamis.models.base import LanguageModel
from tamis.prompting.compression.reinforced import fixed_tokens
from tamis.prompting.generation.novelty import rouge_l

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    raise MissingExtraError("torch", "models") from error

if TYPE_CHECKING:
    from tamis.models.tagger import Tagger

__all__ = ["Step", "learn", "reward"]

Mask = npt.NDArray[np.bool_]


def reward(
    similarity: float,
    kept: int,
    total: int,
    fixed: int,
    *,
    threshold: float = 0.9,
    penalty: float = -0.01,
) -> float:
    """Return the share of tokens removed, if the answer stays; else the penalty.

    Parameters
    ----------
    similarity : float
        ROUGE-L F of the two answers.
    kept, total, fixed : int
        Tokens kept (the fixed ones among them), of the prompt, and those that must stay.

    Examples
    --------
    >>> reward(0.95, kept=13, total=20, fixed=6), reward(0.9, kept=13, total=20, fixed=6)
    (0.5, -0.01)
    """
    if not similarity > threshold:
        return penalty
    free = total - fixed
    return 1 - (kept - fixed) / free if free else 0.0


@dataclass(frozen=True)
class Step:
    """What one batch of prompts came to.

    Attributes
    ----------
    reward, removed : float
        Of the likeliest actions: mean reward, and share of the free tokens removed.
    faithful : float
        Share of prompts whose answer stays within the threshold.
    """

    reward: float
    removed: float
    faithful: float


@dataclass(frozen=True, eq=False)
class _Prompt:
    text: str
    ends: npt.NDArray[np.int64]
    fixed: Mask
    states: torch.Tensor

    def without(self, keep: Mask) -> str:
        """Return what is kept; a character of several tokens stays with any of them."""
        starts = np.concatenate([[0], self.ends[:-1]])
        alive = np.zeros(len(self.text), bool)
        for start, end in zip(starts[keep], self.ends[keep], strict=True):
            alive[start:end] = True
        return "".join(letter for letter, stays in zip(self.text, alive, strict=True) if stays)


class _Answers:
    """A language model's greedy answers, each asked for once."""

    def __init__(self, lm: LanguageModel, max_tokens: int) -> None:
        self.lm, self.max_tokens = lm, max_tokens
        self.known: dict[str, str] = {}

    def to(self, texts: Sequence[str]) -> list[str]:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        asked = [[{"role": "user", "content": text}] for text in new]
        if asked:
            said = self.lm.generate(asked, max_tokens=self.max_tokens)
            self.known |= {text: one.text for text, one in zip(new, said, strict=True)}
        return [self.known[text] for text in texts]


def learn(
    tagger: "Tagger",
    lm: LanguageModel,
    prompts: Sequence[str],
    *,
    steps: int,
    batch: int = 32,
    samples: int = 4,
    learning_rate: float = 3e-5,
    entropy: float = 0.001,
    threshold: float = 0.9,
    penalty: float = -0.01,
    max_tokens: int = 30,
    seed: int = 0,
    on_step: Callable[[Step], None] | None = None,
) -> list[Step]:
    """Teach a policy, in place, to leave out what the model's answers do not need.

    Parameters
    ----------
    tagger : Tagger
        Around a `tamis.models.policy.Policy`.
    lm : LanguageModel
        Answers the prompts, whole and compressed, as a user's message.
    prompts : sequence of str
        Those longer than the encoder reads are left out.
    steps : int
        Batches; prompts are gone through in an order drawn anew each time.
    batch, samples : int
        Prompts a step, and actions drawn a prompt.
    learning_rate, entropy : float
        Of Adam; how much the policy is kept from being sure.
    threshold, penalty : float
        t and λ of the reward.
    max_tokens : int
        Of an answer.
    seed : int

    Returns
    -------
    list of Step
        How the likeliest actions fared, batch by batch.
    """
    read = [one for text in prompts if (one := _read(tagger, text)) is not None]
    if not read:
        raise DataError(f"learn: none of {len(prompts)} prompts has a token to remove; give others")
    answers = _Answers(lm, max_tokens)
    draw = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(tagger.module.head.parameters(), lr=learning_rate)
    order: list[int] = []
    done = []
    for _ in range(steps):
        while len(order) < min(batch, len(read)):
            order += draw.permutation(len(read)).tolist()
        some, order = [read[i] for i in order[:batch]], order[batch:]
        odds = [_odds(tagger, one) for one in some]
        actions = [_actions(one, row, samples, draw) for one, row in zip(some, odds, strict=True)]
        rewards = _rewards(some, actions, answers, threshold, penalty)
        loss = sum(
            _loss(one, row, acts, r, entropy)
            for one, row, acts, r in zip(some, odds, actions, rewards, strict=True)
        ) / len(some)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done.append(_told(some, actions, rewards, penalty))
        if on_step is not None:
            on_step(done[-1])
    return done


def _read(tagger: "Tagger", text: str) -> _Prompt | None:
    said = tagger.tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    own = ~np.array(said["special_tokens_mask"], bool)
    if own.sum() > tagger.context:
        return None
    spans = np.array(said["offset_mapping"], np.int64).reshape(-1, 2)[own]
    fixed = fixed_tokens(text, spans)
    if fixed.all():
        return None
    ids = torch.tensor([said["input_ids"]], device=tagger.module.device)
    with torch.no_grad():
        states = tagger.module.encoder(
            input_ids=ids, attention_mask=torch.ones_like(ids)
        ).last_hidden_state[0, torch.from_numpy(own)]
    return _Prompt(text, np.maximum.accumulate(spans[:, 1]), fixed, states)


def _odds(tagger: "Tagger", prompt: _Prompt) -> torch.Tensor:
    logits = tagger.module.head(prompt.states)
    return logits[:, 1] - logits[:, 0]


def _actions(prompt: _Prompt, odds: torch.Tensor, n: int, draw: np.random.Generator) -> list[Mask]:
    """Return the likeliest keeps, then drawn ones."""
    chances = odds.detach().sigmoid().cpu().numpy()
    kept = [chances >= 0.5] + [draw.random(len(chances)) < chances for _ in range(n)]
    return [keep | prompt.fixed for keep in kept]


def _rewards(
    prompts: list[_Prompt],
    actions: list[list[Mask]],
    answers: _Answers,
    threshold: float,
    penalty: float,
) -> list[list[float]]:
    """Ask for all answers in one batch; return the reward of each action."""
    short = [
        [one.without(keep) for keep in acts] for one, acts in zip(prompts, actions, strict=True)
    ]
    answers.to([one.text for one in prompts] + [text for texts in short for text in texts])
    found = []
    for one, texts, acts in zip(prompts, short, actions, strict=True):
        (own,) = answers.to([one.text])
        found.append(
            [
                reward(
                    1.0 if said == own else rouge_l(own, said),
                    int(keep.sum()),
                    len(keep),
                    int(one.fixed.sum()),
                    threshold=threshold,
                    penalty=penalty,
                )
                for said, keep in zip(answers.to(texts), acts, strict=True)
            ]
        )
    return found


def _loss(
    prompt: _Prompt, odds: torch.Tensor, actions: list[Mask], rewards: list[float], entropy: float
) -> torch.Tensor:
    free = torch.from_numpy(~prompt.fixed).to(odds.device)
    drawn = torch.from_numpy(np.stack(actions[1:])).to(odds.device)
    advantages = torch.tensor(rewards[1:], device=odds.device) - rewards[0]
    signs = torch.where(drawn, 1.0, -1.0)
    chosen = (functional.logsigmoid(signs * odds) * free).sum(dim=1)
    p = odds.sigmoid()
    doubt = functional.binary_cross_entropy_with_logits(odds, p, reduction="none")[free].mean()
    return -(advantages * chosen).mean() - entropy * doubt


def _told(
    prompts: list[_Prompt], actions: list[list[Mask]], rewards: list[list[float]], penalty: float
) -> Step:
    first = np.array([row[0] for row in rewards])
    removed = [1 - acts[0][~one.fixed].mean() for one, acts in zip(prompts, actions, strict=True)]
    return Step(float(first.mean()), float(np.mean(removed)), float((first != penalty).mean()))
