"""A comparison as a flow, on a real Prefect server that the tests start."""

import threading

import numpy as np
import pytest
from datasets import Dataset
from proxies import WordCounts

import tamis
from tamis.errors import DataError, RunError
from tamis.pipelines import comparisons
from tamis.report.of_comparison import write_comparison_report
from tamis.selectors import Random

pytestmark = pytest.mark.usefixtures("server")


def rows(n, low, high, seed=0):
    draw = np.random.default_rng(seed)
    return Dataset.from_dict(
        {"text": [" ".join(f"w{i}" for i in draw.integers(low, high, 12)) for _ in range(n)]}
    )


def compare(methods=("random", "deduplicate"), proxy=None, **given):
    call = {"k": 20, "seeds": 2, "draws": 3, "whole": False, "progress": False} | given
    return tamis.compare(
        rows(80, 0, 60), rows(30, 0, 60, seed=1), methods, proxy=proxy or WordCounts(), **call
    )


def test_a_comparison_is_written_where_sql_and_the_report_find_it():
    found = compare()
    again = comparisons.find(found.id)
    assert again.results == found.results
    assert again.notes == found.notes
    catalogue = tamis.catalog()
    verdicts = catalogue.sql("SELECT method, verdict FROM comparisons").fetchall()
    assert verdicts == [(result.method, result.verdict) for result in found.results]
    picked = catalogue.sql("SELECT count(*) FROM picks WHERE method = 'deduplicate'").fetchall()
    assert picked == [(40,)]
    trained = catalogue.sql("SELECT count(*) FROM trials WHERE method = 'random'").fetchall()
    assert trained == [(3,)]
    page = write_comparison_report(found).read_text(encoding="utf-8")
    assert "Does it beat a random draw?" in page
    assert "<svg" in page
    assert found.results[1].verdict in page


def test_begun_again_or_with_one_more_method_it_repeats_nothing():
    proxy = WordCounts()
    first = compare(proxy=proxy)
    assert proxy.trainings == 1 + 3 + 2
    second = compare(proxy=proxy)
    assert proxy.trainings == 6
    assert [r.loss for r in second.results] == [r.loss for r in first.results]
    third = compare(["random", "deduplicate", "clean"], proxy=proxy)
    assert proxy.trainings == 6 + 2
    assert third.results[1].loss == first.results[1].loss


def test_trainings_run_side_by_side_and_the_table_is_the_same(monkeypatch, tmp_path):
    class Meets(WordCounts):
        meeting = threading.Barrier(2, timeout=60)  # breaks unless two are there at once

        def trained(self, rows, **how):
            self.meeting.wait()
            return super().trained(rows, **how)

    one = compare(proxy=WordCounts(fails_at=(2,)))
    monkeypatch.setenv("TAMIS_HOME", str(tmp_path / "another"))
    two = compare(proxy=Meets(fails_at=(2,), together=2))
    assert [(r.loss, r.gain, r.verdict) for r in two.results] == [
        (r.loss, r.gain, r.verdict) for r in one.results
    ]
    assert two.failures == one.failures


@pytest.mark.parametrize("together", [1, 2])
def test_a_comparison_that_was_stopped_goes_on_where_it_was(together):
    class Stops(WordCounts):
        def trained(self, rows, **how):
            if self.trainings >= 3:
                raise KeyboardInterrupt
            return super().trained(rows, **how)

    stopping = Stops(together=together)
    with pytest.raises(KeyboardInterrupt):
        compare(proxy=stopping)
    proxy = WordCounts()
    resumed = compare(proxy=proxy)
    assert proxy.trainings == 6 - stopping.trainings
    assert resumed.results == comparisons.find(resumed.id).results


def test_a_loss_that_is_nan_under_one_seed_is_named_and_the_rest_stands():
    # Seed 2 is that of a third draw, not of the method's two trainings.
    found = compare(proxy=WordCounts(fails_at=(2,)))
    [failure] = found.failures
    assert (failure.method, failure.seed) == ("random", 2)
    assert "held-out example 0 is nan" in failure.reason
    assert found.results[0].trainings == 2


def test_a_method_that_fails_under_one_seed_is_named_and_the_rest_stands():
    class Moody(Random):
        name = "moody"  # what random drew before is not asked for again

        def _select(self, pool, k):
            if self.seed == 1:
                raise DataError("Moody: not today")
            return super()._select(pool, k)

    found = compare({"moody": lambda seed, _: Moody(seed=seed)})
    [failure] = found.failures
    assert (failure.method, failure.seed, failure.reason) == ("moody", 1, "Moody: not today")
    assert [(r.method, r.trainings) for r in found.results] == [("random", 3), ("moody", 1)]


def test_without_a_single_draw_there_is_nothing_to_say():
    with pytest.raises(RunError, match="no random draw could be trained on"):
        compare(proxy=WordCounts(fails_at=(0, 1, 2)))
