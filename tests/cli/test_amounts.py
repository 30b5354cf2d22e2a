import pytest

from tamis.cli.amounts import bytes_of, count_of, count_text
from tamis.errors import SettingError


@pytest.mark.parametrize(
    ("said", "count"),
    [("1.6B", 1_600_000_000), ("250M", 250_000_000), ("10k", 10_000), ("10K", 10_000),
     ("7", 7), ("1e9", 10**9), ("1_000_000", 10**6), (" 2 m ", 2 * 10**6), ("2T", 2 * 10**12)],
)  # fmt: skip
def test_counts_as_a_person_writes_them(said, count):
    assert count_of("--rows", said) == count


@pytest.mark.parametrize("said", ["", "B", "many", "1.6Q", "-3", "1,6B", "nan", "inf"])
def test_what_is_no_count_is_named(said):
    with pytest.raises(SettingError, match=r"--rows .*: no number; give one such as 250M"):
        count_of("--rows", said)


def test_a_count_is_one_at_least():
    with pytest.raises(SettingError, match=r"--rows 0\.2: less than one"):
        count_of("--rows", "0.2")


@pytest.mark.parametrize(
    ("said", "amount"),
    [("64GB", 64e9), ("64 gb", 64e9), ("1GiB", 2**30), ("512MiB", 2**29), ("10Gbit", 1.25e9),
     ("10Gbit/s", 1.25e9), ("500MB/s", 5e8), ("1000b", 1000), ("2PB", 2e15)],
)  # fmt: skip
def test_amounts_of_bytes_and_bits(said, amount):
    assert bytes_of("--memory", said) == amount


@pytest.mark.parametrize("said", ["64", "0GB", "GB", "64XB", "fast"])
def test_what_is_no_amount_is_named(said):
    with pytest.raises(SettingError, match=r"--memory .*: no amount; give one such as 64GB"):
        bytes_of("--memory", said)


@pytest.mark.parametrize("number", [1, 999, 1000, 25_000, 3_210_000, 1_600_000_000])
def test_a_count_that_is_written_is_read_again(number):
    assert count_of("--rows", count_text(number)) == number
