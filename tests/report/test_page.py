import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from tamis.errors import DataError
from tamis.report import write_report

HOSTILE = (
    "</script><script>window.pwned=1</script><img src=x onerror='pwned=1'>\"><svg/onload=x>{{7*7}}"
)
MEGABYTE = 1_000_000


class Page(HTMLParser):
    """What a page says, and what it would do."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.styles, self.words = [""], [], [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        home = {"script": self.scripts, "style": self.styles}.get(self.tags[-1], self.words)
        home.append(data)

    def handle_endtag(self, tag):
        self.tags.append("/" + tag)

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture
def written(tmp_path):
    return lambda run: write_report(run, tmp_path / "report.html").read_text(encoding="utf-8")


def test_says_what_came_in_and_what_was_kept_and_why_not(written, sieve):
    page = Page(written(sieve)).text
    assert "25 of 60 rows kept (41.7%)." in page
    assert "1. clean 60 50 83.3% 10 16.7%" in page
    assert "too short 10 100%" in page
    assert "2. dsir 50 25 50.0% 25 50.0%" in page
    assert "score below 0 25 100%" in page
    assert "0.50 s 100 0.02 dsir()" in page  # time, rows a second, costs, settings


def test_shows_the_best_the_worst_and_what_just_missed(written, sieve):
    page = Page(written(sieve)).text
    best, worst, missed = (page.index(f"prompt {row} ") for row in (59, 35, 34))
    assert best < page.index("Worst") < worst < page.index("Near misses", worst) < missed


def test_names_the_next_commands(written, sieve):
    page = Page(written(sieve)).text
    row = bytes(sieve.steps[1].selection.ids[-1]).hex()
    assert f"tamis explain 20250102-0304-abcd {row}" in page
    assert 'tamis sql "SELECT' in page
    assert "tamis export 20250102-0304-abcd --to out --format parquet" in page


def test_asks_for_nothing_and_runs_nothing_but_its_own_script(written, sieve):
    page = Page(written(sieve))
    reached = page.values("href") + page.values("src")
    assert all(address.startswith(("#", "data:image/svg+xml,")) for address in reached)
    assert not page.values("style")
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import", page.styles[0])

    policy = next(value for value in page.values("content") if "default-src" in value)
    digests = [
        "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (page.styles[0], page.scripts[-1])
    ]
    assert policy == (
        f"default-src 'none'; style-src '{digests[0]}'; script-src '{digests[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_every_link_leads_somewhere_and_ids_are_unique(written, sieve):
    page = Page(written(sieve))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in page.values("href") if address[0] == "#"} <= set(ids)


def test_shows_how_weights_moved_and_names_as_text(written, view, step):
    made = step([2.0, 1.0], [0], method="doremi")
    moved = pa.table({"b": [0.5, 0.25, 0.25], HOSTILE: [0.5, 0.75, 0.75]})
    selection = replace(made.selection, traces=moved)
    page = Page(written(view([{"text": "a"}, {"text": "b"}], [replace(made, selection=selection)])))
    assert f"{HOSTILE[:20]}" in page.text
    assert "b 0.5 0.25 0.25" in page.text
    assert page.text.index(HOSTILE[:20]) < page.text.index("b 0.5 0.25")  # the highest first
    assert "M0.0 8.0L50.0 16.0L100.0 16.0" in page.values("d")
    assert "img" not in page.tags


def test_markup_from_anywhere_is_shown_as_text(written, view, step):
    rows = [{"prompt": HOSTILE, "completion": HOSTILE, "source": f"{HOSTILE}{n}"} for n in range(2)]
    rejected = Dataset(pa.table({"file": [HOSTILE], "line": [None], "reason": [HOSTILE]}))
    made = step([2.0, 1.0], [0], ["", HOSTILE], method=HOSTILE)
    object.__setattr__(made, "settings", HOSTILE)
    told = dict.fromkeys(("name", "pool_name", "recipe", "command", "error", "run_id"), HOSTILE)
    more = told | {"rejected": rejected, "status": HOSTILE, "pool_key": HOSTILE}
    text = written(view(rows, [made], versions={HOSTILE: HOSTILE}, **more))

    page = Page(text)
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>window.pwned=1</script><img src=x onerror='pwned=1'>") > 12
    assert "{{7*7}}" in page.text


def test_stays_under_five_megabytes_whatever_the_pool(written, view, step):
    # Characters that take the most bytes, in more rows, steps, reasons and sources than are shown.
    worst = '&😀\0"' * 2000
    rows = [{"prompt": worst, "completion": worst, "source": f"{n}{worst}"} for n in range(3000)]
    ids = np.frombuffer(b"".join(n.to_bytes(16, "big") for n in range(3000)), "V16")
    steps = []
    for number in range(12):
        n = 3000 - 10 * number
        scores = np.random.default_rng(number).normal(size=n)
        reasons = [f"{'abcdefghij'[i % 10]}{worst}" for i in range(n)]
        steps.append(step(scores, range(10, n), reasons, ids=ids[-n:], method=f"step{number}"))
    rejected = Dataset(
        pa.table({"file": [worst] * 500, "line": [*range(500)], "reason": [worst] * 500})
    )
    run = view(rows, steps, rejected=rejected, recipe=worst * 100, error=worst, name=worst)
    assert MEGABYTE < len(written(run).encode()) < 5 * MEGABYTE


def test_the_same_run_gives_the_same_bytes(written, sieve):
    assert written(sieve) == written(sieve)


def test_control_characters_are_seen(written, view, step):
    page = written(view([{"text": "a\0b\x1bc"}], [step([1.0], [0])]))
    assert "a␀b␛c" in page
    assert "\0" not in page


def test_what_is_cut_says_so(written, view, step):
    page = Page(written(view([{"text": "x" * 100_000}], [step([1.0], [0])])))
    assert "cut: 98,800 more characters" in page.text


@pytest.mark.parametrize("rows", [0, 3])
def test_a_run_that_failed_before_its_first_step_has_a_page(written, view, pool, rows):
    empty = Dataset(pa.table({"text": pa.array([], pa.string())}))
    run = view(pool(rows) or empty, status="failed", error="disk is full", seconds=None, seed=None)
    page = Page(written(run)).text
    assert "failed" in page
    assert "disk is full" in page
    assert f"0 of {rows} rows kept" in page
    assert "No row was kept." in page


def test_a_step_that_kept_nothing_or_everything_has_a_section(written, view, pool, step):
    page = Page(written(view(pool(3), [step([3.0, 1, 2], [0, 1, 2]), step([1.0, 2, 3], [])]))).text
    assert "This step dropped nothing." in page
    assert "0 of 3 rows kept (0%)" in page


def test_rejected_rows_are_listed_up_to_a_hundred(written, view, pool):
    rejected = Dataset(
        pa.table({"file": ["a.jsonl"] * 130, "line": range(7, 137), "reason": ["not JSON"] * 130})
    )
    page = Page(written(view(pool(3), rejected=rejected))).text
    assert "130 more could not be read" in page
    assert "The first 100 of 130." in page
    assert "a.jsonl 106 not JSON" in page
    assert "a.jsonl 107" not in page


def test_no_secret_of_a_recipe_reaches_the_page(written, view, pool):
    told = "judge: openai:m?api_key=TOPSECRET1\npool: https://me:TOPSECRET2@host/x\n"
    run = view(pool(3), recipe=told, command=f"tamis run --set api_key={told[20:]}", error=told)
    assert "TOPSECRET" not in written(run)


def test_an_unwritable_place_is_one_line(view, pool, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(DataError, match=r"report\.html: cannot be written"):
        write_report(view(pool(3)), tmp_path / "report.html")
