"""Whatever a model writes, it is read as data: a result or a line, and no file elsewhere."""

import time
import warnings

import numpy as np
import pytest
from fuzzing import a_line_at_most, files_below, tries
from hypothesis import given
from hypothesis import strategies as st

import tamis
from tamis.data.features import FeatureStore
from tamis.models.fingerprint import digest
from tamis.models.judges import LMJudge
from tamis.prompting import reasoning
from tamis.prompting.generation import FewShot, SelfInstruct, TeGit, induce, optimize
from tests.prompting.generation.players import Player

BITS = [
    " ", "\n", "1. ", "9. ", "10. Name a moon.\n", "Example 1\n", "Input: ", "Output: ", "Task: ",
    "Answer: ", "Class label: ", "Yes", "No", "Score: ", "4.5", "5/5", "I give it ", "-1",
    "The answer is ", "The best choice is 3", "sure", "impossible", "Action: Search[", "]",
    "Finish[", "Follow up: ", "Intermediate answer: ", "So the final answer is: ", "[", "**", "```",
    "\0", "\x1b[2J", "\u202e", "\ufeff", "../../up", "/etc/passwd", "{question}", "{0.__class__}",
    "<script>alert(1)</script>", "'; DROP TABLE runs; --", "!!python/object:os.system",
    "e\u0301" * 50,
    "(" * 300, "a" * 3000, "4 " * 2000, "9" * 400, "Score: score " * 500, "\t", "\r\n", "😀", "�",
]  # fmt: skip
answers = st.lists(
    st.lists(st.sampled_from(BITS) | st.text(max_size=6), max_size=8).map("".join),
    min_size=1,
    max_size=4,
)
ENOUGH_SECONDS = 20  # of a slow machine; a pattern that runs away takes hours
SEEDS = [
    {"instruction": f"Name the {part} of it.", "input": "", "output": "Done."}
    for part in ("parts", "colours", "legs", "taste", "kings", "root", "title", "worth", "end")
]
DOCUMENTS = [{"text": f"The {one} rests at noon. It eats at dusk."} for one in ("bee", "wolf")]
PAIRS = [{"input": word, "output": word[::-1]} for word in "moon star tree stone river".split()]  # noqa: SIM905
SOLVED = [
    reasoning.Exemplar("Ann has 3 pens, Bo 4. How many?", "Ann has 3. 3 + 4 = 7.", "7"),
]


def says(texts):
    """Return a model that says these, one after the other, whatever it is asked."""
    count = iter(range(10**9))
    return Player(
        lambda prompt, how: texts[next(count) % len(texts)], fingerprint=digest("fuzz", texts)
    )


def programs(lm):
    """Yield every program of reasoning over the model, with what it cannot do without."""
    needs = {
        "contrastive-cot": {"exemplars": SOLVED},
        "react": {"tools": {"Search": str.upper}},
        "self-consistency": {"samples": 3},
        "tree-of-thoughts": {"thoughts": 2, "branch": 2, "beam": 1},
    }
    for name in reasoning.names():
        if name != "graph-of-thoughts":  # its operations are a user's own
            yield reasoning.get(name)(lm, max_calls=12, max_depth=6, **needs.get(name, {}))


def makers(lm):
    """Yield what makes data of what the model says."""
    few = {"requests": 1, "patience": 1}
    for method in (SelfInstruct(lm, **few), FewShot(lm, target=SEEDS, retriever="bm25", **few)):
        yield lambda method=method: method.generate(SEEDS, n=2, progress=False)
    yield lambda: TeGit(lm, **few).generate(DOCUMENTS, n=2, progress=False)
    yield lambda: induce(PAIRS, lm, samples=2, subsets=2, progress=False)
    yield lambda: optimize(PAIRS, lm, steps=1, samples=2, progress=False)


@pytest.fixture(autouse=True)
def _deep(tmp_path, monkeypatch):
    """Work far down a folder, so that what climbs out of it is found."""
    (tmp_path / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "down")


@tries(25)
@given(answers)
def test_a_judge_s_words_are_a_grade_or_none(tmp_path, texts):
    begun = time.perf_counter()
    judge = LMJudge(says(texts), store=FeatureStore(tmp_path / "home"), progress=False)
    found = judge.rate(["well?"] * len(texts), [f"answer {n}" for n in range(len(texts))])
    given = found.scores[~np.isnan(found.scores)]
    assert ((given >= 0) & (given <= 5)).all()
    assert time.perf_counter() - begun < ENOUGH_SECONDS


@tries(15)
@given(answers)
def test_reasoning_ends_and_what_it_found_can_be_kept(tmp_path, texts):
    for program in programs(says(texts)):
        begun = time.perf_counter()
        found = program.solve(["How many moons has Mars?"], progress=False)
        out = tamis.save(tamis.load(reasoning.rows(found)), tmp_path / "home" / "out.jsonl")
        assert len(tamis.load(out)) == 1
        assert time.perf_counter() - begun < ENOUGH_SECONDS, program.name


@tries(10)
@given(answers)
def test_made_data_can_be_kept_and_nothing_is_written_elsewhere(tmp_path, texts):
    for make in makers(says(texts)):
        with a_line_at_most(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that so few tasks came of it
            made = make()
            if hasattr(made, "column_names"):
                for name in ("out.jsonl", "out.parquet"):
                    tamis.save(made, tmp_path / "home" / name)
    there = files_below(tmp_path)
    assert {path for path in there if (tmp_path / "home") not in path.parents} == set()
