"""The compressor's thread: who waits together is one batch, and each gets its own."""

import asyncio

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from tamis.errors import BudgetError
from tamis.prompting.serving.press import Press
from tamis.prompting.serving.wishes import How, Wish
from tests.prompting.compression.readers import Words


class Counting(Words):
    """Also notes how many texts each call asked for."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def logprobs(self, prompts, continuations=None):
        self.calls.append(len(prompts))
        return super().logprobs(prompts, continuations)


def wish(prompt, **how):
    field = "prompt" if isinstance(prompt, str) else "messages"
    return Wish(How(**how), {field: prompt}, field)


def pressed(*wishes):
    """Press all at once; return what each got, and the sizes of the model's batches."""
    lm = Counting()

    async def all_of_them():
        press = Press(lm=lm, tokenizer=str.split, method="llmlingua")
        return await asyncio.gather(*map(press.press, wishes), return_exceptions=True)

    return asyncio.run(all_of_them()), lm.calls


def chat(first):
    return [{"role": "user", "content": first}, {"role": "user", "content": "now?"}]


@pytest.mark.parametrize("form", [str, chat])
def test_who_asks_for_the_same_is_one_batch(form):
    wishes = [wish(form(f"word{i} " * 8), rate=0.5) for i in range(10)]
    done, calls = pressed(*wishes)
    assert calls == [10]
    assert [f"word{i}".encode() in one.body for i, one in enumerate(done)] == [True] * 10
    alone = [pressed(one)[0][0] for one in wishes]
    assert done == alone


def test_other_wishes_are_other_batches():
    done, calls = pressed(*(wish(f"word{i} " * 8, rate=r) for i, r in enumerate((0.5, 0.25, 0.5))))
    assert sorted(calls) == [1, 2]
    assert [one.tokens for one in done] == [4, 2, 4]


def test_one_that_fails_gets_its_error_alone():
    how = {"target_tokens": 2, "keep": ("all of this",)}
    done, _ = pressed(wish("a b c all of this", **how), wish("words and others", **how))
    assert isinstance(done[0], BudgetError)
    assert done[1].tokens == 2


def test_who_stops_waiting_is_passed_over():
    lm = Counting()

    async def leaving():
        press = Press(lm=lm, tokenizer=str.split, method="llmlingua")
        waiting = [
            asyncio.create_task(press.press(wish(f"word{i} " * 8, rate=0.5))) for i in range(4)
        ]
        await asyncio.sleep(0)  # all are in line, none is at work
        waiting[1].cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    done = asyncio.run(leaving())
    assert isinstance(done[1], asyncio.CancelledError)
    assert sum(lm.calls) == 3
    assert done[3].tokens == 4
