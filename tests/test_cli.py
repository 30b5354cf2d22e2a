"""The command line as a person meets it: what it prints, where, and its exit code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tamis.cli import app, main

ROWS = [
    {"instruction": f"name a {color} thing", "output": f"a {color} {thing} in the sky"}
    for color in ("red", "green", "blue", "grey")
    for thing in ("moon", "star", "sun", "bird", "cloud")
]


@pytest.fixture
def tamis(monkeypatch, capsys, tmp_path):
    """Call the command line in a folder of its own; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tamis", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capsys.readouterr()

    return call


def commands():
    return [command.name or command.callback.__name__ for command in app.registered_commands]


def test_help_fits_a_screen(tamis):
    code, out, _ = tamis("--help")
    assert code == 0
    assert len(out.splitlines()) <= 36


def test_no_arguments_are_a_call_for_help(tamis):
    _, out, errors = tamis()
    assert "Usage" in out + errors


@pytest.mark.parametrize("command", commands())
def test_every_command_has_an_example_in_its_help(tamis, command):
    code, out, _ = tamis(command, "--help")
    assert code == 0
    assert f"Example: tamis {command}" in out


def test_says_its_version(tamis):
    code, out, _ = tamis("--version")
    assert code == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "no command 'rnu'; did you mean 'run'?"),
        (["run"], "tamis run takes a RECIPE, or --resume RUN; give one of them"),
        (["run", "curate", "--pol", "x"], "no such option: --pol"),
        (["run", "curat"], "did you mean 'curate'?"),
        (["run", "tidy"], "no pool"),
        (["run", "curate", "--pool", "pool.jsonl"], "dsir needs a target"),
        (["plan", "tidy"], "names no pool; give --pool FILE"),
        (["select", "randm", "pool.jsonl", "-k", "3", "-o", "x.jsonl"], "did you mean 'random'?"),
        (["select", "random", "pool.jsonl", "-o", "x.jsonl"], "k is missing"),
        (["select", "random", "pool.jsonl", "-k", "many", "-o", "x.jsonl"], "--k many: no number"),
        (["select", "random", "pool.jsonl", "-k", "99", "-o", "x.jsonl"], "the pool has 20"),
        (["select", "random", "nowhere.jsonl", "-k", "3", "-o", "x.jsonl"], "nowhere.jsonl"),
        (
            ["select", "random", "pool.jsonl", "-k", "3", "-o", "x.jsonl", "--set", "sed=1"],
            "random has no setting 'sed'; did you mean 'seed'?",
        ),
        (
            ["select", "random", "pool.jsonl", "-k", "3", "-o", "x.jsonl", "--set", "seed"],
            "write KEY=VALUE",
        ),
        (["select", "random", "pool.jsonl", "-k", "3"], "missing option"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(tamis, arguments, message):
    code, out, errors = tamis(*arguments)
    assert code == 2
    assert out == ""
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert errors.startswith("tamis: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "last"], "none ran here yet"),
        (["sql", "SELECT * FROM rnus"], "runs"),
        (["sql", "DROP VIEW runs"], "read"),
    ],
)
def test_what_fails_is_one_line_and_exit_1(tamis, arguments, message):
    code, out, errors = tamis(*arguments)
    assert code == 1
    assert out == ""
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_debug_shows_where_an_error_arose(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["tamis", "--debug", "show", "last"])
    with pytest.raises(Exception, match="none ran here yet"):
        main()


def test_select_writes_the_kept_rows_and_says_why_the_others_are_not(tamis, tmp_path):
    code, out, _ = tamis(
        "select", "random", "pool.jsonl", "-k", "5", "-o", "kept.jsonl", "--verdicts", "all.parquet"
    )
    assert code == 0
    assert "5 of 20 kept" in out
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert [row["tamis_rank"] for row in kept] == [1, 2, 3, 4, 5]
    assert (tmp_path / "all.parquet").exists()


def test_select_in_json_is_one_document(tamis):
    code, out, _ = tamis("select", "random", "pool.jsonl", "-k", "5", "-o", "k.jsonl", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["kept"] == 5
    assert document["reasons"] == {"not drawn": 15, "kept": 5}


def test_a_seed_changes_who_is_drawn(tamis, tmp_path):
    for seed in ("0", "1"):
        tamis("select", "random", "pool.jsonl", "-k", "5", "-o", f"{seed}.jsonl", "--seed", seed)
    assert (tmp_path / "0.jsonl").read_text() != (tmp_path / "1.jsonl").read_text()


@pytest.mark.parametrize(
    "call", [["select", "random", "pool.jsonl", "-k", "3", "-o", "x.jsonl"], ["run", "tidy"]]
)
@pytest.mark.usefixtures("server")
def test_strict_makes_a_row_that_cannot_be_read_an_error(tamis, tmp_path, call):
    with (tmp_path / "pool.jsonl").open("a") as pool:
        pool.write("{broken\n")
    if call[0] == "run":
        call = [*call, "--pool", "pool.jsonl"]
    code, _, errors = tamis(*call, "--strict")
    assert code == 1
    assert "pool.jsonl, line 21: not JSON" in errors
    assert tamis(*call)[0] == 0


def test_the_pool_on_disk_is_not_touched(tamis, tmp_path):
    before = (tmp_path / "pool.jsonl").read_bytes()
    tamis("select", "random", "pool.jsonl", "-k", "5", "-o", "kept.jsonl")
    assert (tmp_path / "pool.jsonl").read_bytes() == before


def test_doctor_names_what_is_missing_and_the_mend(tamis):
    code, out, _ = tamis("doctor", "--json")
    assert code == 0
    found = {item["what"].split(" ")[0]: item for item in json.loads(out)}
    assert found["methods"]["usable"]
    assert found["ray"]["usable"] or found["ray"]["mend"] == 'pip install "tamis[ray]"'


def test_plan_says_what_each_step_would_do_and_spends_nothing(tamis, tmp_path):
    code, out, _ = tamis("plan", "tidy", "--pool", "pool.jsonl", "--json")
    assert code == 0
    expected = json.loads(out)
    assert [step["method"] for step in expected["steps"]] == ["clean", "deduplicate"]
    assert expected["steps"][0]["rows"] == 20
    assert not list((tmp_path / "home").glob("runs/*"))
    assert not list((tmp_path / "home").glob("steps/*"))


@pytest.mark.usefixtures("server")
class TestARun:
    @pytest.fixture
    def ran(self, tamis):
        code, out, errors = tamis(
            "run", "curate", "--pool", "pool.jsonl", "--target", "pool.jsonl", "--k", "4",
            "--set", "dsir.min_tokens=1", "--json",
        )  # fmt: skip
        assert code == 0, errors
        return json.loads(out)

    def test_says_what_was_kept_and_what_to_try_next(self, tamis, ran):
        code, out, _ = tamis("show", ran["run"])
        assert code == 0
        assert "4 of 20 kept" in out
        assert "Report: " in out
        assert out.count("  tamis ") == 3

    def test_the_commands_it_names_work(self, tamis, ran):
        _, out, _ = tamis("show", ran["run"])
        import shlex

        for line in out.splitlines():
            if line.startswith("  tamis "):
                code, _, errors = tamis(*shlex.split(line)[1:])
                assert code == 0, errors

    def test_is_listed(self, tamis, ran):
        _, out, _ = tamis("runs", "--json")
        assert [run["run"] for run in json.loads(out)] == [ran["run"]]

    def test_explains_a_kept_and_a_dropped_row(self, tamis, ran):
        _, out, _ = tamis(
            "sql", "SELECT example_id, bool_and(kept) AS kept FROM selections GROUP BY ALL",
            "--json",
        )  # fmt: skip
        rows = json.loads(out)
        for kept in (True, False):
            row = next(row for row in rows if row["kept"] is kept)
            code, out, _ = tamis("explain", "last", row["example_id"][:12], "--json")
            assert code == 0
            explained = json.loads(out)
            assert explained["kept"] is kept
            assert explained["verdicts"][-1]["reason"] == "kept" or not kept
            assert explained["prompt"].startswith("name a ")

    def test_an_id_that_fits_nothing_is_a_wrong_call(self, tamis, ran):
        code, _, errors = tamis("explain", "last", "00000000000000")
        assert code == 2
        assert "fits no example" in errors

    def test_is_exported_in_the_form_that_is_asked_for(self, tamis, ran, tmp_path):
        code, _, errors = tamis("export", "last", "--to", "out/kept.jsonl", "--format", "messages")
        assert code == 0, errors
        rows = [json.loads(line) for line in (tmp_path / "out/kept.jsonl").read_text().splitlines()]
        assert len(rows) == 4
        assert [turn["role"] for turn in rows[0]["messages"]] == ["user", "assistant"]

    def test_its_report_can_be_written_again(self, tamis, ran):
        code, out, _ = tamis("report", "last", "--json")
        assert code == 0
        assert json.loads(out)["report"].endswith("report.html")

    def test_an_unknown_run_names_the_nearest(self, tamis, ran):
        code, _, errors = tamis("show", ran["run"][:-2] + "zz")
        assert code == 1
        assert f"did you mean '{ran['run']}'?" in errors


ENDS = """
import sys
from unittest.mock import patch
from tamis.cli import process

def main():
    print("said")
    sys.exit({code})

with patch.object(sys.modules["tamis.cli.app"], "main", main):
    process()
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no place that is always full")
@pytest.mark.parametrize(
    ("place", "code", "ends", "complaint"),
    [
        ("/dev/null", 3, 3, ""),
        (
            "/dev/full",
            0,
            1,
            "tamis: standard output: No space left on device; write it elsewhere\n",
        ),
    ],
)
def test_what_is_written_last_is_written_or_no_success(place, code, ends, complaint):
    with Path(place).open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", ENDS.format(code=code)],
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # or it is not the last
            stdout=out, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (ends, complaint)


def test_an_output_that_the_shell_closed_is_no_error():
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, ENDS.format(code=3)],
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "")
