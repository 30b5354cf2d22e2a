"""Every block of code in the documentation is of a kind that is run here, and is.

The blocks of a page are run in its order, in one folder that has the reader's own files
(`pool.jsonl`, `wanted.jsonl`, `prompt.txt`) and the sample. Where a block shows output, the
command says it; '…' stands for anything.
"""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer
import yaml

from tamis.cli import app, main
from tamis.data.catalog import catalog
from tamis.pipelines.recipe import Recipe
from tamis.pipelines.runs import runs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ["tutorial", "fine-tuning", "nightly", "prompts"]  # in order and whole
NEEDS_TORCH = {"prompts"}

# Run by the tests named, and parsed here: they go on until stopped, need another machine's
# service, or train for minutes.
ELSEWHERE = {
    "tamis ui": "tests/ui/test_browser.py",
    "tamis serve --proxy": "tests/prompting/serving/test_proxy.py",
    "tamis serve": "tests/flows/test_deploy.py",
    "tamis deploy": "tests/flows/test_deploy.py",
    "tamis compare": "tests/flows/test_compare.py",
    "tamis report last --open": "tests/test_cli.py",
}
# What a reader did to be here, and what other programs do.
NOT_OURS = ("make ", "source .venv", "pip install", "duckdb ", "prefect ")


def blocks(page):
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(text):
    """Return each command of a console block, and the lines of output under it."""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif line.strip():
            found[-1][1].append(line)
    return found


ALL_COMMANDS = [
    pytest.param(command, id=f"{page.stem}: {command[:60]}")
    for page in PAGES
    for language, text in blocks(page)
    if language == "console"
    for command, _ in commands(text)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_of_a_kind_that_is_run(page):
    assert {language for language, _ in blocks(page)} <= {"console", "python", "sql", "yaml"}


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_every_command_is_one_with_the_options_that_there_are(command):
    if command.startswith(NOT_OURS):
        return
    program, name, *arguments = shlex.split(command, comments=True)
    assert program == "tamis"
    typer.main.get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).is_file(), target


@pytest.mark.parametrize("test", ELSEWHERE.values())
def test_what_is_run_elsewhere_is_run_there(test):
    assert (ROOT / test).is_file()


def test_a_recipe_of_any_page_is_sound_and_an_automation_is_one_of_prefect_s():
    from prefect.automations import Automation

    for page in PAGES:
        for language, text in blocks(page):
            if language == "yaml" and "steps:" in text:
                assert Recipe.parse(text, page.name).steps
            elif language == "yaml":
                assert Automation.model_validate(yaml.safe_load(text)).actions


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with the sample, and with rows and a prompt of the reader's own."""
    things = ["moon", "river", "engine", "poem", "planet", "bread", "window", "forest"]
    rows = [
        {
            "prompt": f"Tell me about the {thing} number {n} in a few words.",
            "completion": f"The {thing} with number {n} is {'quite ' * (n % 5)}old, and people "
            f"speak of it {n * 7} times a year.",
        }
        for n in range(25)
        for thing in things
    ]
    wanted = [
        {"prompt": f"What is a {thing}?", "completion": f"A {thing} is old."} for thing in things
    ]
    for name, said in (("pool", rows), ("wanted", wanted)):
        lines = "".join(json.dumps(row) + "\n" for row in said)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    (tmp_path / "prompt.txt").write_text(
        "Minutes of the third meeting. Present were Ada, Grace and Edsger. Donald sent regrets. "
        "Ada said that the sieve was late, as the mesh had not been delivered. Grace had called "
        "the maker twice, and was told that it would come on Thursday at the latest. Edsger "
        "doubted that, asked if another could be found. It was agreed to wait till Friday "
        "and then to order from the second maker, at a cost of 412 crowns.\n"
    )
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def typed(command, monkeypatch, capsys):
    """Call the command line; return what it printed, on one line."""
    words = shlex.split(command, comments=True)
    if "RUN_A" in words:
        words[words.index("RUN_A")] = runs()[-1].id
    monkeypatch.setattr(sys, "argv", words)
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 0, (command, said.err)
    return " ".join(said.out.split())


@pytest.mark.parametrize("name", RUN)
@pytest.mark.usefixtures("server")
def test_a_page_is_run_from_its_first_block_to_its_last(name, reader, monkeypatch, capsys):
    if name in NEEDS_TORCH:
        pytest.importorskip("torch")
    names = {}
    for language, text in blocks(ROOT / "docs" / f"{name}.md"):
        if language == "yaml":
            (reader / f"{yaml.safe_load(text)['name']}.yaml").write_text(text)
        elif language == "python":
            exec(text, names)
        elif language == "sql":
            assert catalog().table(text).num_rows
        else:
            for command, shown in commands(text):
                if command.startswith((*NOT_OURS, *ELSEWHERE)):
                    continue
                said = typed(command, monkeypatch, capsys)
                for line in shown:
                    pattern = ".*".join(re.escape(" ".join(p.split())) for p in line.split("…"))
                    assert re.search(pattern, said), (command, line, said)
