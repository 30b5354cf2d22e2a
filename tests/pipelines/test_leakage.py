import numpy as np
import pytest
from datasets import Dataset

from tamis.errors import SettingError
from tamis.pipelines.leakage import leaked

TARGET = "the quick brown fox jumps over the lazy dog and then sleeps in the warm sun all day"


def pool(*texts):
    return Dataset.from_dict({"text": list(texts)})


def test_rows_of_the_target_are_found_and_the_rest_may_be_picked():
    rows = pool(
        "something else entirely about tea and bread and the sea in winter",
        TARGET,
        TARGET.upper().replace(" ", "  "),
        TARGET + " long",  # 14 of 15 shingles
        " ".join(reversed(TARGET.split())),
    )
    found = leaked(rows, pool(TARGET), near=0.8)
    assert found.exact.tolist() == [1, 2]
    assert found.near.tolist() == [3]
    assert found.rest(len(rows)).tolist() == [0, 4]


def test_near_is_what_near_says():
    # 11 of 21 shingles are common: Jaccard 0.52.
    changed = pool(TARGET.replace("sun all day", "light of noon and then it eats"))
    assert len(leaked(changed, pool(TARGET), near=0.8).near) == 0
    assert len(leaked(changed, pool(TARGET), near=0.5).near) == 1


def test_a_prompt_and_its_response_are_one_text():
    rows = Dataset.from_dict({"prompt": ["the quick brown"], "completion": ["fox jumps"]})
    assert leaked(rows, pool("the quick brown\nfox jumps")).exact.tolist() == [0]


def test_rows_without_words_are_in_no_target():
    assert len(leaked(pool("", "...", "?!"), pool("", "!!!")).exact) == 0


def test_pairs_at_the_border_are_seldom_missed():
    draw = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(3000)])
    texts = [draw.choice(words, 60) for _ in range(300)]
    changed = [np.append(text[:-3], draw.choice(words, 3)) for text in texts]  # Jaccard 0.9
    found = leaked(pool(*map(" ".join, changed)), pool(*map(" ".join, texts)), near=0.8)
    assert len(found.near) >= 297


@pytest.mark.parametrize("near", [0, -1, 1.5])
def test_an_impossible_similarity_is_refused(near):
    with pytest.raises(SettingError, match="above 0, up to 1"):
        leaked(pool("a"), pool("b"), near=near)
