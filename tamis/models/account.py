"""How many tokens went through models, whoever asked: what a selection or a training cost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Account", "counting", "spend"]

_lock = threading.Lock()
_open: list["Account"] = []


@dataclass
class Account:
    """Tokens that models read and wrote while it was open; what was kept is not read again."""

    tokens: int = 0


@contextmanager
def counting() -> Iterator[Account]:
    """Open an account for what is done inside the `with`, in this thread or any other.

    >>> with counting() as account:
    ...     spend(7)
    >>> account.tokens
    7
    """
    account = Account()
    with _lock:
        _open.append(account)
    try:
        yield account
    finally:
        with _lock:
            _open[:] = [other for other in _open if other is not account]


def spend(tokens: int) -> None:
    """Enter tokens that a model is given, or gave, into every open account."""
    with _lock:
        for account in _open:
            account.tokens += tokens
