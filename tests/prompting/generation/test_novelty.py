import json
from pathlib import Path

import pytest

from tamis.prompting.generation.novelty import RougeL, rouge_l

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "rougeL_selfinstruct.json").read_text(encoding="utf-8")
)


def test_f_is_that_of_rouge_score():
    for text, row in zip(GOLDEN["texts"], GOLDEN["expected_matrix"], strict=True):
        found = [rouge_l(text, other) for other in GOLDEN["texts"]]
        assert found == pytest.approx(row, abs=1e-9)


def test_the_released_filter_keeps_the_same_tasks():
    kept, accepted = RougeL(GOLDEN["filter"]["pool"]), []
    for candidate in GOLDEN["filter"]["expected"]:
        near = kept.nearest(candidate["text"])
        assert near.f == pytest.approx(candidate["max_f"], abs=1e-12)
        if near.f <= 0.7:
            kept.add(candidate["text"])
            accepted.append(candidate["text"])
    assert accepted == GOLDEN["filter"]["accepted"]


def test_the_quick_check_decides_as_the_whole_one():
    kept = RougeL(GOLDEN["texts"])
    for candidate in GOLDEN["filter"]["stream"]:
        whole, quick = kept.nearest(candidate), kept.nearest(candidate, at_least=0.7)
        assert quick == whole if whole.ratio >= 0.7 else quick.position == -1


def test_paper_and_code_part_at_seven_tenths_exactly():
    # The golden file's pair: 7 of 10 words. "Below 0.7" drops it, "not above 0.7" keeps it.
    near = RougeL(["a b c d e f g x y z"]).nearest("a b c d e f g u v w")
    assert near.ratio == 0.7
    assert near.f <= 0.7


def test_a_pool_grows_past_its_first_room():
    kept = RougeL(f"task number {i} of many" for i in range(3000))
    assert len(kept) == 3000
    assert kept.nearest("task number 2999 of many").position == 2999
    assert kept.nearest("task number 0 of many", at_least=1.0).position == 0


@pytest.mark.parametrize("text", ["", "!!!", "翻译这句话"])
def test_a_text_without_its_words_is_near_to_nothing(text):
    assert RougeL([text, "translate this"]).nearest(text).position == -1
