"""What went through models, whoever asked: what a selection or a training cost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Account", "counting", "spend"]

_lock = threading.Lock()
_open: list["Account"] = []


@dataclass
class Account:
    """What language models did while it was open; what was kept is not asked again.

    Attributes
    ----------
    tokens : int
        Read and written.
    money : float or None
        US dollars; None where a server whose prices are not known was asked.
    """

    tokens: int = 0
    money: float | None = 0.0


@contextmanager
def counting() -> Iterator[Account]:
    """Open an account for what is done inside the `with`, in this thread or any other.

    >>> with counting() as account:
    ...     spend(7, 0.25)
    >>> account
    Account(tokens=7, money=0.25)
    """
    account = Account()
    with _lock:
        _open.append(account)
    try:
        yield account
    finally:
        with _lock:
            _open[:] = [other for other in _open if other is not account]


def spend(tokens: int, money: float | None = 0.0) -> None:
    """Enter tokens that a model was given, or gave, and their price into every open account."""
    with _lock:
        for account in _open:
            account.tokens += tokens
            known = account.money is not None and money is not None
            account.money = account.money + money if known else None  # type: ignore[operator]
