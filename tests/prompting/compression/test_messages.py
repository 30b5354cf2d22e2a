"""Chats in and out."""

import json

import pytest

from tamis.errors import BudgetError, DataError, SettingError
from tamis.prompting import compress_messages
from tests.prompting.compression.readers import Words

LONG = "Kepler measured the orbit of Mars, and it was an ellipse of the sun in all his tables. " * 3
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
TALK = [
    {"role": "system", "content": LONG},
    {"role": "user", "content": LONG, "name": "ada"},
    {"role": "assistant", "content": LONG, "tool_calls": [CALL]},
    {"role": "tool", "content": LONG, "tool_call_id": "1"},
    {"role": "user", "content": [
        {"type": "text", "text": LONG},
        {"type": "image_url", "image_url": {"url": "data:x"}},
    ]},
    {"role": "assistant", "content": None},
    {"role": "user", "content": LONG},
]  # fmt: skip


def press(messages, *args, **how):
    return compress_messages(messages, *args, lm=Words(), **how)


def test_what_was_said_before_is_shortened_and_the_rest_left():
    done = press(TALK, rate=0.3)
    assert [m["role"] for m in done] == [m["role"] for m in TALK]
    assert len(done[1]["content"]) < len(LONG) / 2
    assert done[1]["name"] == "ada"
    assert len(done[4]["content"][0]["text"]) < len(LONG) / 2
    assert done[4]["content"][1] == TALK[4]["content"][1]
    assert [done[i] for i in (0, 2, 3, 5, 6)] == [TALK[i] for i in (0, 2, 3, 5, 6)]


def test_the_messages_given_are_not_changed():
    before = json.dumps(TALK)
    press(TALK, rate=0.3)
    assert json.dumps(TALK) == before


def test_the_result_is_a_list_that_goes_into_a_request():
    done = press(TALK, 0.3)
    assert json.loads(json.dumps(done)) == done
    assert done.tokens < done.original_tokens
    assert done.rate == done.tokens / done.original_tokens == 1 / done.ratio
    assert done.model_tokens > 0


def test_the_last_messages_stay():
    assert press(TALK, 0.3, keep_last=len(TALK)) == TALK
    assert press(TALK, 0.3, keep_last=0)[-1] != TALK[-1]


def test_tools_are_shortened_when_asked():
    done = press(TALK, 0.3, roles=("user", "assistant", "tool", "system"))
    assert len(done[3]["content"]) < len(LONG) / 2
    assert done[3]["tool_call_id"] == "1"
    assert done[2]["tool_calls"] == [CALL]
    assert len(done[0]["content"]) < len(LONG) / 2


def test_a_target_holds_for_all_texts_together():
    whole = press(TALK, 1.0).original_tokens
    done = press(TALK, target_tokens=whole - 60)
    assert whole - 75 <= done.tokens <= whole - 60


def test_a_target_below_what_stays_is_refused():
    with pytest.raises(BudgetError, match="what stays whole has"):
        press(TALK, target_tokens=5)


def test_no_messages_are_no_messages():
    assert press([]) == []


def test_a_wrong_chat_is_named():
    with pytest.raises(DataError, match="message 1 is no mapping with a role"):
        press([{"role": "user", "content": "a"}, {"content": "b"}])
    with pytest.raises(SettingError, match="takes no question="):
        press(TALK, question="?")
    with pytest.raises(SettingError, match="keep_last=-1"):
        press(TALK, keep_last=-1)
