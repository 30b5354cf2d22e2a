import re

import numpy as np
import pytest
from doubles import Letters, Numbers

from tamis.errors import DataError, SettingError
from tamis.prompting.demonstrations import EPR, KNN, UDR
from tamis.prompting.demonstrations.base import Stock
from tamis.prompting.demonstrations.maps import Feedback, Fitting, Maps, _losses, _Weights
from tamis.prompting.demonstrations.udr import _Lesson, _surest
from tests.prompting.demonstrations.conftest import Likes, examples

COLOURS = ["red", "blue", "green", "grey"]


def coloured(seed, n=240):
    """Prompts of one colour among words said three times over; the colour decides what helps."""
    rng = np.random.default_rng(seed)
    words = [f"noise{i}" for i in range(40)]
    rows = []
    for i in range(n):
        colour = rng.choice(COLOURS)
        noise = " ".join(np.repeat(rng.choice(words, size=5, replace=False), 3))
        rows.append((f"{colour} {noise} n{seed}x{i}", f"answer {colour}"))
    return examples(*rows)


def helps(prompt, text):
    """Every example of the same colour makes the answer likelier; noise says nothing."""
    shown = re.findall(r"Output: answer (\w+)", prompt)
    return -4.0 + 3.9 * np.mean([colour == text.split()[-1] for colour in shown])


def alike(prompt, text):
    """An example makes the answer the likelier, the nearer its prompt is by the embedder."""
    *shown, asked = Letters().embed(re.findall(r"Input: (.+)", prompt))
    return -4.0 + float(np.mean(shown @ asked))


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


def test_maps_are_not_followed_where_the_embedder_knows_best():
    # What helps is the cosine itself: whatever is learnt, nothing is better than the nearest.
    pool, asked = coloured(0), coloured(1, 60)
    how = {"lm": Likes(alike), "training": 60, "mined": 20, "rounds": 1}
    learnt = UDR(embedder=Letters(), **how).fit(pool)
    assert learnt.trust_ == 0
    near = KNN(embedder=Letters()).fit(pool)
    first, second = (one.retrieve(asked["prompt"], k=3) for one in (learnt, near))
    for one, other in zip(first, second, strict=True):  # which of equal ones is left open
        assert one.scores == pytest.approx(other.scores, abs=1e-6)


def test_maps_are_followed_where_they_serve_tasks_that_were_left_out():
    pool, asked = coloured(0), coloured(1, 60)
    pool = pool.add_column("task", [f"task {i % 6}" for i in range(len(pool))])
    how = {"lm": Likes(helps), "training": 160, "mined": 40, "rounds": 1, "task": "task"}
    learnt = UDR(embedder=Letters(), unseen="tasks", **how).fit(pool)
    assert learnt.trust_ >= 0.5
    assert precision(learnt, asked) > precision(KNN(embedder=Letters()).fit(pool), asked) + 0.2


def test_a_task_is_left_out_whole_and_queries_one_by_one():
    tasks = np.arange(40) % 8
    lesson = _Lesson(None, None, None, tasks, None)
    part = lesson.parts(3, by_task=True)
    assert all(len(set(part[tasks == task])) == 1 for task in range(8))
    assert sorted(set(part)) == [0, 1, 2, 3, 4]
    assert np.bincount(lesson.parts(3, by_task=False)).tolist() == [8] * 5


def test_what_serves_one_pool_need_not_serve_others():
    # Each task has a colour that is right throughout it, told by its answers alone: an example
    # of the task helps, and which those are can be learnt of a task, but of no other.
    rng = np.random.default_rng(0)
    words = [f"noise{i}" for i in range(40)]
    tasks = [COLOURS[i % 4] for i in range(240)]
    prompts = [
        " ".join([*rng.choice(words, 5, replace=False), f"{task[0]}{task}"]) for task in tasks
    ]
    pool = examples(
        *[(prompt, f"answer {task}") for prompt, task in zip(prompts, tasks, strict=True)],
        task=tasks,
    )
    how = {"lm": Likes(helps), "training": 160, "mined": 40, "rounds": 1, "task": "task"}
    assert UDR(embedder=Letters(), **how).fit(pool).trust_ > 0
    assert UDR(embedder=Letters(), unseen="tasks", **how).fit(pool).trust_ == 0


def test_a_gain_within_its_error_is_none():
    one = np.ones(4), np.arange(4)
    sure, unsure = [0.1, 0.1, 0.1, 0.1], [1, -1, 1, -0.6]
    assert _surest(np.array([[0.0] * 4, unsure, sure]), *one) == 2
    assert _surest(np.array([[0.0] * 4, unsure]), *one) == 0
    assert _surest(np.array([[0.0, np.nan, 0, 0], [0.1, 5, 0.1, 0.1]]), *one) == 1
    assert _surest(np.full((5, 4), np.nan), *one) == 0


def test_a_task_that_gains_is_one_draw_however_often_it_was_asked():
    # Were its ten queries draws of their own, the mean would be 0.75 with an error of 0.10. But
    # of three tasks one gains 0.9: 0.30 with an error of 0.24, and no sign of the next.
    gains = np.array([[0.0] * 12, [0.9] * 10 + [0.0] * 2])
    alike = np.array([0] * 10 + [1, 2])
    assert _surest(gains, np.ones(12), np.arange(12)) == 1
    assert _surest(gains, np.array([0.1] * 10 + [1.0, 1.0]), alike) == 0


@pytest.mark.parametrize("trust", [0.0, 0.5, 1.0])
def test_maps_are_followed_as_far_as_is_said(trust):
    # Halfway between where they start, which is the embedder's own cosine, and what was learnt.
    pool = coloured(0)
    how = {"embedder": Letters(), "training": 40, "mined": 20, "rounds": 1}
    wholly, some = (UDR(lm=Likes(helps), trust=one, **how).fit(pool).maps_ for one in (1.0, trust))
    start = np.eye(256), np.eye(512, 256)
    assert some.query == pytest.approx(start[0] + trust * (wholly.query - start[0]), abs=1e-6)
    assert some.shown == pytest.approx(start[1] + trust * (wholly.shown - start[1]), abs=1e-6)


def test_who_finds_the_first_candidates_can_be_said():
    # Words of prompts part the rows one way, responses another; the embedder sees lengths alone.
    rows = [
        (["south", "north"][i % 2] + f" n{i}", ["ash", "ash", "elm", "elm"][i % 4])
        for i in range(60)
    ]
    stock = Stock.of(examples(*rows))

    def first(method, **how):
        found = method(embedder=Numbers(), training=10, mined=8, **how)
        found.places_ = np.arange(len(stock))
        asked = Numbers().embed([example.prompt for example in stock.examples]).astype(float)
        lesson = found._lesson(stock, asked, np.hstack([asked, asked]))
        assert all(len(places) == 8 for places in found._first(lesson))
        return [
            (stock.examples[row], stock.examples[i])
            for row, places in zip(lesson.rows, found._first(lesson), strict=True)
            for i in places
        ]

    assert all(a.prompt[:5] == b.prompt[:5] for a, b in first(UDR, first="prompts"))
    assert all(a.response == b.response for a, b in first(EPR))
    near = [(a.prompt[:5] == b.prompt[:5], a.response == b.response) for a, b in first(UDR)]
    assert 0.2 < np.mean(near) < 0.8


def test_what_was_learnt_is_saved_without_pickle_and_found_again(tmp_path):
    # The maps are saved as far as they are followed.
    pool, asked = coloured(0), coloured(1, 20)
    how = {"embedder": Letters(), "training": 40, "mined": 20, "rounds": 1}
    learnt = UDR(lm=Likes(helps), trust=0.5, **how).fit(pool)
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
    stock = Stock.of(pool)
    udr.places_ = np.arange(len(stock))
    tasks = udr._tasks(stock)
    drawn = tasks[udr._drawn(stock.ids, tasks)]
    small = np.mean(drawn == tasks[[e.prompt.startswith("small") for e in stock.examples]][0])
    assert small == pytest.approx(np.sqrt(0.1) / (np.sqrt(0.1) + np.sqrt(0.9)), abs=0.08)


@pytest.mark.parametrize("reference", [False, True])
def test_the_gradients_are_those_of_small_steps(reference):
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(4, 8, 6)) / 5
    gains = -np.sort(rng.integers(6, size=(4, 8)).astype(float), axis=1)
    feedback = Feedback(rng.normal(size=(4, 3)) / 5, shown, gains, np.zeros(4, int))
    weights = _Weights(3, 2, rng)
    weights.thin = [rng.normal(size=part.shape) / 3 for part in weights.thin]
    how = Fitting(reference=reference)

    def losses():
        return _losses(weights, feedback, np.arange(4), np.tile(np.arange(8), (4, 1)), how)

    for part, gradient in zip(weights.thin, losses()[1], strict=True):
        for place in np.ndindex(part.shape):
            at, ends = part[place], []
            for width in (1e-6, -1e-6):
                part[place] = at + width
                ends.append(losses()[0])
            part[place] = at
            slope = (ends[0] - ends[1]) / 2e-6
            assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_vectors_are_mapped_as_the_maps_say():
    rng = np.random.default_rng(0)
    weights = _Weights(3, 2, rng)
    weights.thin = [rng.normal(size=part.shape) for part in weights.thin]
    asked, shown = rng.normal(size=(5, 3)), rng.normal(size=(7, 6))
    for mapped, vectors, map_ in zip(
        weights.mapped(asked, shown), (asked, shown), weights.maps(), strict=True
    ):
        assert mapped == pytest.approx(vectors @ map_)


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match="rank_weight=2"):
        UDR(rank_weight=2)
    with pytest.raises(SettingError, match=r"trust=1\.5; give 0 to 1, or None"):
        UDR(trust=1.5)
    with pytest.raises(SettingError, match="unseen='tasks', but no task"):
        UDR(unseen="tasks")
    with pytest.raises(SettingError, match="mined=1"):
        UDR(mined=1)
    with pytest.raises(DataError, match="no column 'kind'"):
        UDR(embedder=Letters(), lm=Likes(helps), task="kind").fit(coloured(0))
