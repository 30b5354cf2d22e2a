"""Compress for many at once: one thread, and those who wait together are one batch."""

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tamis.prompting.compression import compress
from tamis.prompting.compression.messages import compress_chats
from tamis.prompting.compression.result import Compressed, CompressedMessages
from tamis.prompting.serving.wishes import Wish, settings_of

__all__ = ["Press", "Pressed"]

_AT_ONCE = 32  # wishes a batch: who comes next does not wait for ever


@dataclass(frozen=True)
class Pressed:
    """A request with its prompt compressed, and what that did.

    Attributes
    ----------
    body : bytes
    original_tokens, tokens : int
        Of the prompt's texts, before and after.
    model_tokens : int
        Tokens that went through the compressing model.
    """

    body: bytes
    original_tokens: int
    tokens: int
    model_tokens: int


class Press:
    """The compressor of a server.

    Models are not made to be asked by many threads, and a batch costs less than its
    prompts one by one: while one batch is at work the next one gathers.

    Parameters
    ----------
    **lent
        For `compress`: `lm`, `tokenizer`, and the `method` of who names none.
    """

    def __init__(self, **lent: Any) -> None:  # noqa: ANN401 - those of `compress`
        self._lent = lent
        self._waiting: list[tuple[Wish, asyncio.Future[Pressed]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tamis-press")
        self._worker: asyncio.Task[None] | None = None

    async def press(self, wish: Wish) -> Pressed:
        """Return a request with its prompt compressed.

        Who stops waiting is passed over, unless its batch is at work.

        Raises
        ------
        TamisError
            As `compress`. Others in the batch are not touched by it.
        """
        answer: asyncio.Future[Pressed] = asyncio.get_running_loop().create_future()
        self._waiting.append((wish, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next():
            wishes = [wish for wish, _ in batch]
            done = await loop.run_in_executor(self._thread, self._batch, wishes)
            for (_, answer), one in zip(batch, done, strict=True):
                if answer.done():  # its client has left
                    continue
                if isinstance(one, Exception):
                    answer.set_exception(one)
                else:
                    answer.set_result(one)

    def _next(self) -> list[tuple[Wish, asyncio.Future[Pressed]]]:
        """Take those who ask for the same as the first who waits."""
        waiting = [pair for pair in self._waiting if not pair[1].done()]
        alike = [pair for pair in waiting if _kind(pair[0]) == _kind(waiting[0][0])][:_AT_ONCE]
        taken = {id(answer) for _, answer in alike}
        self._waiting = [pair for pair in waiting if id(pair[1]) not in taken]
        return alike

    def _batch(self, wishes: Sequence[Wish]) -> list[Pressed | Exception]:
        """Compress together; where that fails each alone, so that one harms no other."""
        try:
            return list(self._pressed(wishes))
        except Exception as error:
            if len(wishes) == 1:
                return [error]
        return [done for wish in wishes for done in self._batch([wish])]

    def _pressed(self, wishes: Sequence[Wish]) -> list[Pressed]:
        how = self._lent | settings_of(wishes[0].how) | {"progress": False}
        how["keep"] = [re.escape(phrase) for phrase in how["keep"]]
        chats = [chat for wish in wishes if (chat := wish.chat) is not None]
        if chats:
            talks = compress_chats(chats, **how)
            return [_told(wish, talk, [talk]) for wish, talk in zip(wishes, talks, strict=True)]
        for name in ("keep_last", "roles"):
            del how[name]
        done = iter(compress([text for wish in wishes for text in wish.texts], **how))
        groups = [[next(done) for _ in wish.texts] for wish in wishes]
        return [_told(wish, some, some) for wish, some in zip(wishes, groups, strict=True)]


def _kind(wish: Wish) -> tuple[Any, bool]:
    return wish.how, wish.chat is None


def _told(
    wish: Wish,
    done: CompressedMessages | list[Compressed],
    counted: Sequence[CompressedMessages | Compressed],
) -> Pressed:
    return Pressed(
        wish.granted(done),
        sum(one.original_tokens for one in counted),
        sum(one.tokens for one in counted),
        sum(one.model_tokens for one in counted),
    )
