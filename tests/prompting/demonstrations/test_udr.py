import re

import numpy as np
import pytest
from doubles import Letters, Numbers

from tamis.errors import DataError, SettingError
from tamis.prompting.demonstrations import EPR, KNN, UDR
from tamis.prompting.demonstrations.maps import Feedback, Fitting, Maps, _losses, fit_maps
from tests.prompting.demonstrations.conftest import Likes, examples

COLOURS = ["red", "blue", "green", "grey"]


def coloured(seed, n=240):
    """Prompts of one colour among words said three times over; the colour decides what helps."""
    rng = np.random.default_rng(seed)
    words = [f"noise{i}" for i in range(40)]
    rows = []
    for i in range(n):
        colour = COLOURS[i % 4]
        noise = " ".join(np.repeat(rng.choice(words, size=5, replace=False), 3))
        rows.append((f"{colour} {noise} n{seed}x{i}", f"answer {colour}"))
    return examples(*rows)


def helps(prompt, text):
    """An example of the same colour makes the answer likely; noise says nothing."""
    return -0.1 if text.split()[-1] in re.findall(r"Output: answer (\w+)", prompt) else -4.0


def precision(retriever, queries):
    found = retriever.retrieve([row["prompt"] for row in queries], k=3)
    return np.mean(
        [
            example.response == row["response"]
            for row, shots in zip(queries, found, strict=True)
            for example in shots.examples
        ]
    )


@pytest.mark.parametrize("method", [UDR, EPR])
def test_it_learns_which_examples_help(method):
    pool, asked = coloured(0), coloured(1, 60)
    before = precision(KNN(embedder=Letters()).fit(pool), asked)
    learnt = method(embedder=Letters(), lm=Likes(helps), training=160, mined=40, rounds=1)
    assert before < 0.4
    assert precision(learnt.fit(pool), asked) > before + 0.2


def test_nothing_is_learnt_where_it_would_do_harm():
    # Nothing to tell candidates by: the maps at the start are the best there are.
    empty = Feedback(
        np.zeros((20, 4)), np.zeros((20, 20, 8)), np.zeros((20, 20)), np.zeros(20, int)
    )
    maps = fit_maps(empty, Fitting(), "")
    assert (maps.query == np.eye(4)).all()
    assert (maps.shown == np.eye(8, 4)).all()


def test_what_was_learnt_is_saved_without_pickle_and_found_again(tmp_path):
    pool, asked = coloured(0), coloured(1, 20)
    how = {"embedder": Letters(), "training": 40, "mined": 20, "rounds": 1}
    learnt = UDR(lm=Likes(helps), **how).fit(pool)
    learnt.save(tmp_path / "udr.npz")
    nobody = Likes(None)
    again = UDR(lm=nobody, embedder=Letters(), maps=tmp_path / "udr.npz").fit(pool)
    assert nobody.asked == 0
    first, second = (one.retrieve(asked["prompt"], k=3) for one in (learnt, again))
    assert [one.rows.tolist() for one in first] == [one.rows.tolist() for one in second]
    with np.load(tmp_path / "udr.npz", allow_pickle=False) as held:
        assert sorted(held) == ["about", "query", "shown"]


def test_maps_of_another_embedder_or_none_at_all_are_refused(tmp_path):
    Maps(np.eye(3, dtype=np.float32), np.eye(6, 3, dtype=np.float32), "other").save(tmp_path / "m")
    with pytest.raises(SettingError, match="learnt with another embedder"):
        UDR(embedder=Numbers(), maps=tmp_path / "m").fit(examples(("1 2", "3"), ("2 2", "4")))
    (tmp_path / "junk").write_bytes(b"\x80\x04junk")
    with pytest.raises(DataError, match="no maps of a retriever"):
        UDR(embedder=Numbers(), maps=tmp_path / "junk").fit(examples(("1 2", "3"), ("2 2", "4")))
    with pytest.raises(SettingError, match="nothing learnt yet"):
        UDR().save(tmp_path / "x")


def test_a_pool_too_small_to_learn_from_is_said():
    with pytest.raises(DataError, match="has 8 candidates to learn from"):
        UDR(embedder=Letters(), lm=Likes(helps)).fit(coloured(0, 6))


def test_every_label_is_scored_where_labels_are_given():
    labels = [f"answer {colour}" for colour in COLOURS]
    pool = coloured(0, 160)
    seen = []

    def of(prompt, text):
        seen.append(text)
        return helps(prompt, text)

    UDR(embedder=Letters(), lm=Likes(of), training=10, mined=10, rounds=1, labels=labels).fit(pool)
    assert {text.strip() for text in seen} == set(labels)
    with pytest.raises(SettingError, match="is none of labels"):
        UDR(
            embedder=Letters(), lm=Likes(of), training=10, mined=10, rounds=1, labels=["answer red"]
        ).fit(pool)


def test_small_tasks_are_drawn_more_often_than_their_share():
    pool = examples(
        *[(f"big {i} thing", "a") for i in range(900)],
        *[(f"small {i} thing", "b") for i in range(100)],
        task=["big"] * 900 + ["small"] * 100,
    )
    udr = UDR(embedder=Letters(), task="task", training=200)
    udr.stock_ = None
    from tamis.prompting.demonstrations.base import Stock

    stock = Stock.of(pool)
    udr.places_ = np.arange(len(stock))
    tasks = udr._tasks(stock)
    drawn = tasks[udr._drawn(stock.ids, tasks)]
    small = np.mean(drawn == tasks[[e.prompt.startswith("small") for e in stock.examples]][0])
    assert small == pytest.approx(np.sqrt(0.1) / (np.sqrt(0.1) + np.sqrt(0.9)), abs=0.08)


@pytest.mark.parametrize("reference", [False, True])
def test_the_gradient_by_the_maps_is_that_of_small_steps(reference):
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(4, 8, 6)) / 5
    gains = -np.sort(rng.integers(6, size=(4, 8)).astype(float), axis=1)
    feedback = Feedback(rng.normal(size=(4, 3)) / 5, shown, gains, np.zeros(4, int))
    how = Fitting(reference=reference)

    def losses(maps):
        return _losses(maps, feedback, np.arange(4), np.tile(np.arange(8), (4, 1)), how)

    maps = (np.eye(3), np.eye(6, 3))
    for which in (0, 1):
        for place in np.ndindex(maps[which].shape):
            ends = []
            for width in (1e-6, -1e-6):
                moved = [one.copy() for one in maps]
                moved[which][place] += width
                ends.append(losses(tuple(moved))[0])
            slope = (ends[0] - ends[1]) / 2e-6
            assert losses(maps)[1][which][place] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match="rank_weight=2"):
        UDR(rank_weight=2)
    with pytest.raises(SettingError, match="mined=1"):
        UDR(mined=1)
    with pytest.raises(DataError, match="no column 'kind'"):
        UDR(embedder=Letters(), lm=Likes(helps), task="kind").fit(coloured(0))
