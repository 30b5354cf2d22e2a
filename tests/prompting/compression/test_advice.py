"""Whether compressing pays: the sums by hand, and the measuring on models of known speed."""

import time

import pytest

from tamis.errors import SettingError
from tamis.models.base import Generation
from tamis.prompting import advise
from tamis.prompting.compression.advice import Advice
from tamis.prompting.compression.speeds import Speed, measure_compressor, measure_server


def advice(**changed):
    # The compressor: 0.1 s and 0.5 ms a token. The server: 1 s and 2 ms a token.
    known = {
        "prompt_tokens": 1000,
        "answer_tokens": 100,
        "rate": 0.25,
        "compressor": Speed(0.1, 0.0005),
        "server": Speed(1.0, 0.002),
    }
    return Advice(**known | changed)


def test_time_by_hand():
    # 1 + 2 = 3 s without; 0.1 + 0.5 + 1 + 0.25 * 2 = 2.1 s with it.
    told = advice()
    assert told.seconds_before == pytest.approx(3.0)
    assert told.seconds_after == pytest.approx(2.1)
    assert told.pays
    # A token brings 0.75 * 2 ms - 0.5 ms = 1 ms, and the start costs 100 ms.
    assert told.break_even_tokens == pytest.approx(100, abs=1)
    # 0.6 s of the 2 s must be saved at least: a rate under 0.7.
    assert told.break_even_rate == pytest.approx(0.7)
    assert str(told).startswith("compress: 1,000 tokens at rate 0.25 take 2.1 s in place of 3 s")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_break_even_is_where_the_saving_changes_sign(rate):
    told = advice(rate=rate, compressor=Speed(0.3, 0.0001), price=2.0, hourly=1.0)
    n, m = told.break_even_tokens, told.break_even_tokens_money
    fixed = {"rate": rate, "compressor": Speed(0.3, 0.0001), "price": 2.0, "hourly": 1.0}
    assert advice(prompt_tokens=n - 1, **fixed).seconds_saved <= 1e-12
    assert advice(prompt_tokens=n, **fixed).seconds_saved > -1e-12
    assert advice(prompt_tokens=m - 1, **fixed).money_saved <= 1e-12
    assert advice(prompt_tokens=m, **fixed).money_saved > -1e-12
    at = advice(
        rate=advice(**fixed | {"rate": rate}).break_even_rate, compressor=Speed(0.3, 0.0001)
    )
    assert at.seconds_saved == pytest.approx(0)


def test_below_break_even_it_says_do_not():
    told = advice(prompt_tokens=50)
    assert not told.pays
    assert str(told).startswith("do not compress to save time: 50 tokens")
    assert "from 101 tokens on" in str(told) or "from 100 tokens on" in str(told)


def test_a_compressor_slower_than_the_server_pays_at_no_length():
    told = advice(compressor=Speed(0.0, 0.01))
    assert (told.pays, told.break_even_tokens, told.break_even_rate) == (False, None, None)
    assert "at no length" in str(told)
    assert "at no rate" in str(told)


def test_money_by_hand_and_apart_from_time():
    # 0.75 * 1000 tokens at 4 a million are 0.003; 10 s of a machine at 0.36 an hour 0.001.
    told = advice(compressor=Speed(0.0, 0.01), price=4.0, hourly=0.36)
    assert told.money_saved == pytest.approx(0.002)
    assert told.seconds_saved < 0
    assert told.pays
    assert "do not compress to save time" in str(told)
    assert "compress to save money: 2 for a thousand calls" in str(told)
    assert advice().money_saved is None
    assert "money" not in str(advice())


class Clock:
    """A server whose time stands still but for what it says of itself."""

    fingerprint = "clock"

    def __init__(self, monkeypatch):
        self.now, self.asked = 0.0, []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def generate(self, prompts, *, max_tokens):
        (prompt,) = prompts
        n = len(prompt.split())
        self.asked.append(prompt)
        self.now += 0.5 + 0.001 * n + (max_tokens - 1) * (0.02 + 0.00001 * n)
        return [Generation(("x",), ("length",))]


def test_a_servers_speed_is_found_out(monkeypatch):
    clock = Clock(monkeypatch)
    speed = measure_server(clock, 1000, 101, tokenizer=str.split)
    # 100 more tokens of answer: 2 s, and 0.00001 s * 100 a token of the prompt.
    assert speed.fixed == pytest.approx(2.5)
    assert speed.token == pytest.approx(0.002)
    assert len(set(clock.asked)) == len(clock.asked)  # no prompt is in anybody's cache


def test_a_server_is_not_asked_for_more_than_it_reads(monkeypatch):
    clock = Clock(monkeypatch)
    clock.context = 512
    measure_server(clock, 100_000, 10, tokenizer=str.split)
    assert max(len(prompt.split()) for prompt in clock.asked) == 256


def test_a_compressors_speed_is_found_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slow(text):
        now[0] += 0.001 * len(text.split())
        return text.split()

    speed = measure_compressor("truncate", 1000, rate=1.0, tokenizer=slow)
    assert speed.fixed == pytest.approx(0, abs=1e-9)
    assert speed.token > 0


def test_advice_measures_what_it_is_not_told(monkeypatch):
    told = advise(
        prompt_tokens=1000,
        answer_tokens=101,
        server=Clock(monkeypatch),
        compressor="truncate",
        rate=0.5,
        tokenizer=str.split,
    )
    assert told.compressor == Speed(0.0, 0.0)  # its clock stood still
    assert told.seconds_saved == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [{"prompt_tokens": 0}, {"answer_tokens": 0}, {"rate": 1.0}])
def test_numbers_out_of_range_are_refused(wrong):
    known = {"prompt_tokens": 1, "answer_tokens": 1, "server": Speed(0, 0), "rate": 0.5}
    with pytest.raises(SettingError, match=next(iter(wrong))):
        advise(**known | wrong)
