import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from doubles import Numbers, pool_at
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.data.ids import id_texts
from tamis.errors import DataError, SettingError
from tamis.selectors import Deduplicate

BUDGET = (
    "the committee approved the annual budget after a long debate about roads schools parks "
    "and water supply in the northern districts of the county"
)


def texts_pool(*texts):
    return Dataset.from_dict({"text": list(texts)})


def kept_texts(pool, selection):
    return sorted(pool[int(i)]["text"] for i in selection.indices)


def shingles(text, n=5):
    words = text.lower().split()
    return {tuple(words[i : i + n]) for i in range(max(len(words) - n, 0) + 1)} if words else set()


def similarity(left, right):
    left, right = shingles(left), shingles(right)
    return len(left & right) / len(left | right)


def edited(text, n, seed):
    """Put new words in place of `n` of a text's words."""
    draw, words = np.random.default_rng(seed), text.split()
    for place in draw.choice(len(words), n, replace=False):
        words[place] = f"new{seed}x{place}"
    return " ".join(words)


def test_only_what_rows_mean_takes_a_model():
    assert Deduplicate(semantic=0.95).asks_models
    assert not Deduplicate(near=0.8).asks_models


def test_one_of_each_group_is_kept_and_the_others_say_which():
    # Of 24 words the last is another: 19 of 20 shingles are shared, of 21 in all.
    pool = texts_pool(BUDGET, BUDGET.replace("county", "shire"), BUDGET.upper(), "something else")
    picked = Deduplicate(near=0.8, keep="first").select(pool)
    kept = [i for i in picked.indices.tolist() if i != 3]
    assert len(kept) == 1
    assert 3 in picked.indices
    name = id_texts(picked.ids)[kept[0]].as_py()
    reasons = {picked.reasons[i] for i in range(3) if i != kept[0]}
    assert reasons <= {
        f"exact duplicate of {name[:8]}…",
        f"near-duplicate of {name[:8]}… (Jaccard 0.90)",
    }
    assert picked.signals["copies"].to_pylist() == [3, 3, 3, 1]
    others = [name if i != kept[0] else None for i in range(3)]
    assert picked.signals["duplicate_of"].to_pylist() == [*others, None]


@pytest.mark.parametrize(
    ("left", "right", "copies"),
    [
        ("Same  text", " same\ttext\n", True),
        (unicodedata.normalize("NFD", "café crème"), "café crème", True),
        ("", "   \n", True),
        ("same text", "same text!", False),
        ("?!", "!?", False),
    ],
)
def test_exact_means_composed_lower_case_and_spaces_collapsed(left, right, copies):
    picked = Deduplicate(near=None).select(texts_pool(left, right))
    assert len(picked) == (1 if copies else 2)
    assert sorted(picked.scores.tolist()) == ([0, 1] if copies else [1, 1])


def test_empty_and_wordless_rows_are_no_near_copies_of_anything():
    picked = Deduplicate(near=0.1).select(texts_pool("", " ", "?!", "…", "a text of some words"))
    assert len(picked) == 4
    assert sum("exact" in reason for reason in picked.reasons) == 1


def test_the_score_is_one_less_the_similarity():
    pool = texts_pool(BUDGET, edited(BUDGET, 1, seed=3))
    picked = Deduplicate(near=0.05).select(pool)
    expected = similarity(*pool["text"])
    assert sorted(picked.scores.tolist()) == pytest.approx([1 - expected, 1])
    assert sorted(picked.signals["jaccard"].to_pylist()) == pytest.approx([0, expected])


@pytest.mark.parametrize("near", [0.5, 0.7, 0.9])
def test_planted_copies_are_found_and_nothing_else(near):
    # Every text has one copy with a few words changed. What is above `near` is found with
    # probability 0.99 or more each; what is below is never dropped.
    draw = np.random.default_rng(0)
    vocabulary = [f"word{n}" for n in range(3000)]
    originals = [" ".join(draw.choice(vocabulary, size=80)) for _ in range(300)]
    copies = [edited(text, i % 8, seed=i) for i, text in enumerate(originals)]
    pool = texts_pool(*originals, *copies)
    picked = Deduplicate(near=near).select(pool)

    dropped = ~picked.kept[:300] | ~picked.kept[300:]
    alike = np.array([similarity(*pair) for pair in zip(originals, copies, strict=True)])
    assert not dropped[alike < near].any()
    assert dropped[alike >= near].mean() >= 0.97


def test_every_dropped_row_names_a_kept_one_that_it_is_near():
    draw = np.random.default_rng(1)
    texts = [edited(BUDGET, n, seed=i) for i, n in enumerate(draw.integers(0, 6, size=120))]
    pool = texts_pool(*texts)
    picked = Deduplicate(near=0.5).select(pool)
    place = {name: i for i, name in enumerate(id_texts(picked.ids).to_pylist())}
    dropped = np.flatnonzero(~picked.kept)
    assert len(dropped) > 30
    for i in dropped:
        other = place[picked.signals["duplicate_of"][int(i)].as_py()]
        assert picked.kept[other]
        assert picked.signals["jaccard"][int(i)].as_py() == pytest.approx(
            similarity(texts[i], texts[other])
        )
        assert similarity(texts[i], texts[other]) >= 0.5


def chain_of_copies():
    """Return texts each near the next (0.67), the first and last of which share nothing."""
    words = [f"w{n}" for n in range(40)]
    return [" ".join(words[start : start + 9]) for start in range(0, 9)]


def test_components_join_what_pairwise_keeps_apart():
    pool = texts_pool(*chain_of_copies())
    pairwise = Deduplicate(near=0.6, bands=40, rows=1).select(pool)
    joined = Deduplicate(near=0.6, bands=40, rows=1, groups="components").select(pool)
    assert len(pairwise) >= 3
    assert len(joined) == 1
    assert any(reason.startswith("linked to ") for reason in joined.reasons)
    assert all(not reason.startswith("linked to ") for reason in pairwise.reasons)


def test_longest_response_is_kept_and_the_lowest_id_among_equals():
    pool = Dataset.from_dict(
        {
            "prompt": [BUDGET, BUDGET, BUDGET],
            "completion": ["yes", "yes indeed", "yes indeed"],
            "rating": [5.0, 1.0, None],
        }
    )
    assert Deduplicate(near=0.7).select(pool).indices[0] in (1, 2)
    assert Deduplicate(near=0.7, keep="longest").select(pool).indices[0] in (1, 2)
    assert Deduplicate(near=0.7, by="rating").select(pool).indices.tolist() == [0]
    lowest = np.argsort(Deduplicate().select(pool).ids, kind="stable")[0]
    assert Deduplicate(near=0.7, keep="first").select(pool).indices.tolist() == [lowest]


def test_spaces_do_not_make_an_answer_longer():
    pool = texts_pool(BUDGET + " \n" * 50, BUDGET + " and")
    assert Deduplicate(near=0.7).select(pool).indices.tolist() == [1]


def test_with_k_the_most_distinct_of_the_kept_come_first():
    pool = texts_pool(BUDGET, edited(BUDGET, 3, seed=1), "quite another text", BUDGET.upper())
    picked = Deduplicate(near=0.95, bands=40, rows=1).select(pool, 2)
    assert 2 in picked.indices
    assert picked.scores[picked.indices].tolist() == [1, 1]
    assert sum(reason == "score below that of the kept" for reason in picked.reasons) == 1


def test_a_prompt_and_its_answer_are_compared_together():
    pool = Dataset.from_dict(
        {"instruction": ["Add 2 and 2.", "Add 2 and 2."], "output": ["4", "four"]}
    )
    assert len(Deduplicate(near=0.8).select(pool)) == 2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text("ab 漢é\u0301\n.", max_size=30), min_size=1, max_size=12), st.randoms())
def test_order_and_batches_change_nothing(texts, random):
    mixed = random.sample(texts, len(texts))
    first, second = texts_pool(*texts), texts_pool(*mixed)
    chosen = Deduplicate(near=0.5, ngram=2)
    ours = kept_texts(first, chosen.select(first))
    assert ours == kept_texts(second, chosen.select(second, workers=2, batch_rows=3))


def test_a_pool_in_many_chunks_is_one_pool():
    table = pa.concat_tables(
        pa.table({"text": [BUDGET if i % 3 else f"text {i}"]}) for i in range(9)
    )
    assert len(Deduplicate().select(table)) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"near": 0.0}, "near=0.0; give one above 0"),
        ({"near": 1.5}, "near=1.5; give one above 0"),
        ({"keep": "longst"}, "did you mean 'longest'"),
        ({"groups": "component"}, "did you mean 'components'"),
        ({"keep": "first", "by": "x"}, "by='x' needs keep='best'"),
        ({"ngram": 0}, "ngram=0; give at least 1"),
        ({"recall": 1.0}, "recall=1.0; give one between 0 and 1"),
        ({"bands": 5}, "one of bands and rows alone"),
        ({"bands": 0, "rows": 5}, "bands=0; give at least 1"),
    ],
)
def test_a_wrong_setting_is_named(given, message):
    with pytest.raises(SettingError, match=message.replace("(", r"\(")):
        Deduplicate(**given)


def test_a_missing_or_wordy_column_to_go_by_is_named():
    with pytest.raises(DataError, match="no column 'scor'; did you mean 'score'"):
        Deduplicate(by="scor").select(Dataset.from_dict({"text": ["a"], "score": [1]}))
    with pytest.raises(DataError, match="by='text' is string; name a column of numbers"):
        Deduplicate(by="text").select(texts_pool("a"))


# Directions at 0, 20, 40 and 90 degrees; neighbours of the first three are 0.94 alike.
FAN = pool_at([100, 0], [94, 34], [77, 64], [0, 99])


def by_meaning(least=0.9, **settings):
    return Deduplicate(near=None, semantic=least, embedder=Numbers(), **settings)


def test_a_row_that_means_what_a_kept_one_does_is_dropped():
    picked = by_meaning(keep="first").select(pool_at([100, 0], [98, 17], [0, 99]))
    dropped = int(np.flatnonzero(~picked.kept)[0])
    kept = 1 - dropped
    name = id_texts(picked.ids)[kept].as_py()
    assert picked.reasons[dropped] == f"semantic duplicate of {name[:8]}… (cosine 0.99)"
    assert picked.signals["duplicate_of"][dropped].as_py() == name
    assert picked.signals["cosine"][dropped].as_py() == pytest.approx(0.985, abs=1e-3)
    assert picked.scores[dropped] == pytest.approx(0.015, abs=1e-3)


def test_what_is_dropped_means_what_its_kept_one_does():
    picked = by_meaning().select(FAN)
    points = np.array([row["text"].split() for row in FAN], float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    place = {name: i for i, name in enumerate(id_texts(picked.ids).to_pylist())}
    for row in np.flatnonzero(~picked.kept):
        kept = place[picked.signals["duplicate_of"][int(row)].as_py()]
        assert picked.kept[kept]
        assert points[row] @ points[kept] >= 0.9


def test_the_reference_drops_for_being_like_a_dropped_one():
    # From the edge: 90 degrees is farthest from the mean, then 0, 20 and 40 follow in a chain.
    picked = by_meaning(reference=True).select(FAN)
    assert sorted(picked.indices.tolist()) == [0, 3]
    name = id_texts(picked.ids)[0].as_py()
    assert picked.signals["duplicate_of"].to_pylist() == [None, name, name, None]
    assert picked.reasons[2] == f"linked to {name[:8]}… by semantic duplicates (cosine 0.94)"


def test_a_copy_of_a_semantic_duplicate_goes_with_it():
    pool = texts_pool("100 0", " 100  0", "98 17")
    picked = Deduplicate(near=None, semantic=0.9, embedder=Numbers(), keep="longest").select(pool)
    assert len(picked) == 1
    assert picked.signals["copies"].to_pylist() == [3, 3, 3]


def test_rows_without_a_vector_are_no_semantic_duplicates():
    assert len(by_meaning().select(pool_at([0, 0], [5, 0], [0, 5]))) == 3


def test_only_rows_of_one_cluster_are_compared_by_meaning():
    pool = pool_at(*[[100, n] for n in range(12)], *[[n, 100] for n in range(12)])
    assert len(by_meaning(-1.0, clusters=2).select(pool)) == 2
    assert len(by_meaning(-1.0).select(pool)) == 1


@pytest.mark.parametrize("wrong", [{"semantic": 1.01}, {"clusters": 0}])
def test_semantic_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=r"Deduplicate: .*; give"):
        Deduplicate(**wrong)
