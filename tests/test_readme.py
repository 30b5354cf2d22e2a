"""The README's code is run, its recipe read, and its commands are those that exist."""

import re
import shlex
from pathlib import Path

import pytest

from tamis.cli import app
from tamis.pipelines.recipe import Recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    (code,) = blocks("python")
    names = {}
    exec(code, names)
    assert len(names["picked"]) == 1000
    assert set(names["picked"].reasons) > {"kept"}


def test_the_recipe_is_sound(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (text,) = blocks("yaml")
    (tmp_path / "mine.yaml").write_text(text)
    assert len(Recipe.load(tmp_path / "mine.yaml").selectors()) == 3


@pytest.mark.parametrize("line", re.findall(r"^\$ (tamis .*)$", README, flags=re.MULTILINE))
def test_a_command_exists(line):
    names = {command.callback.__name__ for command in app.registered_commands}
    assert shlex.split(line, comments=True)[1] in names


def test_the_pictures_are_there():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file()


def test_every_method_of_the_table_exists():
    from tamis import selectors

    table = README.partition("## Methods")[2].partition("##")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, flags=re.MULTILINE)) <= set(
        selectors.names()
    )
