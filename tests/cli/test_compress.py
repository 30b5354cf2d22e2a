"""`tamis compress`, as a person or a pipe calls it."""

import io
import json
import sys

import pytest

from tamis.cli import main

TEXT = "Ada Lovelace wrote the first program of all,\r\nand it was never run in her life. 東京"


@pytest.fixture
def run(monkeypatch, capfdbinary):
    """Call the command; return its exit code, stdout and stderr."""

    def called(*arguments, given=""):
        monkeypatch.setattr(sys, "argv", ["tamis", "compress", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        with pytest.raises(SystemExit) as left:
            main()
        told = capfdbinary.readouterr()
        return left.value.code, told.out.decode(), told.err.decode()

    return called


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture
def words(tiny_folder):
    return ["--method", "truncate", "--tokenizer", tiny_folder]


def test_a_pipe_gets_the_text_and_nothing_else(run, words):
    code, out, err = run("-", "--rate", 0.5, *words, given=TEXT)
    assert code == 0
    assert TEXT.startswith(out)
    assert 0 < len(out) < len(TEXT)
    assert "times shorter" in err


def test_a_prompt_under_its_budget_passes_byte_for_byte(run, file, words):
    assert run(file, "--target-tokens", 1000, *words)[1] == TEXT


def test_several_files_are_documents(run, file, tmp_path, words):
    other = tmp_path / "other.txt"
    other.write_text("Another.")
    out = run(file, other, "--question", "Who?", "--rate", 1, *words)[1]
    assert out == f"{TEXT}\n\nAnother.\n\nWho?"


def test_json_says_what_was_kept(run, file, words):
    told = json.loads(run(file, "--rate", 0.5, "--json", *words)[1])
    assert told["text"] == "".join(TEXT[a:b] for a, b in told["kept"])
    assert told["rate"] == told["tokens"] / told["original_tokens"]


def test_mistakes_are_one_line_and_leave_with_2(run, tmp_path, words):
    code, _, err = run(tmp_path / "none.txt", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "no such file" in err
    code, _, err = run("-", "--method", "truncat", given="a b")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'truncate'" in err


def test_bytes_that_are_no_text_are_named(run, tmp_path, words):
    path = tmp_path / "bytes.txt"
    path.write_bytes(b"ab\xff")
    code, _, err = run(path, *words)
    assert code == 1
    assert "byte 2 is not UTF-8" in err


@pytest.fixture
def data(tmp_path):
    rows = [{"prompt": TEXT, "response": answer} for answer in ("Ada", "program", "東京")]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_check_stands_beside_the_baselines(run, data, words, tiny_folder):
    reader = ["--server", f"transformers:{tiny_folder}"]
    code, out, _ = run("--check", data, "--rate", 0.5, *words, *reader, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["prompts"] == 3
    by = {row["method"]: row for row in told["methods"]}
    assert list(by) == ["truncate", "random", "whole", "nothing"]
    assert by["whole"]["answer_survival"] == 1
    assert by["truncate"]["rate"] == pytest.approx(0.5, abs=0.1)
    assert by["whole"]["answer_logprob"] < 0
    code, out, _ = run("--check", data, "--rate", 0.5, *words, *reader)
    assert code == 0
    assert "answer kept" in out


def test_advise_says_it_in_words_and_in_figures(run, file, words, tiny_folder):
    server = ["--server", f"transformers:{tiny_folder}", "--answer-tokens", 2]
    code, out, err = run(file, "--advise", *words, *server)
    assert (code, err) == (0, "")
    assert "compress" in out
    told = json.loads(run(file, "--advise", "--rate", 0.25, *words, *server, "--json")[1])
    assert told["rate"] == 0.25
    assert told["seconds_saved"] < 10
    assert told["pays"] == (told["seconds_saved"] > 0)


def test_advise_without_a_server_is_a_wrong_call(run, file, words):
    code, _, err = run(file, "--advise", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "--server" in err
