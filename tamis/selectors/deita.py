"""DEITA: complexity times quality, then only what is unlike all that is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.ids import example_ids, id_texts
from tamis.errors import SettingError
from tamis.kernels.diversity import diverse
from tamis.models import JUDGES
from tamis.models.base import Embedder
from tamis.models.embeddings import points_by_id
from tamis.models.expected import ExpectedGrade
from tamis.models.fingerprint import digest
from tamis.models.judges import Judge, Ratings, judge_of, unrated
from tamis.models.losses import lm_of
from tamis.selectors.base import Selector
from tamis.selectors.selection import KEPT, Selection, one_reason, say_kept
from tamis.selectors.sharded import check_shards, sharded_diverse, shards_of

__all__ = ["DEITA", "PromptLength"]

# What the published scorers were tuned on, to the letter.
COMPLEXITY_QUESTION = (
    "You are a helpful assistant. Please identify the complexity score of the following user "
    "query. \n##Query: {instruction}  \n##Complexity: "
)
QUALITY_QUESTION = (
    "You are a helpful assistant. Please identify the quality score of the Response "
    "corresponding to the Question. \n #Question#:\n{instruction}\n#Response#:\n{output} "
    "\n##Quality: "
)


@dataclass(kw_only=True, repr=False)
class DEITA(Selector):
    """Keep what is complex and well answered, and not like what is kept already.

    The score of an example is complexity times quality, summed over its turns: long
    conversations win. Examples are gone through from the highest score; one is kept if its
    cosine to every kept one is at most `most`, until there are `k`. Without `k` all are
    gone through.

    Parameters
    ----------
    complexity : Judge or str
        Of each prompt. A language model ('transformers:hkust-nlp/deita-complexity-scorer' is
        the paper's) is asked the published question, and gives the grade from 1 to 6 that it
        expects. 'length', the default, is a stand-in that needs no model: ln(1 + words), 2.4
        for 10 words and 4.6 for 100. Any other name is a judge's.
    quality : Judge or str
        Of each response, in the same way ('transformers:hkust-nlp/deita-quality-scorer').
        The default is the bundled quality scorer, which rates from 0 to 5.
    embedder : Embedder or str
        Of the whole examples; only the directions of its vectors count. The paper takes the
        last state of LLaMA-1-13B.
    most : float
        The highest cosine of two kept examples.
    shards : int, optional
        Filter in two rounds: as many parts of the pool, at once, then what is left of them (see
        `tamis.selectors.sharded`). By default the choice is exact.

    Notes
    -----
    Signals: `complexity` and `quality`, means over the turns; `turns`, how many there are;
    `similarity`, the cosine to the nearest of those kept before; `like`, the id of the kept
    example that a dropped one is like.

    An exchange that a scorer gives no grade leaves the example without a score; the released
    code calls it 3. That code also compares rows of one batch with what the batch dropped,
    where its batches hold more than one: not reproduced.

    See Also
    --------
    AlpaGasus : the rating alone.
    Deduplicate : `semantic=` is this filter without a score, within clusters.

    References
    ----------
    Liu et al., arXiv 2312.15685.
    """

    name: ClassVar[str] = "deita"
    needs_k: ClassVar[bool] = False
    complexity: Judge | str = "length"
    quality: Judge | str = "bundled"
    embedder: Embedder | str = "bundled"
    most: float = 0.9
    shards: int | None = None

    def __post_init__(self) -> None:
        check_shards("DEITA", self.shards)
        if not -1 <= self.most <= 1:
            raise SettingError(f"DEITA: most={self.most} is no cosine; give one from -1 to 1")

    def _select(self, pool: Dataset, k: int | None) -> Selection:
        complexity = _scorer(self.complexity, COMPLEXITY_QUESTION)
        quality = _scorer(self.quality, QUALITY_QUESTION)
        graded = partial(_graded, complexity, quality)
        found = _Graded.joined(list(map_batches(pool, graded, label="deita: grade")))
        reasons = found.reasons.copy()
        indices, like, similarity = self._unlike(pool, found.scores, reasons, k)

        ids = example_ids(pool)
        by = id_texts(ids).take(pa.array(like, mask=like < 0))
        say_kept(reasons, indices)
        kept = reasons[like] == KEPT
        for row in np.flatnonzero(like >= 0).tolist():
            which = "which is kept" if kept[row] else "which is like one that is kept"
            reasons[row] = f"like {by[row].as_py()}, {which} (cosine {similarity[row]:.2f})"
        signals = {
            "complexity": found.complexity, "quality": found.quality, "turns": found.turns,
            "similarity": similarity, "like": by,
        }  # fmt: skip
        return Selection(indices, found.scores, reasons, pa.table(signals))

    def _unlike(
        self,
        pool: Dataset,
        scores: npt.NDArray[np.float64],
        reasons: npt.NDArray[np.object_],
        k: int | None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the kept rows, which of them each dropped row is like, and cosines, by row."""
        like, similarity = np.full(len(pool), -1), np.full(len(pool), np.nan)
        scored = np.flatnonzero(~np.isnan(scores))
        if not len(scored):
            return scored, like, similarity
        rows, points = points_by_id(pool, self.embedder, scored)
        able = (points != 0).any(axis=1)  # a vector of length 0 has no direction
        reasons[scored] = "no embedding"
        reasons[rows[able]] = "score below that of the kept"
        scores[np.setdiff1d(scored, rows[able])] = np.nan
        best = np.flatnonzero(able)
        best = best[np.argsort(-scores[rows[best]], kind="stable")]  # ties stay in order of ids
        rows, points, k = rows[best], points[best], k or len(best)
        if self.shards is None:
            found = diverse(points, self.most, k)
        else:
            shards = shards_of(example_ids(pool)[rows], self.shards)
            found, outdone = sharded_diverse(points, shards, self.most, k)
            reasons[rows[outdone]] = f"score below those of {k} others of its shard"
        like[rows] = np.where(found.like < 0, -1, rows[found.like])
        similarity[rows] = found.similarity
        return rows[found.picks], like, similarity


class _Graded(NamedTuple):
    """Grades of a batch's rows; NaN and a reason where there are none."""

    scores: npt.NDArray[np.float64]
    complexity: npt.NDArray[np.float64]
    quality: npt.NDArray[np.float64]
    turns: npt.NDArray[np.int64]
    reasons: npt.NDArray[np.object_]

    @classmethod
    def joined(cls, parts: "list[_Graded]") -> "_Graded":
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _graded(complexity: Judge, quality: Judge, batch: pa.Table) -> _Graded:
    """Grade each exchange of a user and an assistant, and add up by row."""
    owner, prompts, responses = _exchanges(batch)
    hard, good = complexity.rate(prompts, responses), quality.rate(prompts, responses)
    n = batch.num_rows
    turns = np.bincount(owner, minlength=n)

    def total(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(turns, np.bincount(owner, values, minlength=n), np.nan)

    reasons = one_reason(n, "no prompt with a response")
    for grades, of in ((good, "quality"), (hard, "complexity")):
        for place in np.flatnonzero(np.isnan(grades.scores)).tolist():
            reasons[owner[place]] = unrated(of, grades.words[place])
    with np.errstate(invalid="ignore"):
        return _Graded(
            total(hard.scores * good.scores),
            total(hard.scores) / turns,
            total(good.scores) / turns,
            turns,
            reasons,
        )


def _exchanges(batch: pa.Table) -> tuple[npt.NDArray[np.int64], list[str], list[str]]:
    """Return the row of each user's turn that an assistant's follows, and both texts."""
    said = formats.turns(batch)
    roles = said.roles.to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(batch.num_rows), np.diff(said.offsets))
    answers = 1 + np.flatnonzero(
        (roles[:-1] == formats.USER) & (roles[1:] == formats.ASSISTANT) & (owner[:-1] == owner[1:])
    )
    prompts, responses = (said.contents.take(pa.array(at)) for at in (answers - 1, answers))
    return owner[answers], prompts.to_pylist(), responses.to_pylist()


def _scorer(scorer: Judge | str, question: str) -> Judge:
    """Return the judge itself, or the one of that name; a language model is asked `question`."""
    if scorer == "length":
        return PromptLength()
    if not isinstance(scorer, str) or scorer.partition(":")[0] in JUDGES:
        return judge_of(scorer)
    return ExpectedGrade(lm_of(scorer), question)


class PromptLength:
    """A judge that counts the prompt's words: ln(1 + words), and none for an empty prompt."""

    fingerprint = digest("ln(1 + words of the prompt)")

    def rate(self, prompts: Sequence[str], responses: Sequence[str]) -> Ratings:
        """Rate each prompt, whatever the response."""
        words = np.array([len(prompt.split()) for prompt in prompts], np.float64)
        return Ratings(
            np.where(words, np.log1p(words), np.nan),
            ["" if count else "the prompt is empty" for count in words],
        )
