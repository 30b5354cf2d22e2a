import json
from pathlib import Path

import numpy as np
import pytest
from doubles import Letters

from tamis.errors import SettingError
from tamis.prompting.demonstrations import KNN, MDL, Example, Shots, order
from tamis.prompting.demonstrations.feedback import distributions, entropy
from tamis.prompting.demonstrations.ordering import global_entropy, local_entropy
from tests.prompting.demonstrations.conftest import Likes, examples

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "demonstrations.json").read_text())


def test_code_lengths_are_those_of_the_published_formula():
    case = GOLDEN["mdl"]
    losses = np.array(case["mean_nll_label_by_organisation"]).T
    lengths = entropy(distributions(losses))
    assert -lengths == pytest.approx(case["expected"]["score_neg_entropy"], rel=1e-6)
    assert int(lengths.argmin()) == case["expected"]["chosen"]


def test_the_sheet_s_two_predictions():
    assert entropy(np.array([[0.9, 0.1], [0.6, 0.4]])) == pytest.approx([0.3251, 0.6730], abs=1e-4)


@pytest.mark.parametrize("case", GOLDEN["ordering"], ids=range(len(GOLDEN["ordering"])))
def test_entropies_are_those_of_the_released_code(case):
    labels = ["a", "b", "c"]
    hard = np.eye(3)[[labels.index(label) for label in case["predicted"]]]
    assert global_entropy(hard) == pytest.approx(case["expected"]["globalE"], rel=1e-6)
    assert local_entropy(np.array(case["probs"])) == pytest.approx(
        case["expected"]["localE"], rel=1e-6
    )


def shots(*responses):
    return Shots(
        tuple(Example(f"text {i}", response) for i, response in enumerate(responses)),
        np.arange(len(responses)),
        np.zeros(len(responses)),
    )


def last_label(prompt, text):
    """A model that says the label of the example before the query, whatever is asked."""
    return -0.1 if prompt.rsplit("Output: ", 1)[1].startswith(text.strip()) else -3.0


def by_length(prompt, text):
    """A model that decides by the query's length, but for a prompt that ends in 'no'."""
    if prompt.rsplit("Output: ", 1)[1].startswith("no"):
        return -0.1 if text.strip() == "no" else -3.0
    long = len(prompt.rsplit("Input: ", 1)[1]) > 20
    return -0.1 if (text.strip() == "yes") == long else -3.0


PROBES = ["a", "b", "a long text to be looked at", "another long text to be looked at"]


def test_the_order_with_varied_answers_is_taken():
    found = order(shots("yes", "no"), Likes(by_length), probes=PROBES)
    assert [example.response for example in found.best.examples] == ["no", "yes"]
    assert found.entropies == pytest.approx([np.log(2), 0], abs=1e-3)
    assert found.permutations.tolist() == [[1, 0], [0, 1]]


def test_the_model_writes_the_inputs_itself():
    says = {"no": " a long text to be looked at", "yes": " b"}
    lm = Likes(by_length, says=lambda prompt: says[prompt.split("Output: ")[-1].split()[0]])
    found = order(shots("yes", "no"), lm)
    assert found.probes == ["a long text to be looked at", "b"]
    with pytest.raises(SettingError, match="wrote no inputs"):
        order(shots("yes", "no"), Likes(by_length))


def test_no_more_orders_are_tried_than_asked():
    found = order(shots(*"aabbc"), Likes(last_label), probes=PROBES, tries=10)
    assert len({tuple(one) for one in found.permutations.tolist()}) == 10
    assert (np.diff(found.entropies) <= 0).all()
    assert len(order(shots(*"abc"), Likes(last_label), probes=PROBES).permutations) == 6


def test_an_order_that_makes_no_sense_is_refused():
    with pytest.raises(SettingError, match="did you mean 'local-entropy'"):
        order(shots("yes", "no"), by="locl-entropy")
    with pytest.raises(SettingError, match="1 labels"):
        order(shots("yes", "yes"), Likes(last_label), probes=PROBES)


def sure_after(word):
    """Sure of its label after an example with `word` next to the query, else undecided."""

    def of(prompt, text):
        near = prompt.rsplit("Input: ", 2)[1] if prompt.count("Input: ") > 1 else ""
        return (-0.05 if text.strip() == "yes" else -4.0) if word in near else -1.0

    return of


def test_the_organisation_that_leaves_least_doubt_is_taken():
    pool = examples(*[(f"thing {i}", "yes" if i % 2 else "no") for i in range(8)], ("key", "yes"))
    how = {"candidates": KNN(embedder=Letters()), "windows": 60, "pool_size": 9}
    (found,) = MDL(lm=Likes(sure_after("key")), **how).fit(pool).retrieve(["thing"], k=2)
    assert found.examples[-1].prompt == "key"


def test_one_window_of_all_is_what_was_drawn_and_force_topk_is_the_nearest():
    pool = examples(*[(f"thing {i} of {'x ' * i}", "yes" if i % 2 else "no") for i in range(8)])
    near = KNN(embedder=Letters())
    lm = Likes(lambda prompt, text: -1.0)
    forced = MDL(lm=lm, candidates=near, windows=1, force_topk=True).fit(pool)
    plain = KNN(embedder=Letters()).fit(pool)
    for query in ("thing 3", "of x x"):
        assert forced.retrieve([query], k=3)[0].examples == plain.retrieve([query], k=3)[0].examples


def test_responses_that_are_no_labels_are_refused():
    pool = examples(*[(f"thing {i}", f"a text {i}") for i in range(40)])
    with pytest.raises(SettingError, match="40 different responses, which are no labels"):
        MDL(lm=Likes(last_label), candidates=KNN(embedder=Letters())).fit(pool)


def test_all_queries_are_scored_in_one_call():
    pool = examples(*[(f"thing {i}", "yes" if i % 2 else "no") for i in range(8)])
    calls = []
    lm = Likes(lambda prompt, text: -1.0)
    scored = lm.logprobs
    lm.logprobs = lambda *asked: calls.append(len(asked[0])) or scored(*asked)
    MDL(lm=lm, candidates=KNN(embedder=Letters()), windows=3).fit(pool).retrieve(
        ["thing a", "thing b"], k=2
    )
    assert len(calls) == 1
