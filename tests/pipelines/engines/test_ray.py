"""Ray keeps the rows that one thread here keeps, whatever happens to its processes."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from datasets import Dataset
from doubles import Lengths, Letters, Numbers, Spelling
from elsewhere import (
    Killer,
    Served,
    dies_once_with_a_model,
    lengths,
    process,
    refuses,
    sizes,
    spends,
    with_model,
)

pytest.importorskip("ray")

from tamis.data.batches import LocalEngine, using
from tamis.data.files import home
from tamis.errors import DataError, RunError
from tamis.models import LANGUAGE_MODELS
from tamis.models.account import counting
from tamis.models.cached import CachedLM
from tamis.pipelines.engines import opened
from tamis.pipelines.engines.joining import check_node
from tamis.pipelines.engines.ray import RayEngine
from tamis.pipelines.steps import code_digest
from tamis.selectors import DEITA, DSIR, IFD, LIMA, Clean, Deduplicate, KCenter, Privacy

SELECTORS = {
    "clean": (Clean, None),
    "privacy": (Privacy, None),
    "lima": (LIMA, 40),
    "dsir": (partial(DSIR, buckets=512, seed=3), 40),
    "near copies": (partial(Deduplicate, near=0.7), None),
    "copies of copies": (partial(Deduplicate, near=0.5, groups="components"), 50),
    "exact copies": (partial(Deduplicate, near=None), None),
    "coverage": (partial(KCenter, embedder=Numbers()), 40),
    "a model's losses": (partial(IFD, lm=Spelling()), 40),
    "a judge's grades": (partial(DEITA, quality=Lengths(), embedder=Letters()), 40),
}


@pytest.mark.parametrize("name", SELECTORS)
def test_the_set_is_that_of_one_thread_here(name, engine, pool, target, tmp_path, monkeypatch):
    made, k = SELECTORS[name]
    selector = made(target=target) if name == "dsir" else made()
    here = selector.select(pool, k, progress=False)
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "another"))  # nothing is there to be reused
    with using(engine):
        there = selector.choose(pool, k)
    assert there.indices.tolist() == here.indices.tolist()
    assert there.reasons.tolist() == here.reasons.tolist()
    np.testing.assert_array_equal(there.scores, here.scores)
    assert there.signals.equals(here.signals)


@pytest.mark.parametrize("batch_rows", [7, 64, 5000])
def test_batches_come_in_order(ray, pool, batch_rows):
    found = RayEngine(batch_rows=batch_rows).map(pool, lengths, "lengths")
    assert [length for batch in found for length in batch] == [len(p) for p in pool["prompt"]]


def test_rows_that_were_chosen_come_in_their_order(engine, pool):
    some = pool.select([5, 590, 17, 300, 301, 302])
    found = [length for batch in engine.map(some, lengths, "lengths") for length in batch]
    assert found == [len(p) for p in some["prompt"]]


def test_work_is_shared_by_other_processes_and_nothing_is_work_for_none(engine, pool):
    assert os.getpid() not in set(engine.each(range(8), process, "where"))
    assert list(engine.each([], process, "where")) == []


def test_of_few_rows_no_process_has_many_more_than_another(ray, pool):
    ask = partial(sizes, CachedLM(Spelling()))
    found = list(RayEngine().map(pool, ask, "ask"))  # in batches larger than a part
    assert max(found) <= len(pool) // 16


def test_tasks_grow_smaller_towards_the_end(ray):
    ranges = RayEngine(batch_rows=40)._ranges(600, asked=False)
    assert [row for task in ranges for row in range(*task)] == list(range(600))
    sizes = [stop - start for start, stop in ranges]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 150  # half of what one of two processes will have
    assert sizes[-2] == 40  # a batch


def test_what_takes_no_longer_than_to_hand_it_out_is_done_here(ray, pool):
    engine = RayEngine(batch_rows=300)
    assert set(engine.map(pool.select(range(300)), process, "where")) == {os.getpid()}
    assert os.getpid() not in set(engine.map(pool, process, "where"))


def test_a_model_on_a_server_is_asked_from_here(engine, pool):
    ask = partial(with_model, CachedLM(Served()))
    assert set(engine.map(pool, ask, "ask")) == {(os.getpid(), 2)}
    assert set(engine.each([1, 2], ask, "ask")) == {(os.getpid(), 2)}


def test_a_killed_process_costs_time_and_nothing_else(engine, pool, tmp_path):
    prompts = list(pool["prompt"])
    prompts[400] = "marked"
    mark = tmp_path / "killed"
    work = partial(dies_once_with_a_model, mark, CachedLM(Spelling()))  # an actor
    found = engine.map(Dataset.from_dict({"prompt": prompts}), work, "lengths")
    assert [length for batch in found for length in batch] == [len(p) for p in prompts]
    assert mark.exists()


def test_a_killed_process_loses_no_copy(engine, pool, tmp_path):
    prompts = list(pool["prompt"])
    prompts[400] = "marked"
    marked = Dataset.from_dict({"prompt": prompts, "response": list(pool["response"])})
    here = Deduplicate(near=0.7).select(marked, progress=False)
    selector = Killer(near=0.7)
    selector.mark = tmp_path / "killed"
    with using(engine):
        there = selector.choose(marked)
    assert there.reasons.tolist() == here.reasons.tolist()
    assert selector.mark.exists()


@pytest.mark.parametrize("kind", [DataError, ZeroDivisionError])
def test_an_error_arrives_as_it_was_raised(kind, engine):
    data = Dataset.from_dict({"prompt": ["moon", "sun", "marked", *["sky"] * 40]})
    with pytest.raises(kind, match=r"^row 3: no; mend it$"):
        list(engine.map(data, partial(refuses, kind), "refuse"))


def test_a_prompt_that_a_model_cannot_read_stops_no_other(engine, pool):
    bad = {"prompt": ["", "red moon"], "response": ["", "\0 " * 3000]}
    both = Dataset.from_dict({name: [*bad[name], *pool[name][:60]] for name in bad})
    with using(engine):
        picked = IFD(lm=Spelling()).choose(both, 10)
    assert picked.reasons[0] != "kept"
    assert np.isnan(picked.scores[0])
    assert np.isfinite(picked.scores[2:]).sum() > 50


def test_tokens_read_elsewhere_are_entered_here(engine, pool):
    with counting() as account:
        list(engine.map(pool, spends, "spend"))
    assert account.tokens == len(pool)


def test_features_are_kept_at_home(engine, pool):
    with using(engine):
        KCenter(embedder=Numbers()).choose(pool, 5)
    assert list(home().glob("features/*/*/part-*.parquet"))
    silent = Numbers()
    KCenter(embedder=silent).select(pool, 5, progress=False)
    assert silent.asked == 0


def test_all_nodes_have_to_see_the_home_and_run_this_tamis():
    check_node("n1", True, code_digest())
    with pytest.raises(RunError, match=r"^ray: node n1 does not see TAMIS_HOME=.*; put it on"):
        check_node("n1", False, code_digest())
    with pytest.raises(RunError, match=r"^ray: node n1 has another tamis; install "):
        check_node("n1", True, "another")


JOINS = """
import sys
from datasets import Dataset
from tamis.pipelines.engines import opened
pool = Dataset.from_dict({"text": ["red", "moon"]})
with opened("ray:" + sys.argv[1]) as engine:
    print(list(engine.map(pool, lambda batch: batch["text"].to_pylist(), "texts")))
"""


def test_a_cluster_is_joined_by_its_address_and_goes_on_without_us(ray, engine, tmp_path):
    address = ray.get_runtime_context().gcs_address
    script = tmp_path / "joins.py"
    script.write_text(JOINS)
    command = [sys.executable, str(script), address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[['red', 'moon']]", done.stderr
    assert done.stderr == ""
    assert list(engine.each([3], str, "still there")) == ["3"]


def test_what_is_open_stays_open(ray):
    with opened("ray", workers=2):
        pass
    assert ray.is_initialized()


def test_inside_vllm_is_run_by_ray_and_afterwards_by_this_process_again(ray):
    before = LANGUAGE_MODELS["vllm"]
    with opened("ray", workers=2):
        inside = LANGUAGE_MODELS["vllm"]
    assert inside == "tamis.pipelines.engines.llm:RayVLLM" != before
    assert LANGUAGE_MODELS["vllm"] == before


def test_no_thread_here_is_another_engine():
    with opened("local", workers=3) as engine:
        assert engine == LocalEngine(workers=3)
