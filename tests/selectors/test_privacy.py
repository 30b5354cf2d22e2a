import pytest
from datasets import Dataset

from tamis.errors import SettingError
from tamis.selectors import Privacy

POOL = Dataset.from_dict(
    {
        "instruction": [
            "write to ada@lovelace.org and bob@firm.org",
            "name a moon",
            "whose is it?",
        ],
        "output": ["call 212-867-5309", "Io", "it is at 8.8.8.8"],
    }
)


def test_drops_rows_with_personal_data_wherever_it_stands():
    picked = Privacy().select(POOL)
    assert picked.indices.tolist() == [1]
    assert picked.scores.tolist() == [-3, 0, -1]
    assert picked.reasons.tolist() == [
        "personal data: 2 e-mail addresses, 1 phone number", "kept", "personal data: 1 IP address",
    ]  # fmt: skip
    assert picked.signals["email"].to_pylist() == [2, 0, 0]


def test_says_how_many_and_never_what():
    picked = Privacy().select(POOL)
    assert "lovelace" not in repr([picked.reasons.tolist(), picked.signals.to_pylist()])


def test_looks_for_the_kinds_asked_for():
    picked = Privacy(kinds="ip").select(POOL)
    assert sorted(picked.indices.tolist()) == [0, 1]
    assert picked.signals.column_names == ["ip"]


def test_a_wrong_kind_is_named():
    with pytest.raises(SettingError, match=r"no kind .* 'emial'; did you mean 'email'"):
        Privacy(kinds=("emial",))
