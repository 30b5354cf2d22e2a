import pytest
from doubles import Letters, Numbers

from tamis.errors import SettingError
from tamis.prompting.demonstrations import BM25, KNN
from tests.prompting.demonstrations.conftest import examples


def test_the_nearest_are_shown_nearest_last():
    pool = examples(("0", "a"), ("4", "b"), ("6", "c"), ("9", "d"))
    (shots,) = KNN(embedder=Numbers()).fit(pool).retrieve(["5.5"], k=3)
    assert [example.response for example in shots.examples] == ["d", "b", "c"]  # 3.5, 1.5, 0.5


def test_rows_without_an_answer_are_never_shown():
    pool = examples(("4", ""), ("5", ""), ("9", "d"))
    (shots,) = KNN(embedder=Numbers()).fit(pool).retrieve(["5.5"], k=3)
    assert shots.rows.tolist() == [2]


def test_diversity_passes_over_what_repeats_the_nearest():
    pool = examples(
        ("red fox runs", "a"), ("red fox runs !", "b"), ("red deer", "c"), ("blue sea", "d"),
    )  # fmt: skip
    near = KNN(embedder=Letters()).fit(pool).retrieve(["red fox runs far"], k=2)[0]
    wide = KNN(embedder=Letters(), diversity=0.3).fit(pool).retrieve(["red fox runs far"], k=2)[0]
    assert {example.response for example in near.examples} == {"a", "b"}
    assert {example.response for example in wide.examples} == {"a", "c"}


def test_almost_no_diversity_is_none():
    pool = examples(*[(f"word{i} word{i // 2} fox", str(i)) for i in range(20)])
    asked = ["word3 word4 fox"]
    near = KNN(embedder=Letters()).fit(pool).retrieve(asked, k=6)[0]
    wide = KNN(embedder=Letters(), diversity=1e-3).fit(pool).retrieve(asked, k=6)[0]
    assert sorted(near.scores.round(5)) == sorted(wide.scores.round(5))
    with pytest.raises(SettingError, match="diversity=-1"):
        KNN(diversity=-1)


def test_a_long_example_is_passed_over_for_shorter_ones(tiny_tokenizer):
    pool = examples(("4 " * 200, "long"), ("4 5", "b"), ("6", "c"))
    found = BM25().fit(pool).retrieve(["4"], k=2, max_tokens=60, tokenizer=tiny_tokenizer)
    assert [example.response for example in found[0].examples] == ["b"]


def test_text_and_response_are_compared_where_asked():
    pool = examples(("one", "cat"), ("two", "dog"))
    for part, responses in {"prompt": [], "response": ["dog"], "text": ["dog"]}.items():
        (shots,) = BM25(part=part).fit(pool).retrieve(["a dog"], k=2)
        assert [example.response for example in shots.examples] == responses
