"""`tamis generate`, with a model that plays a known part."""

import json
import sys

import pytest

import tamis
from tamis.cli import main
from tests.prompting.generation.players import Player
from tests.prompting.generation.test_self_instruct import SEEDS, play


@pytest.fixture
def generate(monkeypatch, tmp_path, capsys):
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join(json.dumps(row) + "\n" for row in SEEDS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tamis.prompting.generation.base.load_lm", lambda name: Player(play))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tamis", "generate", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return call


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
