import json

import numpy as np
import pytest
from datasets import Dataset

from tamis.errors import SettingError
from tamis.selectors import Decontaminate

QUESTION = (
    "Natalia sold clips to forty eight of her friends in April, and then she sold half as many "
    "clips in May."
)
SHORT = "How many clips did Natalia sell altogether in spring?"
POOL = Dataset.from_dict(
    {
        "text": [
            f"Please answer this: {QUESTION.upper()} Think step by step.",
            "Natalia sold clips to forty eight of her neighbours in June, and then she rested.",
            f"{SHORT} Say a number.",
            "What is the capital of France?",
        ]
    }
)


@pytest.fixture
def bench(tmp_path):
    path = tmp_path / "clips.jsonl"
    rows = [{"question": "Is it? No.", "answer": "It is."}, {"question": QUESTION, "answer": "72"},
            {"question": SHORT, "answer": ""}]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_drops_rows_that_hold_a_benchmark_s_words(bench):
    # Thirteen words in a row of QUESTION are in row 0 alone; SHORT has nine, and is whole in
    # row 2; "Is it? No." has too few to tell anything.
    picked = Decontaminate(against={"clips": bench}).select(POOL)
    assert sorted(picked.indices.tolist()) == [1, 3]
    assert picked.reasons[0].startswith("in a benchmark: ")
    assert picked.reasons[0].endswith(" words of clips, row 2")
    assert picked.reasons[2] == "in a benchmark: 10 words of clips, row 3"
    assert picked.signals["entry"].to_pylist() == [1, -1, 2, -1]


def test_case_and_space_do_not_hide_a_question(bench):
    hidden = Dataset.from_dict({"text": ["  ".join(QUESTION.lower().split()) + "\n"]})
    assert len(Decontaminate(against=str(bench)).select(hidden)) == 0


def test_the_score_is_the_share_of_words_that_are_the_row_s_own(bench):
    picked = Decontaminate(against=bench).select(POOL)
    shared, words = picked.signals["shared_words"][0].as_py(), picked.signals["words"][0].as_py()
    assert picked.scores[0] == pytest.approx(1 - shared / words)
    assert 0 < shared < words
    assert picked.scores[[1, 3]].tolist() == [1, 1]


def test_some_overlap_can_be_allowed(bench):
    picked = Decontaminate(against=bench, most=0.9).select(POOL)
    assert sorted(picked.indices.tolist()) == [0, 1, 2, 3]


def test_several_benchmarks_are_named(bench, tmp_path):
    other = tmp_path / "capitals.jsonl"
    other.write_text(json.dumps({"question": "What is the capital of France?"}))
    both = Decontaminate(against={"clips": str(bench), "capitals": str(other)}, shortest=4)
    assert both.select(POOL).reasons[3] == "in a benchmark: 7 words of capitals, row 1"


def test_the_record_tells_benchmarks_by_what_they_hold(bench):
    before = Decontaminate(against={"clips": str(bench)}).settings()
    bench.write_text(bench.read_text() + json.dumps({"question": "more", "answer": "1"}))
    after = Decontaminate(against={"clips": str(bench)}).settings()
    assert before["against"]["clips"]["digest"] != after["against"]["clips"]["digest"]


@pytest.mark.parametrize("wrong", [{"ngram": 3}, {"shortest": 0}, {"most": 1.0}, {"most": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=r"Decontaminate: .*; give"):
        Decontaminate(against="x.jsonl", **wrong)


def test_finds_exactly_what_a_plain_search_finds(tmp_path):
    draw = np.random.default_rng(0)

    def rows(count):
        return [
            " ".join(draw.choice(list("abcd"), size=draw.integers(1, 14))) for _ in range(count)
        ]

    entries, texts = rows(20), rows(300)
    runs = set()
    for words in map(str.split, entries):
        if len(words) >= 4:
            size = min(5, len(words))
            runs |= {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
    expected = []
    for words in map(str.split, texts):
        inside = {
            place
            for size in (4, 5)
            for i in range(len(words) - size + 1)
            if tuple(words[i : i + size]) in runs
            for place in range(i, i + size)
        }
        expected.append(len(inside))
    picked = Decontaminate(
        against=Dataset.from_dict({"text": entries}), ngram=5, shortest=4
    ).select(Dataset.from_dict({"text": texts}), 1)
    assert picked.signals["shared_words"].to_pylist() == expected
    assert 0 < np.count_nonzero(expected) < 300
