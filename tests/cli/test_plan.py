"""`tamis plan` for more rows and machines than there are, as a person calls it."""

import json
import sys

import pytest

from tamis.cli import main


@pytest.fixture
def plan(monkeypatch, capsys, tmp_path):
    """Call the command on 400 rows; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    rows = ({"prompt": f"Say {n}.", "response": f"{n} is a number, as asked."} for n in range(400))
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = "steps:\n  - random: {k: 0.5}\n  - deduplicate: {near: 0.8}\n"
    (tmp_path / "mine.yaml").write_text(f"name: mine\npool: pool.jsonl\n{steps}")

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["tamis", "plan", "mine.yaml", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capsys.readouterr()

    return called


def test_says_what_each_step_and_the_whole_would_take(plan):
    code, out, _ = plan("--rows", "1.6B", "--nodes", "32", "--cores", "16", "--memory", "64GB")
    assert code == 0
    assert "mine: 1.6B rows on 32 nodes of 16 cores; tried on 400 rows here" in out
    cells = {words[0]: words for words in map(str.split, out.splitlines()) if words}
    assert {"1.6B", "~800M"} <= set(cells["1"])  # long names and exponents take another line
    assert {"800M", "~800M"} <= set(cells["2"])
    for said in ("core-hours; bound by", "With stragglers and failed nodes", "Over the network",
                 "Memory:", "Money for models: $0.00."):  # fmt: skip
        assert said in out


def test_json_has_every_figure(plan):
    code, out, _ = plan("--rows", "10M", "--nodes", "4", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["cluster"]["nodes"] == 4
    assert [step["rows"] for step in told["steps"]] == [10_000_000, 5_000_000]
    assert [step["method"] for step in told["steps"]] == ["random", "deduplicate"]
    assert told["seconds"] == pytest.approx(sum(step["seconds"] for step in told["steps"]))
    assert len(told["expected"]) == 3
    assert len(told["steps"][0]["sizes"]) == 4


def test_nodes_alone_are_for_the_pool_as_it_is(plan):
    assert "mine: 400 rows on 2 nodes of" in plan("--nodes", "2")[1]


def test_memory_that_does_not_suffice_is_said(plan):
    said = " ".join(plan("--nodes", "2", "--memory", "1MB")[1].split())
    assert "Too much: take fewer cores" in said


def test_without_either_the_plan_is_for_this_machine(plan):
    assert "In all about" in plan()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "lots"], "--rows lots: no number; give one such as 250M, 1.6B or 10k"),
        (["--rows", "1M", "--memory", "big"], "--memory big: no amount"),
        (["--rows", "1M", "--network", "7"], "--network 7: no amount"),
    ],
)
def test_a_wrong_amount_is_named(plan, arguments, message):
    code, _, errors = plan(*arguments)
    assert code == 2
    assert message in " ".join(errors.split())
