import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from doubles import Letters, Numbers

from tamis.data.ids import example_ids, id_texts
from tamis.errors import DataError, SettingError
from tamis.models.judges import Ratings
from tamis.selectors.deita import DEITA, PromptLength

GOLDEN = Path(__file__).parents[1] / "golden" / "deita_filter.json"
CASES = json.loads(GOLDEN.read_text())["cases"]


class Told:
    """A judge that reads its grade out of the prompt or the response: 'c=4.5', 'q=3'."""

    def __init__(self, mark):
        self.mark, self.fingerprint = mark, f"told {mark}"

    def rate(self, prompts, responses):
        said = [self._said(f"{p} {r}") for p, r in zip(prompts, responses, strict=True)]
        return Ratings(np.array([grade for grade, _ in said]), [words for _, words in said])

    def _said(self, text):
        grade = next((w[2:] for w in text.split() if w.startswith(f"{self.mark}=")), "nan")
        return float(grade), "banana" if grade == "nan" else ""


class Placed:
    """An embedder that looks the vector of a text up by its first word."""

    fingerprint = "placed"

    def __init__(self, vectors):
        self.vectors = vectors

    def embed(self, texts):
        return np.array([self.vectors[text.split("row-")[1].split()[0]] for text in texts], "f4")


def deita(**settings):
    return DEITA(complexity=Told("c"), quality=Told("q"), **{"embedder": Letters(), **settings})


def told(*grades):
    """A pool with these pairs of complexity and quality, of rows that are quite different."""
    return Dataset.from_dict(
        {
            "prompt": [f"{chr(97 + i) * 3} c={c}" for i, (c, _) in enumerate(grades)],
            "response": [f"{chr(97 + i) * 5} q={q}" for i, (_, q) in enumerate(grades)],
        }
    )


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_scores_and_keeps_as_the_authors_code_does(case):
    rows = [
        [
            {"role": role, "content": content}
            for c, q in zip(hard, good, strict=True)
            for role, content in (("user", f"row-{i} c={c}"), ("assistant", f"q={q}"))
        ]
        for i, (hard, good) in enumerate(zip(case["complexity"], case["quality"], strict=True))
    ]
    vectors = {str(i): vector for i, vector in enumerate(case["embedding"])}
    picked = deita(embedder=Placed(vectors), most=case["threshold"]).select(
        Dataset.from_dict({"messages": rows}),
        case["data_size"] if case["data_size"] > 0 else None,
    )
    assert picked.scores == pytest.approx(case["expected"]["final_score"], rel=1e-9)
    assert picked.indices.tolist() == case["expected"]["picks_batch1"]
    assert picked.signals["turns"].to_pylist() == [len(turns) for turns in case["quality"]]


def test_a_score_is_complexity_times_quality():
    picked = deita().select(told((2, 3), (5, 1), (4, 4)), 3)
    assert picked.scores.tolist() == [6, 5, 16]
    assert picked.indices.tolist() == [2, 0, 1]
    assert picked.signals["complexity"].to_pylist() == [2, 5, 4]
    assert picked.signals["quality"].to_pylist() == [3, 1, 4]


def test_turns_add_up():
    talk = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "one c=2"},
        {"from": "gpt", "value": "two q=3"},
        {"from": "human", "value": "three c=4"},
        {"from": "gpt", "value": "four q=5"},
        {"from": "human", "value": "unanswered c=6"},
    ]
    picked = deita().select(Dataset.from_dict({"conversations": [talk]}), 1)
    assert picked.scores.tolist() == [2 * 3 + 4 * 5]
    assert picked.signals["turns"].to_pylist() == [2]
    assert picked.signals["complexity"].to_pylist() == [3]


def test_an_example_that_is_like_a_better_one_is_dropped_and_says_which():
    pool = Dataset.from_dict(
        {"prompt": ["1 0 c=2", "1 0 c=3", "0 1 c=1"], "response": ["q=2", "q=2", "q=2"]}
    )

    class FirstTwo(Numbers):
        def _vector(self, text):
            return [float(word) for word in text.split()[:2]]

    picked = deita(embedder=FirstTwo()).select(pool)
    best = id_texts(example_ids(pool))[1].as_py()
    assert picked.indices.tolist() == [1, 2]
    assert picked.reasons[0] == f"like {best}, which is kept (cosine 1.00)"
    assert picked.signals["like"].to_pylist() == [best, None, None]
    assert picked.signals["similarity"].to_pylist() == [1, None, 0]


def test_constant_embeddings_leave_one():
    class Constant(Letters):
        def embed(self, texts):
            return np.ones((len(texts), 4), np.float32)

    picked = deita(embedder=Constant()).select(told((2, 3), (5, 1), (4, 4)), 3)
    assert picked.indices.tolist() == [2]
    assert all(reason.startswith("like ") for reason in picked.reasons[:2])


def test_nonsense_from_a_scorer_is_no_score():
    # The released code calls each of these 3.0.
    picked = deita().select(told((2, 3), ("nan", 1), (4, "nan"), (1, 1)), 4)
    assert picked.indices.tolist() == [0, 3]
    assert np.isnan(picked.scores).tolist() == [False, True, True, False]
    assert picked.reasons[1] == "no complexity: 'banana'"
    assert picked.reasons[2] == "no quality: 'banana'"


def test_rows_that_have_nothing_to_grade_say_so():
    pool = Dataset.from_dict({"prompt": ["a c=1", "", "b c=2"], "response": ["", "x q=3", "y q=1"]})
    picked = deita().select(pool)
    assert picked.indices.tolist() == [2]
    assert set(picked.reasons[:2]) == {"no prompt with a response"}
    assert np.isnan(picked.scores[:2]).all()


def test_an_example_without_an_embedding_has_no_score():
    class Blind(Numbers):
        def _vector(self, text):
            return [0.0, 0.0] if "aaa" in text else [1.0, float(len(text))]

    picked = deita(embedder=Blind()).select(told((5, 5), (2, 3)))
    assert picked.indices.tolist() == [1]
    assert picked.reasons[0] == "no embedding"
    assert np.isnan(picked.scores[0])


def test_a_pool_without_any_grade_keeps_nothing():
    picked = deita().select(told(("nan", 1), ("nan", 2)))
    assert len(picked) == 0
    assert set(picked.reasons) == {"no complexity: 'banana'"}


def test_plain_text_has_nothing_to_rate():
    with pytest.raises(DataError, match="is plain text, without prompt and response"):
        deita().select(Dataset.from_dict({"text": ["one", "two"]}), 1)


def test_by_default_it_needs_no_model_that_is_not_bundled():
    pool = Dataset.from_dict(
        {
            "prompt": ["Name a fruit.", "Describe how bread is made, from the field to the oven."],
            "response": ["Pear", "Wheat is sown, reaped and milled. The flour is then kneaded."],
        }
    )
    picked = DEITA().select(pool)
    assert picked.indices.tolist() == [1, 0]
    assert picked.signals["complexity"].to_pylist() == pytest.approx(np.log([4, 12]))


def test_length_counts_words_of_the_prompt():
    found = PromptLength().rate(["one two", " "], ["x", "y"])
    assert found.scores == pytest.approx([np.log(3), np.nan], nan_ok=True)
    assert found.words == ["", "the prompt is empty"]


def test_a_language_model_is_asked_the_published_questions(tiny_lm_asked):
    scorer, asked = tiny_lm_asked
    pool = told((1, 1))
    DEITA(complexity=scorer, quality=scorer, embedder=Letters()).select(pool)
    prompt, response = pool[0]["prompt"], pool[0]["response"]
    assert set(asked) == {
        "You are a helpful assistant. Please identify the complexity score of the following user "
        f"query. \n##Query: {prompt}  \n##Complexity: ",
        "You are a helpful assistant. Please identify the quality score of the Response "
        f"corresponding to the Question. \n #Question#:\n{prompt}\n#Response#:\n{response} "
        "\n##Quality: ",
    }


@pytest.fixture
def tiny_lm_asked(monkeypatch):
    """The name of a language model, and the list of what it was asked."""
    from tamis.models.base import TokenLogprobs
    from tamis.selectors import deita

    asked = []

    class Even:
        fingerprint = "even"

        def logprobs(self, prompts, continuations=None):
            asked.extend(prompts)
            loss = np.array([-1.0], np.float32)
            return [
                TokenLogprobs(c, np.array([[0, 1]]), np.array([0]), loss) for c in continuations
            ]

    monkeypatch.setattr(deita, "lm_of", lambda name: Even())
    return "transformers:scorer", asked


@pytest.mark.parametrize("most", [1.01, -2])
def test_a_threshold_that_is_no_cosine_is_refused(most):
    with pytest.raises(SettingError, match="is no cosine; give one from -1 to 1"):
        DEITA(most=most)
