"""What is true of every retriever."""

import numpy as np
import pytest
from doubles import Letters

from tamis.errors import BudgetError, DataError, SettingError
from tamis.prompting import demonstrations
from tamis.prompting.demonstrations import BM25, EPR, KNN, MDL, UDR, Random, Template, VoteK
from tests.prompting.demonstrations.conftest import Likes, examples


def likes():
    return Likes(lambda prompt, text: -abs(len(str(prompt)) % 7 - len(text)) - 0.1)


def retrievers():
    letters = {"embedder": Letters()}
    learning = {"lm": likes(), "training": 8, "mined": 8, "rounds": 1}
    return [
        Random(),
        BM25(),
        KNN(**letters),
        KNN(**letters, diversity=0.1),
        VoteK(**letters, annotations=12, neighbours=4),
        UDR(**letters, **learning),
        EPR(**letters, lm=likes(), training=8, mined=6),
        MDL(lm=likes(), candidates=KNN(**letters), labels=["1", "beast"], pool_size=9, windows=4),
    ]


ALL = [retriever.name for retriever in retrievers()]
pytestmark = pytest.mark.parametrize("place", range(len(ALL)), ids=ALL)
QUERIES = ["sum 3 plus 9", "animal 40 of the wood"]


def test_every_retriever_is_here_or_needs_a_network(place):
    assert {*ALL, "latent-concept"} == set(demonstrations.names())
    assert demonstrations.get(ALL[place]).name == ALL[place]


def test_no_more_than_asked_and_each_once(place, pool):
    fitted = retrievers()[place].fit(pool)
    for k in (1, 3, 50):
        for shots in fitted.retrieve(QUERIES, k=k):
            assert len(shots) == len(shots.scores) == len(set(shots.rows.tolist())) <= k
            assert [pool[int(row)]["response"] for row in shots.rows] == [
                example.response for example in shots.examples
            ]


def test_row_order_and_other_queries_change_nothing(place, pool):
    first = retrievers()[place].fit(pool).retrieve(QUERIES, k=4)
    shuffled = retrievers()[place].fit(pool.shuffle(seed=1))
    for query, shots in zip(QUERIES, first, strict=True):
        (alone,) = shuffled.retrieve([query], k=4)
        assert [*alone.examples] == [*shots.examples]


def test_an_example_with_the_query_s_own_prompt_is_not_shown(place, pool):
    asked = pool[3]["prompt"]
    (shots,) = retrievers()[place].fit(pool).retrieve([asked], k=12)
    assert len(shots)
    assert asked not in [example.prompt for example in shots.examples]


def test_copies_of_an_example_are_shown_once(place, pool):
    doubled = examples(*[(row["prompt"], row["response"]) for row in [*pool, *pool]])
    for shots in retrievers()[place].fit(doubled).retrieve(QUERIES, k=12):
        assert len(set(shots.examples)) == len(shots)


@pytest.mark.parametrize("chat", [False, True])
def test_a_budget_of_tokens_is_never_passed(place, pool, chat, tiny_tokenizer):
    template = Template(chat=chat)
    retriever = retrievers()[place]
    retriever.template = template
    retriever.fit(pool)
    sizes = set()
    for budget in (30, 60, 120):
        found = retriever.retrieve(QUERIES, k=8, max_tokens=budget, tokenizer=tiny_tokenizer)
        for query, shots in zip(QUERIES, found, strict=True):
            prompt = shots.prompt(query, template)
            if chat:
                ids = tiny_tokenizer.apply_chat_template(prompt, add_generation_prompt=True)
                count = len(ids["input_ids"])
            else:
                count = len(tiny_tokenizer(prompt)["input_ids"])
            assert count <= budget or not len(shots)
            sizes.add(len(shots))
    assert len(sizes) > 1  # more fits a larger budget


def test_the_best_stands_last_or_first_as_asked(place, pool):
    last, first = retrievers()[place], retrievers()[place]
    first.best = "first"
    if isinstance(last, MDL):
        pytest.skip("an order of its own")
    told = last.fit(pool).retrieve(QUERIES, k=4), first.fit(pool).retrieve(QUERIES, k=4)
    for one, other in zip(*told, strict=True):
        assert one.examples == other.examples[::-1]
        assert one.scores.tolist() == other.scores[::-1].tolist()


def test_what_cannot_be_done_is_said_in_one_line(place, pool):
    retriever = retrievers()[place]
    with pytest.raises(SettingError, match="not fitted"):
        retriever.retrieve(QUERIES)
    with pytest.raises(DataError, match="none of 1 rows has a prompt and a response"):
        retriever.fit(examples(("a question", "")))
    retriever.fit(pool)
    with pytest.raises(BudgetError, match="k=0"):
        retriever.retrieve(QUERIES, k=0)
    with pytest.raises(SettingError, match=r"give a list: \[query\]"):
        retriever.retrieve("sum 3 plus 9")
    with pytest.raises(SettingError, match="counts no tokens"):
        retriever.retrieve(QUERIES, max_tokens=9, tokenizer=3)


def test_a_pool_of_questions_is_asked_by_its_prompts(place, pool):
    fitted = retrievers()[place].fit(pool)
    by_text = fitted.retrieve(QUERIES, k=2)
    by_pool = fitted.retrieve([{"question": query} for query in QUERIES], k=2)
    assert [one.examples for one in by_text] == [one.examples for one in by_pool]


def test_no_queries_are_no_demonstrations(place, pool):
    assert retrievers()[place].fit(pool).retrieve([], k=2) == []


def test_a_query_without_words_is_no_error(place, pool):
    (shots,) = retrievers()[place].fit(pool).retrieve([""], k=2)
    assert np.isfinite(shots.scores).all()
