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
