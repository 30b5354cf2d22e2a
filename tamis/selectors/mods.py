"""MoDS: good answers, then a seed that covers them, then what a model tuned on it gets wrong."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.ids import example_ids
from tamis.errors import SettingError
from tamis.models.base import Embedder, LanguageModel, Prompt
from tamis.models.cached import CachedLM
from tamis.models.contexts import fits
from tamis.models.embeddings import points_by_id
from tamis.models.judges import Judge, Ratings, judge_of, unrated
from tamis.models.losses import lm_of
from tamis.selectors.base import Selector
from tamis.selectors.kcenter import covering
from tamis.selectors.selection import Selection, say_kept

if TYPE_CHECKING:
    from tamis.models.transformers import TransformersLM

__all__ = ["MoDS"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_SEEDS = 1000  # where nothing is asked for: the paper's number
_MIDDLE = 2.5  # of a judge's scale, from 0 to 5


@dataclass(kw_only=True, repr=False)
class MoDS(Selector):
    """Keep good answers that cover all prompts, and those that the model needs besides.

    1. Quality: of each row, the judge's rating of the response. Those above `alpha` go on.
    2. Coverage: k-center on the prompts' vectors picks the seeds.
    3. Necessity: a copy of the model is tuned on the seeds, and answers every prompt that
       went on. Where the judge rates its answer below `beta`, the row is necessary.

    Kept are the seeds, in the order picked, then the necessary rows, again by k-center. The
    score of a row is its quality.

    Parameters
    ----------
    judge : Judge or str
        Of quality and of necessity. The paper's is
        'reward:OpenAssistant/reward-model-deberta-v3-large-v2'; the default is the bundled
        quality scorer.
    embedder : Embedder or str
        Of the prompts. Distances are Euclidean.
    lm : LanguageModel, str or None
        The model that is to be tuned in the end, a transformers one. None leaves necessity
        out, and with it the need for torch.
    alpha, beta : float, optional
        By default the middle of the judge's scale: 0 for a reward model, as in the paper, and
        2.5 for a judge that rates from 0 to 5, such as the bundled one, for which good and bad
        are then as likely. Both limits are strict.
    seeds : int, optional
        By default a quarter of `k`, and 1,000 without `k`. Without necessity all of `k`.
    epochs, learning_rate, lora
        Of the tuning, as in `tamis.models.tuning.tune`. The paper trains a 7B model for 3
        epochs at 2e-5; the default rate goes by the model's width.
    max_tokens : int
        Of an answer.
    seed : int
        Draws the first of the seeds, and orders the tuning.
    reference : bool
        As the released code: of Alpaca's rows the instruction alone is embedded, without its
        input, so that rows of one template are the same point; and the necessary rows are
        taken without k-center, the worst answered first.

    Notes
    -----
    Signals: `quality`; `gap`, the distance to the nearest seed picked before, and `covered_by`,
    the id of the kept row that is nearest to one that is not; `answer_quality`, the rating of
    the tuned model's answer; `stage`, 'seed' or 'necessary' of a kept row.

    Without `k` all necessary rows are kept. Fewer than `k` are kept where fewer are good and
    necessary. A row that the judge does not rate is not kept; nor is one whose answer could
    not be made or rated, unless it is a seed.

    Time is that of tuning, and of an answer to each good row. Answers are kept in the
    feature store by the tuned model, which is the same for the same seeds.

    See Also
    --------
    KCenter : the second step alone, over whole examples.

    References
    ----------
    Du et al., arXiv 2311.15653.
    """

    name: ClassVar[str] = "mods"
    needs_k: ClassVar[bool] = False
    judge: Judge | str = "bundled"
    embedder: Embedder | str = "bundled"
    lm: LanguageModel | str | None = "bundled"
    alpha: float | None = None
    beta: float | None = None
    seeds: int | None = None
    epochs: int = 3
    learning_rate: float | None = None
    lora: int | None = None
    max_tokens: int = 256
    seed: int = 0
    reference: bool = False

    def __post_init__(self) -> None:
        for setting in ("seeds", "epochs", "lora", "max_tokens"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise SettingError(f"MoDS: {setting}={value}; give at least 1")

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        lm, judge = self._trainable(), judge_of(self.judge)
        alpha, beta = self._limit(self.alpha, judge), self._limit(self.beta, judge)
        found = _Found.of(_rated(pool, judge), alpha)
        good = np.flatnonzero(found.quality > alpha)
        if not len(good):
            return found.selection(good)

        ids = example_ids(pool)
        rows, points = self._placed(pool, ids, good)
        found.reasons[np.setdiff1d(good, rows)] = "no embedding"
        seeds = covering(ids, rows, points, self._seeds(k), seed=self.seed)
        found.cover(seeds, rows, "seed")
        found.gap[rows] = seeds.scores[rows]
        if lm is None:
            return found.selection(seeds.indices)

        found.answer(rows, self._answers(lm, judge, pool, seeds.indices, rows), beta)
        rest = rows[~np.isin(rows, seeds.indices)]
        needed = rest[found.answer_quality[rest] < beta]
        room = len(pool) if k is None else k - len(seeds)
        if self.reference or k is None:
            needed = found.worst(needed, room)
        elif len(needed) and room:
            inside = np.isin(rows, needed)
            more = covering(ids, rows[inside], points[inside], room, seed=self.seed)
            found.cover(more, rows[inside], "necessary")
            needed = more.indices
        else:
            needed = found.worst(needed, 0)
        return found.selection(np.concatenate([seeds.indices, needed]))

    def _limit(self, given: float | None, judge: Judge) -> float:
        return float(getattr(judge, "middle", _MIDDLE)) if given is None else given

    def _seeds(self, k: int | None) -> int:
        if k is None:
            return self.seeds or _SEEDS
        if self.lm is None:
            return k
        return min(k, self.seeds or max(1, k // 4))

    def _trainable(self) -> "TransformersLM | None":
        if self.lm is None:
            return None
        lm = lm_of(self.lm)
        if not hasattr(lm, "module"):
            raise SettingError(
                f"MoDS: lm={lm!r} cannot be tuned; give a transformers: model, or lm=None to "
                "leave necessity out"
            )
        return lm  # type: ignore[return-value]

    def _placed(
        self, pool: Dataset, ids: npt.NDArray[np.void], good: Rows
    ) -> tuple[Rows, npt.NDArray[np.float32]]:
        """Return the rows that have a vector, in the order of their ids, and the vectors."""
        if self.reference:
            extra = (formats.of(pool).columns(pool.column_names) or {}).get("input")
            pool = pool.remove_columns([extra] if extra else [])
        rows, points = points_by_id(pool, self.embedder, good, part="prompt")
        order = np.argsort(ids[rows], kind="stable")  # without its input a row has another id
        return rows[order], points[order]

    def _answers(
        self, lm: "TransformersLM", judge: Judge, pool: Dataset, seeds: Rows, rows: Rows
    ) -> Ratings:
        """Tune a copy of the model on the seeds; return the rating of its answer to each row."""
        from tamis.models.tuning import tune

        tables = pool.with_format("arrow")
        prompts, responses = (part.to_pylist() for part in formats.exchange(tables[seeds]))
        tuned = tune(
            lm, _asked(lm, prompts), responses, epochs=self.epochs,
            learning_rate=self.learning_rate, lora=self.lora, seed=self.seed,
        )  # fmt: skip
        prompts = formats.exchange(tables[rows])[0].to_pylist()
        asked = _asked(lm, prompts)
        fit = np.flatnonzero(fits(tuned, asked, room=self.max_tokens)).tolist()
        said = CachedLM(tuned).generate([asked[i] for i in fit], max_tokens=self.max_tokens)
        given = judge.rate([prompts[i] for i in fit], [answer.text for answer in said])

        scores, words = np.full(len(rows), np.nan), ["the prompt is too long for it"] * len(rows)
        for place, i in enumerate(fit):
            scores[i], words[i] = given.scores[place], given.words[place]
        return Ratings(scores, words)


class _Found(NamedTuple):
    """What is known of every row so far."""

    quality: Floats
    gap: Floats
    covered_by: npt.NDArray[np.object_]
    answer_quality: Floats
    stage: npt.NDArray[np.object_]
    reasons: npt.NDArray[np.object_]

    @classmethod
    def of(cls, rated: Ratings, alpha: float) -> "_Found":
        n = len(rated.scores)
        reasons = np.array([unrated("quality", words) for words in rated.words], object)
        for row in np.flatnonzero(~np.isnan(rated.scores)).tolist():
            reasons[row] = f"quality {rated.scores[row]:.3g}, not above {alpha:g}"
        nothing = np.full(n, np.nan)
        none = np.full(n, None, dtype=object)
        return cls(rated.scores, nothing, none, nothing.copy(), none.copy(), reasons)

    def cover(self, cover: Selection, rows: Rows, stage: str) -> None:
        """Note which of `rows` a covering picked, and which pick is nearest to the others."""
        self.reasons[rows] = cover.reasons[rows]
        self.covered_by[rows] = np.array(cover.signals["covered_by"].to_pylist(), object)[rows]
        self.stage[cover.indices] = stage

    def answer(self, rows: Rows, answers: Ratings, beta: float) -> None:
        """Note how the tuned model answered `rows`, and why that makes them unnecessary."""
        self.answer_quality[rows] = answers.scores
        for row, score, words in zip(rows.tolist(), answers.scores, answers.words, strict=True):
            if np.isnan(score):
                self.reasons[row] = unrated("rating of the tuned model's answer", words)
            elif score >= beta:
                self.reasons[row] = (
                    f"the tuned model's answer is rated {score:.3g}, not below {beta:g}"
                )

    def worst(self, needed: Rows, room: int) -> Rows:
        """Return the rows that were answered worst, as many as there is room for."""
        order = needed[np.argsort(self.answer_quality[needed], kind="stable")]
        self.reasons[order[room:]] = "necessary, but there was no room left"
        self.stage[order[:room]] = "necessary"
        return order[:room]

    def selection(self, indices: Rows) -> Selection:
        say_kept(self.reasons, indices)
        signals = {
            "quality": self.quality, "gap": self.gap,
            "covered_by": pa.array(self.covered_by, pa.string()),
            "answer_quality": self.answer_quality, "stage": pa.array(self.stage, pa.string()),
        }  # fmt: skip
        return Selection(indices, self.quality, self.reasons, pa.table(signals))


def _rated(pool: Dataset, judge: Judge) -> Ratings:
    """Return the judge's rating of each row's response."""
    parts = list(map_batches(pool, partial(_rate, judge), label="mods: quality"))
    return Ratings(
        np.concatenate([part.scores for part in parts]),
        [words for part in parts for words in part.words],
    )


def _rate(judge: Judge, batch: pa.Table) -> Ratings:
    prompts, responses = formats.exchange(batch)
    return judge.rate(prompts.to_pylist(), responses.to_pylist())


def _asked(lm: "TransformersLM", prompts: list[str]) -> list[Prompt]:
    """Return the prompts as the model is asked them: as a user's turn, if it has a template."""
    if lm.tokenizer.chat_template is None:
        return [f"{prompt}\n" for prompt in prompts]
    return [[{"role": formats.USER, "content": prompt}] for prompt in prompts]
