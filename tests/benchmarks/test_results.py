"""What `make bench` makes of figures: ratios, verdicts, errors, and the page."""

import sys

import pytest

from benchmarks import results
from benchmarks.common import PeerError, answer, in_turns
from benchmarks.results import Row, keep, write_page


def row(**more):
    given = {"what": "sieving", "size": "9 rows", "peer": "other 1.0", "unit": "MB/s"}
    return Row(**{**given, "tamis": [30.0, 40.0, 20.0], "theirs": [10.0, 10.0, 10.0], **more})


def test_a_ratio_is_above_one_where_tamis_is_better():
    assert row().ratios == [3, 4, 2]  # more a second is better
    assert row(unit="s").ratios == [1 / 3, 1 / 4, 1 / 2]  # and so are fewer seconds
    assert row(unit="GB").ratios == [1 / 3, 1 / 4, 1 / 2]


@pytest.mark.parametrize(
    ("aims", "met", "said"),
    [
        ({}, None, ""),
        ({"wanted": 3}, True, "3: met"),
        ({"wanted": 3.5}, False, "3.5: **missed**"),
        ({"least": 30}, True, "30 MB/s: met"),
        ({"wanted": 2, "least": 31}, False, "2 and 31 MB/s: **missed**"),
        ({"unit": "s", "wanted": 1 / 4}, True, "within 4: met"),
        ({"unit": "s", "wanted": 1 / 2}, False, "within 2: **missed**"),
        ({"theirs": [], "wanted": 3}, None, "3"),
        ({"theirs": [], "wanted": 3, "least": 99}, False, "3 and 99 MB/s: **missed**"),
    ],
)
def test_what_is_wanted_is_held_against_the_medians(aims, met, said):
    assert row(**aims).met is met
    assert row(**aims).cells()[5] == said


def test_a_peer_that_does_not_run_is_a_row_with_its_last_line():
    cells = row(theirs=[], error="ImportError: no name 'x'", note="all found").cells()
    assert cells[3:5] == ["other 1.0: —", "does not run"]
    assert cells[6] == "all found; `ImportError: no name 'x'`"


def test_a_peer_that_fails_once_is_asked_no_more():
    asked = []

    def fails_in_the_second_round():
        asked.append(True)
        if len(asked) == 2:
            raise PeerError("KeyError: 7")
        return 1.0

    found = in_turns(4, lambda: 2.0, fails_in_the_second_round)
    assert found == ([2.0] * 4, [], "KeyError: 7")
    assert len(asked) == 2


def test_a_script_that_fails_is_told_by_the_line_that_names_the_error(tmp_path):
    script = tmp_path / "peer.py"
    script.write_text(
        "import sys\nif len(sys.argv) > 1:\n    [][int(sys.argv[1])]\nprint('{\"a\": 1}')\n"
    )
    assert answer(sys.executable, script) == {"a": 1}
    with pytest.raises(PeerError, match=r"^IndexError: list index out of range$"):
        answer(sys.executable, script, 7)


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "kept" / "results.json")
    return tmp_path / "docs" / "benchmarks.md"


def told(page, *names):
    write_page(names, page)
    return page.read_text("utf-8")


def test_what_is_measured_again_takes_the_place_of_what_was(page):
    keep("dsir", [row(what="first")], minutes=1)
    keep("knn", [row(what="beside")], minutes=1)
    keep("dsir", [row(what="second")], minutes=2)
    said = told(page, "knn", "dsir", "rouge")  # the last is not measured yet
    assert "| second |" in said
    assert "| first |" not in said
    assert said.index("| beside |") < said.index("| second |")
    assert "3 minutes in all" in said


def test_what_was_written_by_hand_of_another_machine_stays(page):
    keep("knn", [row(what="first")], minutes=1)
    said = told(page, "knn")
    by_hand = "\n## On another machine\n\nIt was twice as fast.\n"
    page.write_text(said + by_hand)
    assert told(page, "knn") == said + by_hand
    keep("knn", [row(what="second")], minutes=1)
    assert told(page, "knn") == said.replace("| first |", "| second |") + by_hand


def test_the_page_says_on_which_machine_and_has_its_picture(page):
    keep("knn", [row(note="a|b"), row(theirs=[], error="gone")], minutes=1)
    said = told(page, "knn")
    assert results.machine() in said
    assert "a\\|b" in said
    assert "`gone`" in said
    assert (page.parent / results.PLOT).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("load", "said"), [(0.5, False), (1000.0, True)])
def test_a_busy_machine_is_said(page, monkeypatch, load, said):
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0, 0))
    keep("knn", [row()], minutes=1)
    assert ("Others were at work" in told(page, "knn")) is said
