from dataclasses import replace

import numpy as np
import pytest

from tamis.data.pools import stored
from tamis.errors import RecipeError
from tamis.pipelines import scale
from tamis.pipelines.cluster import Troubles
from tamis.pipelines.growth import measured
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.scale import Cluster, scaled_plan

CLUSTER = Cluster(nodes=4, cores=8, memory=64e9, network=1e9, disk=1e9)
SERVED = "openai:m?base_url=http://127.0.0.1:9/v1"  # nobody listens there


@pytest.fixture
def pool():
    draw = np.random.default_rng(0)
    words = [f"word{number}" for number in range(500)]
    answers = [" ".join(draw.choice(words, 30)) for _ in range(900)]
    return stored([{"prompt": f"Say {n}.", "response": text} for n, text in enumerate(answers)])


def planned(steps, pool, rows=1_000_000, cluster=CLUSTER, **more):
    recipe = Recipe.parse(f"name: a\nsteps:\n{steps}", "recipe")
    return scaled_plan(recipe, pool, rows, cluster, **more)


def test_rows_go_in_and_out_of_every_step(pool):
    expected = planned("  - random: {k: 0.5}\n  - random: {k: 300, seed: 1}\n", pool)
    assert [step.rows for step in expected.steps] == [1_000_000, pytest.approx(500_000, rel=0.01)]
    assert expected.steps[-1].kept == 300
    assert (expected.rows, expected.sample_rows) == (1_000_000, 900)


def test_what_is_scored_row_by_row_is_shared_by_all_cores(pool):
    (step,) = planned("  - clean\n", pool).steps
    assert step.kind == "rows"
    assert 32 * step.compute + step.alone == pytest.approx(step.core_seconds)
    assert step.alone < step.core_seconds / 2
    # Rows are read, and what is decided comes back: nothing else crosses the network.
    assert step.network_bytes == pytest.approx(1e6 * step.row_bytes + step.gathered_bytes)
    assert step.network == max(step.network_bytes / 4, step.gathered_bytes) / 1e9
    assert step.disk_bytes == 0


def test_keys_of_bands_meet_on_other_nodes(pool):
    steps = "  - deduplicate: {near: 0.8, bands: 20, rows: 5}\n"
    (step,) = planned(steps, pool).steps
    (alone,) = planned(steps, pool, cluster=replace(CLUSTER, nodes=1)).steps
    assert step.kind == "bands"
    moved = 1e6 * 16 * 21 * 3 / 4  # 20 bands and the whole text; 3 of 4 belong elsewhere
    assert step.disk_bytes == pytest.approx(2 * moved)
    assert alone.disk_bytes == 0
    assert step.network_bytes - moved == pytest.approx(1e6 * step.row_bytes + step.gathered_bytes)


def test_a_set_is_chosen_on_every_node_and_again_from_what_they_chose(pool):
    (step,) = planned("  - kcenter: {k: 20, shards: 4}\n", pool).steps
    assert step.kind == "sets"
    assert step.disk_bytes > 1e6 * 100  # vectors are kept
    assert step.network_bytes > 1e6 * step.row_bytes + step.gathered_bytes
    assert 8 * (4 * step.compute + step.alone) == pytest.approx(step.core_seconds)
    assert step.alone > 0  # one node's cores choose from what the nodes chose


def test_an_exact_set_has_all_vectors_on_one_node(pool):
    (exact,) = planned("  - kcenter: {k: 20}\n", pool).steps
    (parted,) = planned("  - kcenter: {k: 20, shards: 4}\n", pool).steps
    assert exact.kind == "rows"
    assert exact.gathered_bytes > parted.gathered_bytes + 1e6 * 100
    assert exact.network >= exact.gathered_bytes / 1e9


def test_the_slowest_of_what_overlaps_is_the_bottleneck(pool):
    slow = replace(CLUSTER, network=1e3)
    (step,) = planned("  - clean\n", pool, cluster=slow).steps
    assert (step.bottleneck, step.shared) == ("network", step.network)
    assert step.seconds == step.network + step.alone
    whole = planned("  - clean\n  - random: {k: 0.5}\n", pool, cluster=slow)
    assert whole.seconds == sum(step.seconds for step in whole.steps)
    assert whole.bottleneck == "network"


def test_what_one_node_receives_and_does_alone_does_not_shrink_with_more_nodes(pool, monkeypatch):
    found = []  # both plans from one measurement: two would differ by what else the machine does

    def measured_once(steps, rows):
        found[:] = found or measured(steps, rows)
        return found

    monkeypatch.setattr(scale, "measured", measured_once)
    many = replace(CLUSTER, nodes=10_000)
    (few,), (step,) = (
        planned("  - clean\n", pool, 10**9, cluster=c).steps for c in (CLUSTER, many)
    )
    assert step.compute < few.compute / 100
    assert step.network == pytest.approx(step.gathered_bytes / 1e9)
    assert step.alone == few.alone > 0


def test_memory_is_a_process_a_core_and_the_vectors_of_a_share(pool):
    small, large = (
        planned("  - kcenter: {k: 20, shards: 4}\n", pool, rows=rows) for rows in (10**6, 10**9)
    )
    assert small.memory_bytes > 8 * 50e6
    assert large.memory_bytes - small.memory_bytes > 0.9 * (10**9 - 10**6) / 4 * 100


def test_without_troubles_the_simulation_says_what_the_plan_says(pool):
    calm = planned("  - clean\n", pool, rows=10**9, troubles=Troubles.none())
    assert calm.expected == pytest.approx([calm.seconds] * 3, rel=0.02)


def test_troubles_take_time(pool):
    expected = planned("  - clean\n", pool, rows=10**9)
    middle, least, most = expected.expected
    assert expected.seconds < least <= middle <= most
    days = sum(step.shared for step in expected.steps) / 86_400
    failing = Troubles(stragglers=0, slow_nodes=0, days_between_failures=days)
    assert replace(expected, troubles=failing).expected[0] > expected.seconds + 60


def test_a_server_is_not_asked_and_its_bill_is_foretold(pool):
    priced = f"{SERVED}&input_price=1&output_price=10"
    steps = f"  - alpagasus: {{judge: '{priced}'}}\n"
    expected = planned(steps, pool, rows=10**6)
    (step,) = expected.steps
    written = 256 * 10**6
    assert step.served
    assert step.tokens > written
    assert expected.money == pytest.approx((step.tokens - written + 10 * written) / 1e6)
    assert step.compute == 0


def test_a_server_without_prices_has_no_bill(pool):
    assert planned(f"  - alpagasus: {{judge: '{SERVED}'}}\n", pool).money is None


def test_a_pool_that_is_not_made_yet_is_refused(pool):
    recipe = Recipe.load("self-instruct", pool="seeds.jsonl")
    with pytest.raises(RecipeError, match="its pool is not made yet"):
        scaled_plan(recipe, pool, 10, CLUSTER)
