"""Compress a chat: messages in and out, in the format of OpenAI's API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tamis.errors import BudgetError, DataError, SettingError
from tamis.prompting.compression.press import compress
from tamis.prompting.compression.result import Compressed, CompressedMessages

__all__ = ["compress_chats", "compress_messages"]

_TEXTS = {"text", "input_text"}


def compress_messages(
    messages: Sequence[Mapping[str, Any]],
    rate: float | None = None,
    keep_last: int = 1,
    *,
    target_tokens: int | None = None,
    roles: Sequence[str] = ("user", "assistant"),
    **how: Any,  # noqa: ANN401 - those of `compress`
) -> CompressedMessages:
    """Shorten the texts of a chat, and leave all else in it as it is.

    Parameters
    ----------
    messages : sequence of mappings
        With 'role' and 'content': text, or a list of parts of which those of type 'text'
        are compressed. Other keys and parts (names, images, …) are passed on.
    rate : float, optional
        Of the texts that are compressed; default 0.5.
    keep_last : int
        So many messages at the end stay whole: what is asked now.
    target_tokens : int, optional
        Instead of `rate`: the most tokens of *all* texts together, those that stay whole
        included. The chat template's own are not counted.
    roles : sequence of str
        Whose messages are compressed. A message that calls a tool, or answers a call, stays
        whole unless 'tool' is among them, and its calls stay as they are in any case.
    **how
        As for `compress`: `method`, `keep`, `structure`, `tokenizer`, `lm`, ….

    Raises
    ------
    BudgetError
        If what stays whole has more than `target_tokens`.
    """
    return compress_chats(
        [messages], rate, keep_last, target_tokens=target_tokens, roles=roles, **how
    )[0]


def compress_chats(
    chats: Sequence[Sequence[Mapping[str, Any]]],
    rate: float | None = None,
    keep_last: int = 1,
    *,
    target_tokens: int | None = None,
    roles: Sequence[str] = ("user", "assistant"),
    **how: Any,  # noqa: ANN401 - those of `compress`
) -> list[CompressedMessages]:
    """Shorten many chats in one batch, each as `compress_messages` does."""
    if keep_last < 0:
        raise SettingError(f"keep_last={keep_last}; give 0 or more")
    for name in ("contexts", "question", "instruction"):
        if how.get(name):
            raise SettingError(f"compress_messages takes no {name}=: the messages are the prompt")
    talks = [_Talk.of(messages, keep_last, roles) for messages in chats]
    whole = iter(compress([text for talk in talks for text in talk.fixed], rate=1.0, **how))
    fixed = [sum(next(whole).original_tokens for _ in talk.fixed) for talk in talks]
    if target_tokens is None:
        done = iter(compress([text for talk in talks for text in talk.free], rate=rate, **how))
        return [
            talk.told(tokens, [next(done) for _ in talk.places])
            for talk, tokens in zip(talks, fixed, strict=True)
        ]
    return [
        _within(target_tokens, talk, tokens, how) for talk, tokens in zip(talks, fixed, strict=True)
    ]


def _within(
    target_tokens: int, talk: "_Talk", fixed: int, how: dict[str, Any]
) -> CompressedMessages:
    """Return a chat whose texts have so many tokens at most, at one rate for all of them."""
    share = _share(talk.free, fixed, target_tokens, how)
    chat = talk.told(fixed, compress(talk.free, rate=share, **how))
    if chat.tokens > target_tokens:
        raise BudgetError(
            f"compress_messages: with what keep= and structure= protect there are {chat.tokens} "
            f"tokens, but target_tokens is {target_tokens}; raise it, or keep less"
        )
    return chat


@dataclass(frozen=True)
class _Talk:
    """A chat, copied, and where in it lie the texts that may change.

    Attributes
    ----------
    messages : list of dict
    places : list of (dict, str)
        Of each text that may change: what holds it, and under which key.
    fixed : list of str
        The other texts.
    """

    messages: list[dict[str, Any]]
    places: list[tuple[dict[str, Any], str]]
    fixed: list[str]

    @classmethod
    def of(
        cls, messages: Sequence[Mapping[str, Any]], keep_last: int, roles: Sequence[str]
    ) -> "_Talk":
        talk = [_copied(number, message) for number, message in enumerate(messages)]
        until = len(talk) - keep_last
        free = [i < until and _may_change(message, roles) for i, message in enumerate(talk)]
        texts = [
            (place, mine)
            for message, mine in zip(talk, free, strict=True)
            for place in _texts(message)
        ]
        places = [place for place, mine in texts if mine]
        return cls(talk, places, [holder[key] for (holder, key), mine in texts if not mine])

    @property
    def free(self) -> list[str]:
        """The texts that may change."""
        return [holder[key] for holder, key in self.places]

    def told(self, fixed: int, done: list[Compressed]) -> CompressedMessages:
        """Return the chat with its texts compressed; the others have `fixed` tokens."""
        for (holder, key), one in zip(self.places, done, strict=True):
            holder[key] = one.text
        return CompressedMessages(
            self.messages,
            fixed + sum(one.tokens for one in done),
            fixed + sum(one.original_tokens for one in done),
            sum(one.model_tokens for one in done),
        )


def _share(texts: list[str], fixed: int, target_tokens: int, how: dict[str, Any]) -> float:
    """Return the rate at which the texts fit what the others leave."""
    if fixed > target_tokens:
        raise BudgetError(
            f"compress_messages: what stays whole has {fixed} tokens, but target_tokens is "
            f"{target_tokens}; raise it, or lower keep_last"
        )
    lengths = sum(one.original_tokens for one in compress(texts, rate=1.0, **how))
    return min(1.0, (target_tokens - fixed) / max(1, lengths))


def _copied(number: int, message: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(message, Mapping) or "role" not in message:
        raise DataError(f"message {number} is no mapping with a role; give role and content")
    copy = dict(message)
    if isinstance(copy.get("content"), list):
        copy["content"] = [
            dict(part) if isinstance(part, Mapping) else part for part in copy["content"]
        ]
    return copy


def _may_change(message: dict[str, Any], roles: Sequence[str]) -> bool:
    calls = message.get("tool_calls") or message.get("function_call") or message.get("tool_call_id")
    return message["role"] in roles and (not calls or "tool" in roles)


def _texts(message: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return where the message holds texts: a mapping and its key."""
    content = message.get("content")
    if isinstance(content, str):
        return [(message, "content")]
    parts = content if isinstance(content, list) else []
    return [
        (part, "text")
        for part in parts
        if isinstance(part, dict)
        and part.get("type") in _TEXTS
        and isinstance(part.get("text"), str)
    ]
