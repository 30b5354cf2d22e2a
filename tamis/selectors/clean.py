"""Documented heuristics, each a named reason: what is empty, broken or noise goes."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from tamis.data import formats
from tamis.errors import SettingError, did_you_mean
from tamis.kernels.characters import SCRIPTS, character_table
from tamis.kernels.minhash import text_keys
from tamis.kernels.ordering import blocks
from tamis.kernels.textstats import COUNTS, openings, text_counts
from tamis.selectors.pickers import top_k
from tamis.selectors.rules import Rule, RuleScorer, Signals
from tamis.selectors.selection import Selection, one_reason, say_kept

__all__ = ["RULES", "Clean"]

_NGRAM = 3
_FEWEST_NGRAMS = 20
_HEAD = 300  # characters of an answer in which a refusal is looked for

_AN_AI = r"an? (?:ai|artificial intelligence|(?:large )?language model|virtual assistant)\b"
_CANNOT = (
    r"i (?:cannot|can'?t|can not|am not able|am unable|do(?: not|n't) have (?:access|the ability))"
)
_TO_DO = r"(?:assist|help|comply|fulfill?|provide|generate|access|answer|browse|display)\b"
_REFUSAL = (
    rf"^[\s\pP\pS]*(?:as {_AN_AI}|(?:i'm sorry|i am sorry|i apologi[sz]e|sorry|unfortunately)\b"
    rf"[^.\n]{{0,60}}\b(?:as {_AN_AI}|{_CANNOT})|i(?:'m| am) (?:not able|unable) to {_TO_DO}"
    rf"|i (?:cannot|can't|can not) {_TO_DO})"
).replace("'", "['’]")
_NOTHING = r"^[\s\pP\pS]*(?:no ?output|no ?input|no ?response|n/a)[\s\pP\pS]*$"
# With which letter what these patterns match begins, and what may follow it.
_REFUSALS_BEGIN = (b"as", b"i '\xe2", b"so", b"un")
_NOTHINGS_BEGIN = (b"no/",)


RULES = (
    Rule("empty", "empty", False, "empty response"),
    Rule("max_broken", "broken", False,
         "broken text: {figure:.3f} of its characters are U+FFFD, control characters or misread"),
    Rule("min_words", "words", True, "too short: {figure:,} words, fewer than {limit:,}"),
    Rule("max_words", "words", False, "too long: {figure:,} words, more than {limit:,}"),
    Rule("max_foreign", "foreign", False,
         "not in the scripts asked for: {figure:.2f} of its letters are others"),
    Rule("max_symbols", "symbols", False,
         "symbols: {figure:.2f} of its characters are neither letters nor digits"),
    Rule("max_hashes", "hashes", False, "symbols: {figure:.2f} '#' or '...' a word"),
    Rule("max_longest_word", "longest_word", False,
         "no text: a word of {figure:,} characters, more than {limit:,}"),
    Rule("min_word_length", "word_length", True,
         "odd words: {figure:.1f} characters a word, fewer than {limit:g}"),
    Rule("max_word_length", "word_length", False,
         "odd words: {figure:.1f} characters a word, more than {limit:g}"),
    Rule("max_repeats", "repeats", False,
         "repeats itself: {figure:.2f} of its 3-grams are copies"),
    Rule("max_copied_lines", "copied_lines", False,
         "repeats itself: {figure:.2f} of it are lines that stood before"),
    Rule("max_bullets", "bullets", False, "a list: {figure:.2f} of its lines are bullets"),
    Rule("max_ellipses", "ellipses", False,
         "cut short: {figure:.2f} of its lines end in an ellipsis"),
    Rule("min_ended", "ended", True,
         "no sentences: {figure:.2f} of its lines end in punctuation"),
    Rule("echo", "echo", False, "response repeats the prompt"),
    Rule("refusal", "refusal", False, "refusal: the response begins by declining"),
    Rule("open_fence", "open_fence", False, "unclosed code fence"),
)  # fmt: skip
"""The rules in the order in which they are tried; the first that fails is a row's reason."""


@dataclass(kw_only=True, repr=False)
class Clean(RuleScorer):
    """Drop rows that documented heuristics call broken, empty, repetitive or noise.

    Each rule holds one number of a row against a limit. None (False for the rules that are
    yes or no) switches a rule off; with the default limits a per cent or less of a tidy
    instruction set goes, and code, tables, mathematics, verse, one-word answers and text in
    any language stay. A row's score is the share of the rules in use that it passes; the
    rows that pass all of them, which score 1, are kept.

    *Text* below is prompt and response together, or plain text; *answer* is the response, or
    plain text. A word is a run of letters or digits, one character of a script without
    spaces, or one symbol.

    Parameters
    ----------
    empty : bool
        Drop a row with nothing in its answer but space, or '<nooutput>', 'N/A' and the like
        (Alpaca's blanks). A pool without responses (prompts alone) is judged by its prompts.
    max_broken : float or None
        Share of the text's characters that are U+FFFD, control characters, or UTF-8 read as
        Latin-1 ('Ã©', 'â€™').
    min_words, max_words : int or None
        Of the text. The most is Gopher's; its least for web pages is 50.
    scripts : tuple of str or None
        Scripts asked for, such as ("Latin",): names as in `tamis.kernels.characters.SCRIPTS`.
        This tells English from Russian, not from French. None asks for nothing.
    max_foreign : float or None
        Share of the text's letters in other scripts; counts where `scripts` are given.
    max_symbols : float or None
        Share of the text's characters, less spaces, that are neither letters nor digits.
    max_hashes : float or None
        '#' and ellipses a word of the text. Gopher: 0.1.
    max_longest_word : int or None
        Characters in the text's longest word (base64 and the like).
    min_word_length, max_word_length : float or None
        Mean characters a word of the text. Gopher: 3 and 10.
    max_repeats : float or None
        Share of the answer's 3-grams of words that are copies of earlier ones; looked at
        where there are 20 or more. (Gopher has limits by n, of 0.10 to 0.20, for web pages;
        songs have up to 0.45, LaTeX up to 0.6.)
    max_copied_lines : float or None
        Share of the answer's characters, less spaces, in lines that are copies of earlier
        ones. Gopher: 0.2; songs have up to 0.45.
    max_bullets, max_ellipses : float or None
        Shares of the answer's lines. Gopher: 0.9 and 0.3.
    min_ended : float or None
        Share of the answer's lines that end in punctuation. FineWeb: 0.12.
    echo : bool
        Drop a row whose response is its prompt, but for case and white space.
    refusal : bool
        Drop a row whose response begins by declining as a machine ('As an AI language
        model', 'I'm sorry, but I cannot'), in English.
    open_fence : bool
        Drop a row whose answer opens a ``` block and does not close it.

    Notes
    -----
    For web text, what Gopher and FineWeb publish: `Clean(min_words=50, max_hashes=0.1,
    min_word_length=3, max_word_length=10, max_copied_lines=0.2, max_bullets=0.9,
    max_ellipses=0.3, min_ended=0.12)`.

    References
    ----------
    Rae et al., arXiv 2112.11446 (Gopher), table A1. Penedo et al., arXiv 2406.17557 (FineWeb).
    Raffel et al., arXiv 1910.10683 (C4). Wang et al., arXiv 2212.10560 (Self-Instruct: too
    short, too long, output equal to input). Zhou et al., arXiv 2305.11206 (LIMA).
    """

    name: ClassVar[str] = "clean"
    rules: ClassVar[tuple[Rule, ...]] = RULES
    needs_k: ClassVar[bool] = False
    empty: bool = True
    max_broken: float | None = 0.01
    min_words: int | None = 3
    max_words: int | None = 100_000
    scripts: tuple[str, ...] | None = None
    max_foreign: float | None = 0.3
    max_symbols: float | None = 0.7
    max_hashes: float | None = None
    max_longest_word: int | None = 1000
    min_word_length: float | None = None
    max_word_length: float | None = None
    max_repeats: float | None = 0.7
    max_copied_lines: float | None = 0.5
    max_bullets: float | None = None
    max_ellipses: float | None = None
    min_ended: float | None = None
    echo: bool = True
    refusal: bool = True
    open_fence: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.scripts, str):
            self.scripts = (self.scripts,)
        for script in self.scripts or ():
            if script not in SCRIPTS:
                raise SettingError(f"Clean: no script '{script}'; {did_you_mean(script, SCRIPTS)}")
        for rule in RULES:
            limit = getattr(self, rule.setting)
            if limit is not None and not isinstance(limit, bool) and not limit >= 0:
                raise SettingError(
                    f"Clean: {rule.setting}={limit}; give one of at least 0, or None"
                )

    def fit(self, pool: Dataset) -> Self:
        """Return self: a rule looks at one row."""
        return self

    def measure(self, batch: pa.Table) -> dict[str, npt.NDArray[Any]]:
        """Return the number behind each rule, for each row."""
        if not _has_responses(batch):
            text = formats.fields(batch).text
            counts = self._counts(text)
            no = np.zeros(len(text), bool)
            said = {"empty": _is_empty(counts, text, openings(*formats.buffers(text)))}
            return _figures(counts, counts) | said | {"echo": no, "refusal": no, "open_fence": no}
        prompt, response = formats.exchange(batch)
        answer, asked = self._counts(response), self._counts(prompt, ngram=None)
        whole = {name: asked[name] + answer[name] for name in COUNTS}
        whole["longest_word"] = np.maximum(asked["longest_word"], answer["longest_word"])
        begin = openings(*formats.buffers(response))
        return _figures(whole, answer) | {
            "empty": _is_empty(answer, response, begin),
            "echo": _alike(prompt, response, asked["words"] == answer["words"]),
            "refusal": _matches(response, _REFUSAL, _opens(begin, _REFUSALS_BEGIN)),
            "open_fence": answer["fences"] % 2 == 1,
        }

    def _pick(
        self,
        ids: npt.NDArray[np.void],
        signals: Signals,
        scores: npt.NDArray[np.float64],
        k: int | None,
    ) -> Selection:
        passed = scores == 1
        reasons = one_reason(len(scores), "score below that of the kept")
        for rows in blocks(len(scores)):
            fail = rows.start + np.flatnonzero(~passed[rows])
            some = {name: values[fail] for name, values in signals.items()}
            reasons[fail] = self._said(some, self._failed(some))
        indices = top_k(scores, ids, len(scores) if k is None else k, among=passed)
        say_kept(reasons, indices)
        return Selection(indices, scores, reasons, pa.table(dict(signals)))

    def _counts(
        self, texts: pa.LargeStringArray, ngram: int | None = _NGRAM
    ) -> dict[str, npt.NDArray[np.int64]]:
        asked = np.zeros(32, bool)
        for number, script in enumerate(SCRIPTS):
            asked[number] = self.scripts is None or script in self.scripts
        counts = text_counts(*formats.buffers(texts), asked, ngram)
        return dict(zip(COUNTS, counts.T, strict=True))


def _has_responses(batch: pa.Table) -> bool:
    form = formats.of(batch)
    return form.conversational or any(role == "response" for role, _ in form.roles)


def _figures(
    whole: dict[str, npt.NDArray[np.int64]], answer: dict[str, npt.NDArray[np.int64]]
) -> dict[str, npt.NDArray[Any]]:
    """Return what the rules look at, from the counts of the text and of the answer."""
    seen = whole["characters"] - whole["spaces"]
    enough = answer["ngrams"] >= _FEWEST_NGRAMS
    return {
        "characters": whole["characters"],
        "words": whole["words"],
        "answer_words": answer["words"],
        "broken": _share(whole["broken"], whole["characters"]),
        "foreign": _share(whole["foreign_letters"], whole["script_letters"]),
        "symbols": _share(seen - whole["letters"], seen),
        "hashes": _share(whole["hashes"], whole["words"]),
        "longest_word": whole["longest_word"],
        "word_length": _share(whole["letters"], whole["words"]),
        "repeats": _share(answer["copied_ngrams"] * enough, answer["ngrams"]),
        "copied_lines": _share(answer["copied_line_characters"], answer["line_characters"]),
        "bullets": _share(answer["bullet_lines"], answer["lines"]),
        "ellipses": _share(answer["ellipsis_lines"], answer["lines"]),
        "ended": _share(answer["ended_lines"], answer["lines"]),
    }


def _share(part: npt.NDArray[np.int64], of: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(part / np.maximum(of, 1))


def _is_empty(
    counts: dict[str, npt.NDArray[np.int64]],
    answer: pa.LargeStringArray,
    begin: npt.NDArray[np.uint8],
) -> npt.NDArray[np.bool_]:
    """Return which answers are blank, or say no more than that they are."""
    short = counts["characters"] < _HEAD
    says_so = _matches(answer, _NOTHING, short & _opens(begin, _NOTHINGS_BEGIN))
    return np.asarray((counts["characters"] == counts["spaces"]) | says_so)


def _opens(begin: npt.NDArray[np.uint8], letters: tuple[bytes, ...]) -> npt.NDArray[np.bool_]:
    """Return which texts begin as a pattern's do: few, and a pattern takes its time."""
    opens = np.zeros(len(begin), bool)
    for first, *second in letters:
        opens |= (begin[:, 0] == first) & np.isin(begin[:, 1], second)
    return opens


def _matches(
    texts: pa.LargeStringArray, pattern: str, possible: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return whose beginnings match a pattern, among those possible."""
    head = pc.utf8_slice_codeunits(texts.filter(pa.array(possible)), 0, _HEAD)
    matches = np.zeros(len(texts), bool)
    matches[possible] = np.asarray(pc.match_substring_regex(head, pattern, ignore_case=True))
    return matches


def _alike(
    prompt: pa.LargeStringArray, response: pa.LargeStringArray, possible: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return where the two are one text but for case and white space, among those possible."""
    table, mask = character_table(), pa.array(possible)
    first, second = (
        text_keys(*formats.buffers(texts.filter(mask)), table) for texts in (prompt, response)
    )
    possible[possible] = (first == second).all(axis=1)
    return possible
