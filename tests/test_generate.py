"""`tamis generate`, with a model that plays a known part."""

import json
import sys

import pytest

import tamis
from tamis.cli import main
from tamis.pipelines.recipe import Recipe
from tamis.prompting.generation import SelfInstruct, TeGit
from tamis.prompting.generation.configure import FOR_THE_BUNDLED
from tests.prompting.generation.players import Player
from tests.prompting.generation.test_self_instruct import LISTS, SEEDS, play


@pytest.fixture
def generate(monkeypatch, tmp_path, capsys):
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join(json.dumps(row) + "\n" for row in SEEDS))
    monkeypatch.chdir(tmp_path)
    player = Player(lambda prompt, how: play(prompt, how) if _is_listed(prompt) else "Yes.")
    monkeypatch.setattr("tamis.prompting.generation.base.load_lm", lambda name: player)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tamis", "generate", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    call.player = player
    return call


def _is_listed(prompt):
    """Whether a prompt shows examples to go on with, rather than asking as a user does."""
    return prompt.startswith(LISTS) or "Task: " in prompt


CALL = ("self-instruct", "seeds.jsonl", "-n", "4", "-o", "new.jsonl", "--set", "requests=2")


def test_new_rows_and_what_was_refused_lie_side_by_side(generate, tmp_path):
    code, out, _ = generate(*CALL, "--model", "player")
    assert code == 0
    assert "4 of 4 new tasks" in out
    assert "counted by: bytes" in out
    rows = tamis.load(tmp_path / "new.jsonl")
    assert len(set(rows["task"])) == 4
    assert set(rows["model"]) == {"player"}
    assert "too few words" in tamis.load(tmp_path / "new.refused.jsonl")["filter"][:]
    assert set(rows["request"]) <= set(tamis.load(tmp_path / "new.requests.jsonl")["request"])


def test_one_json_document_says_it_all(generate):
    code, out, _ = generate(*CALL, "--model", "player", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["tasks"], told["output"]) == (4, "new.jsonl")
    assert told["refused"]["too few words"] > 0


def test_a_limit_ends_it_with_what_there_is(generate):
    # A round of two lists, their types and their instances takes no more than 40,000 bytes.
    code, out, _ = generate(*CALL[:3], "50", *CALL[4:], "--model", "player", "--tokens", "60000")
    assert code == 0
    assert "of 50 new tasks" in out
    assert "give a higher limit to go on" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "temperature", "asked_for"),
    [
        (("--model", "bundled"), 1.0, {"answer"}),
        (("--model", "bundled", "--set", "temperature=0.7"), 0.7, {"answer"}),
        (("--model", "player"), 0.7, {"type", "instances"}),
    ],
)
def test_the_bundled_model_has_settings_of_its_own(generate, arguments, temperature, asked_for):
    assert generate(*CALL, *arguments)[0] == 0
    _, how = generate.player.calls[0]
    assert how["temperature"] == temperature
    kinds = {row["request"].rpartition(".")[2] for row in tamis.load("new.requests.jsonl")}
    assert {kind for kind in kinds if not kind.isdigit()} == asked_for


@pytest.mark.parametrize(("name", "method"), [("self-instruct", SelfInstruct), ("tegit", TeGit)])
def test_the_shipped_recipes_have_them_too(name, method):
    made, _ = Recipe.load(name).generator()
    assert made == method("bundled", **FOR_THE_BUNDLED[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("self-instruct", "seeds.jsonl", "-o", "new.jsonl"), "takes -n, how many new tasks"),
        (("tegit", "seeds.jsonl", "-o", "new.doc"), "-o new.doc: no kind of file"),
        (("tegti", "seeds.jsonl", "-o", "new.jsonl"), "tegti"),
        (("tegit", "nothing.jsonl", "-o", "new.jsonl"), "nothing.jsonl: no such file"),
        ((*CALL, "--set", "instancs=3"), "no setting 'instancs'; did you mean 'instances'?"),
        ((*CALL, "--set", "answers=never"), "answers is 'never'; input should be 'examples' or"),
    ],
)
def test_a_wrong_call_is_one_line(generate, arguments, message):
    code, _, errors = generate(*arguments)
    assert code == 2
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
