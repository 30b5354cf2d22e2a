import numpy as np
import pytest

pytest.importorskip("torch", reason='pip install "tamis[models]"')

from tamis.errors import DataError, SettingError
from tamis.prompting.demonstrations import LatentConcept, Template
from tamis.prompting.demonstrations.concept_tokens import ConceptTokens
from tests.prompting.demonstrations.conftest import Likes, examples

SHORT = Template(example="{prompt} {response}")


def tasks(n=16):
    sums = [(f"{i} plus {i}", "add") for i in range(n)]
    words = [(f"word{i}", "name") for i in range(n)]
    return examples(*sums, *words, task=["sum"] * n + ["word"] * n)


def concept(tiny, **how):
    settings = {"lm": tiny, "tokens": 3, "steps": 30, "batch": 8, "template": SHORT}
    return LatentConcept(**{**settings, **how})


def test_learning_makes_the_answers_likelier_and_changes_nothing_else(tiny):
    before = tiny.fingerprint
    pairs = [(f"{i} plus {i}", " add") for i in range(16)]
    tokens = ConceptTokens.of(tiny, tasks=2, tokens=3)
    start = tokens.vectors.clone()
    losses = tokens.train(pairs, np.zeros(16, int), steps=60, batch=8, learning_rate=1e-1, seed=0)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    assert tiny.fingerprint == before  # frozen to the last bit
    assert all(parameter.grad is None for parameter in tiny.module.parameters())
    assert (tokens.vectors[1] == start[1]).all()  # a task that was not seen
    assert (tokens.vectors[0] != start[0]).any()


def test_calibrated_scores_are_shares_of_the_tasks(tiny):
    fitted = concept(tiny, task="task").fit(tasks())
    (shots,) = fitted.retrieve(["9 plus 9 more"], k=4, task="sum")
    assert {example.response for example in shots.examples} == {"add"}
    told = fitted.concepts_.told([("1 plus 1", " add")])
    assert told.shape == (1, 2)
    assert (told < 0).all()
    assert ((shots.scores > 0) & (shots.scores < 1)).all()
    assert (np.diff(shots.scores) >= 0).all()  # the best stands last


def test_told_is_the_log_probability_of_the_tokens_one_by_one(tiny):
    import torch

    tokens = ConceptTokens.of(tiny, tasks=2, tokens=3)
    tokens.vectors = torch.randn(tokens.vectors.shape, generator=torch.Generator().manual_seed(0))
    (pair,) = tokens._encoded([("1 plus 1", " add")])
    ids = np.concatenate(pair)
    expected = []
    for task in range(2):
        total = 0.0
        for step in range(3):
            given = torch.cat([tokens._words(ids)[0], tokens.vectors[task, :step]])[None]
            with torch.no_grad():
                state = tiny.module.base_model(inputs_embeds=given, use_cache=False)[0][0, -1]
                head = tiny.module.get_output_embeddings()(state)
            own = tokens.vectors.reshape(6, -1) @ state
            every = torch.cat([head, own]).log_softmax(0)
            total += float(every[len(head) + 3 * task + step])
        expected.append(total)
    assert tokens.told([("1 plus 1", " add")])[0] == pytest.approx(expected, abs=1e-3)


def test_one_choice_serves_all_queries_of_a_task(tiny):
    found = concept(tiny).fit(tasks()).retrieve(["a", "b", "c"], k=4)
    assert len({tuple(one.rows.tolist()) for one in found}) == 1


def test_which_task_must_be_said_where_there_are_several(tiny):
    fitted = concept(tiny, task="task", steps=1).fit(tasks())
    with pytest.raises(SettingError, match="give one of: sum, word"):
        fitted.retrieve(["a"], k=2)
    with pytest.raises(DataError, match="no column 'kind'"):
        concept(tiny, task="kind").fit(tasks())


def test_a_model_without_embeddings_is_refused():
    with pytest.raises(SettingError, match="no embeddings to learn"):
        concept(Likes(None)).fit(tasks())
    with pytest.raises(SettingError, match="tokens=0"):
        LatentConcept(tokens=0)
