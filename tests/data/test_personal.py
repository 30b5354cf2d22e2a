import pyarrow as pa
import pytest
from datasets import Dataset

from tamis.data.ids import example_ids
from tamis.data.personal import KINDS, counts, find, mask, masked
from tamis.errors import SettingError

# Made up for these tests; the cards are the issuers' published test numbers.
THERE = {
    "email": ["ada@lovelace.org", "first.last+tag@mail.some-firm.co.uk", "a_b@x-y.io"],
    "phone": ["+44 20 7946 0958", "+1 (212) 867-5309", "(212) 867-5309", "212-867-5309",
              "212.867.5309", "+4915112345678"],
    "ip": ["8.8.8.8", "93.184.215.14", "2001:4860:4860::8888"],
    "card": ["4111 1111 1111 1111", "5555-5555-5555-4444",
             "378282246310005", "6011000990139424"],
    "key": ["AKIAIOSFODNN7EXAMPLQ", "ghp_" + "a1B2c3D4e5F6" * 3, "hf_" + "aB3dE5gH7jK9" * 3,
            "sk-proj-" + "aB3dE5gH7jK9" * 3, "AIza" + "Sy0123456789abcdefghijklmnopqrstuvw",
            "-----BEGIN RSA PRIVATE KEY-----"],
}  # fmt: skip
NOT = [
    "write to me@example.com or help@sub.example.org", "a @mention and user@localhost", "x@y",
    "3 + 4 = 7, and 10 - 3 - 2", "1234-56-78", "call 212-555-0123", "the year 2023-2024",
    "version 1.2.3 of 10.0.0.1, 192.168.1.1 and 127.0.0.1", "999.1.2.3", "at 12:30:45",
    "std::vector<int>::iterator", "4111 1111 1111 1112", "1234567890123456",
    "0000 0000 0000 0000", "x4111111111111111y", "sk-xxxxxxxxxxxxxxxxxxxxxxxx",
    "task-based-learning-and-teaching", "risk-adjusted-return-on-capital", "hf_model", "AKIA",
    "π is 3.14159265358979323846", "+5 -3 +2 7", "2^31 = 2147483648", "1+1212121212+3",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "piece"), [(k, p) for k, pieces in THERE.items() for p in pieces])
@pytest.mark.parametrize("around", ["{}", "It is {}.", "({}), or", "a:\n{}\nб"])
def test_finds_each_kind_and_all_of_it(kind, piece, around):
    text = around.format(piece)
    assert [(f.kind, text[f.start : f.end]) for f in find(text)] == [(kind, piece)]


@pytest.mark.parametrize("text", NOT)
def test_what_only_looks_like_it_stays(text):
    assert find(text) == []


def test_a_whole_private_key_goes():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQ+/=\nAAAA\n-----END PRIVATE KEY-----"
    text = f"this: {key}"
    (found,) = find(text)
    assert text[found.start : found.end] == key


def test_a_card_is_known_by_its_check_digit():
    # 4111 1111 1111 1111 by hand: every second digit counts double, 8 + 7 twos, and the
    # others once, 8 ones: 8 + 14 + 8 = 30, which ten divides. Of ten last digits one is true.
    cards = [f"411111111111111{digit}" for digit in range(10)]
    assert [card for card in cards if find(card)] == ["4111111111111111"]


def test_the_batch_finds_what_the_text_does():
    texts = [f"see {piece}, and {piece}" for pieces in THERE.values() for piece in pieces] + NOT
    column = pa.array(texts, pa.large_string())
    found = counts(column)
    for row, text in enumerate(texts):
        said = [one.kind for one in find(text)]
        assert {kind: found[kind][row] for kind in KINDS} == {k: said.count(k) for k in KINDS}
    masks = masked(column).to_pylist()
    assert all(find(text) == [] for text in masks)
    assert masks[0] == "see [email], and [email]"
    assert masks[-len(NOT) :] == NOT


def test_only_the_kinds_asked_for_are_found():
    text = "ada@lovelace.org at 8.8.8.8"
    assert [f.kind for f in find(text, ("ip",))] == ["ip"]
    assert masked(pa.array([text], pa.large_string()), ("ip",)).to_pylist() == [
        "ada@lovelace.org at [ip]"
    ]


def test_no_kinds_find_nothing():
    assert find("ada@lovelace.org", ()) == []
    assert counts(pa.array(["ada@lovelace.org"], pa.large_string()), ()) == {}


def test_masks_text_at_any_depth_and_nothing_else():
    rows = Dataset.from_list(
        [
            {"messages": [{"role": "user", "content": "I am ada@lovelace.org"},
                          {"role": "assistant", "content": "Hello."}],
             "tags": ["at 8.8.8.8", None], "n": 4111111111111111, "tamis_id": "8.8.8.8"},
            {"messages": [], "tags": None, "n": 1, "tamis_id": "x"},
            {"messages": None, "tags": [], "n": None, "tamis_id": "y"},
        ]
    )  # fmt: skip
    done = mask(rows)
    assert done.features == rows.features
    assert done[0]["messages"][0]["content"] == "I am [email]"
    assert done[0]["messages"][1] == rows[0]["messages"][1]
    assert done[0]["tags"] == ["at [ip]", None]
    assert (done[0]["n"], done[0]["tamis_id"]) == (4111111111111111, "8.8.8.8")
    assert done[1:] == rows[1:]


def test_a_masked_row_is_another_example():
    rows = Dataset.from_dict({"text": ["ada@lovelace.org"]})
    assert example_ids(mask(rows)).tolist() != example_ids(rows).tolist()


def test_an_unknown_kind_is_named():
    with pytest.raises(SettingError, match="no kind of personal data 'mail'; did you mean 'email'"):
        mask(Dataset.from_dict({"text": ["x"]}), ("mail",))
