import numpy as np
import pytest
from doubles import Letters, Numbers

from tamis.errors import DataError, SettingError
from tamis.prompting.demonstrations import VoteK
from tests.prompting.demonstrations.conftest import Likes, examples


def line(n, response="x"):
    return examples(*[(f"{i} 1", response) for i in range(1, n + 1)])


def test_only_the_chosen_are_ever_shown(pool):
    fitted = VoteK(embedder=Letters(), annotations=5, neighbours=4).fit(pool)
    assert len(fitted.chosen_) == 5
    shown = {row for shots in fitted.retrieve(pool["prompt"], k=8) for row in shots.rows.tolist()}
    assert shown <= set(fitted.chosen_.tolist())
    assert {pool[int(row)]["task"] for row in fitted.chosen_} == {"sum", "animal"}


def test_rows_need_no_answers_to_be_chosen(pool):
    bare = pool.remove_columns("response")
    chosen = VoteK(embedder=Letters(), annotations=5, neighbours=4).choose(bare)
    assert len(set(chosen.tolist())) == 5
    shuffled = bare.shuffle(seed=3)
    again = VoteK(embedder=Letters(), annotations=5, neighbours=4).choose(shuffled)
    assert [shuffled[int(i)]["prompt"] for i in again] == [bare[int(i)]["prompt"] for i in chosen]


def test_no_more_are_chosen_than_there_are():
    assert len(VoteK(embedder=Numbers(), annotations=100).choose(line(4))) == 4
    assert VoteK(embedder=Numbers()).choose(line(1)).tolist() == [0]


def test_votes_that_reach_one_crowd_leave_none_out():
    # Ten crowds of thirty on a circle, 12 to choose. A vote for 300 / 12 = 25 others stays in
    # its own crowd, and every crowd has one chosen, where a random draw misses three.
    rng = np.random.default_rng(0)
    angles = np.repeat(np.arange(10), 30) * 2 * np.pi / 10 + rng.uniform(-0.02, 0.02, size=300)
    pool = examples(*[(f"{np.cos(a):.6f} {np.sin(a):.6f}", "x") for a in angles])
    chosen = VoteK(embedder=Numbers(), annotations=12, neighbours=25).choose(pool)
    assert set(chosen // 30) == set(range(10))


def confident_of(known):
    """Sure of its answers to prompts whose number is in `known`."""

    def of(prompt, text):
        number = int(prompt.rsplit("Input: ", 1)[1].split()[0])
        return -0.01 if number in known else -5.0

    return Likes(of, says=lambda prompt: " x")


def test_the_tenth_it_is_surest_of_is_left_out():
    # 40 rows, 20 chosen: 2 by votes, then 18 parts of int(0.9 · 40 / 18) = 2 of the 38 others,
    # least sure first: the last two are never looked at.
    lm = confident_of({39, 40})
    early = VoteK(embedder=Numbers(), annotations=2, neighbours=3).choose(line(40))
    assert not {38, 39} & set(early.tolist())
    chosen = VoteK(embedder=Numbers(), annotations=20, neighbours=3, lm=lm).choose(line(40))
    assert len(set(chosen.tolist())) == 20
    assert chosen[:2].tolist() == early.tolist()
    assert not {38, 39} & set(chosen.tolist())


def test_labels_are_scored_instead_of_answers_written():
    lm = confident_of(set())
    lm.generate = None
    chosen = VoteK(embedder=Numbers(), annotations=10, neighbours=3, lm=lm, labels=["x", "y"])
    assert len(chosen.choose(line(20))) == 10


def test_the_first_tenth_needs_answers_before_the_model_is_asked():
    chooser = VoteK(embedder=Numbers(), annotations=10, neighbours=3, lm=confident_of(set()))
    bare = line(20).remove_columns("response")
    with pytest.raises(DataError, match="1 examples need an answer before the model is asked"):
        chooser.choose(bare)
    asked = []
    assert len(chooser.choose(bare, lambda prompts: asked.append(prompts) or ["x"])) == 10
    assert len(asked) == 1


def test_parts_too_small_to_cut_are_filled_by_draws():
    # 10 rows, 10 wanted: 9 parts of int(0.9 · 10 / 9) = 1 reach all; of 12 rows of which
    # 11 are wanted, parts hold int(10.8 / 10) = 1, and the surest two are left for the draw.
    lm = confident_of(set())
    chooser = VoteK(embedder=Numbers(), annotations=19, neighbours=3, lm=lm)
    assert len(set(chooser.choose(line(20)).tolist())) == 19


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match="annotations=0"):
        VoteK(annotations=0)


def test_votes_counted_anew_spread_the_second_stage():
    points = np.random.default_rng(0).normal(size=(60, 2))
    pool = examples(*[(f"{x:.3f} {y:.3f}", "x") for x, y in points])
    lm = Likes(lambda prompt, text: -float(len(prompt) % 5), says=lambda prompt: "x")
    how = {"embedder": Numbers(), "annotations": 20, "neighbours": 10, "lm": lm}
    paper, released = VoteK(**how).choose(pool), VoteK(**how, reference=True).choose(pool)
    assert paper.tolist() != released.tolist()
    assert sorted({*paper.tolist()}) == sorted(paper.tolist())
