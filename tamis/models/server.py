"""Ask a server many things at once, and keep every answer that came.

What can pass (429, 5xx, a broken connection, half an answer, silence) is asked again, after
a wait that doubles, with jitter, or that the server names (Retry-After). What cannot pass
(a refused key, a wrong request) is not. When the server is gone, nothing more is sent.
"""

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random
from threading import Condition, Event
from typing import Any, TypeVar

from tamis.errors import MissingExtraError, ModelError, SettingError
from tamis.models.account import spend
from tamis.models.base import IncompleteError

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("httpx", "openai") from error

__all__ = ["Bill", "Prices", "Server", "Usage"]

T = TypeVar("T")

LONGEST_WAIT = 120.0  # seconds; a server that asks for more is given up
FIRST_WAIT = 0.5
_PASSING = {408, 409, 425, 429}
_FATAL = {401, 402, 403, 404}
_BROKEN = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Usage:
    """What was asked and answered so far; money is None where no prices were given."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float | None = None


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens read, and for a million written."""

    read: float
    written: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the money for so many tokens."""
        return (self.read * prompt_tokens + self.written * completion_tokens) / 1e6


class Bill:
    """What is spent, and what may be: a request is held back while it could pass the budget.

    Parameters
    ----------
    prices : Prices, optional
    budget : float, optional
        Never passed by what the server reports. A request without an answer is not
        counted, whatever the server thinks of it.
    """

    def __init__(self, prices: Prices | None, budget: float | None) -> None:
        if budget is not None and prices is None:
            raise SettingError(
                "budget: prices are unknown; give input_price= and output_price= (a million tokens)"
            )
        self.prices, self._budget = prices, budget
        self._held = 0.0
        self._changed = Condition()
        self.usage = Usage(money=None if prices is None else 0.0)

    def hold(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Set aside what a request can cost at most; wait for others where that is too much.

        Raises
        ------
        _Trouble
            If the budget does not have it.
        """
        if self.prices is None:
            return 0.0
        most = self.prices.of(prompt_tokens, completion_tokens)
        with self._changed:
            while self._budget is not None and self._spent + self._held + most > self._budget:
                if not self._held:
                    raise _Trouble(f"the budget of {self._budget:g} is spent", fatal=True)
                self._changed.wait()
            self._held += most
        return most

    def settle(self, held: float, used: object, *, again: bool) -> None:
        """Return what was set aside; count what the server says was used."""
        read, written = (_count(used, kind) for kind in ("prompt_tokens", "completion_tokens"))
        money = None if self.prices is None else self.prices.of(read, written)
        spend(read + written, money)
        with self._changed:
            before = self.usage
            self.usage = Usage(
                before.requests + 1,
                before.retries + again,
                before.prompt_tokens + read,
                before.completion_tokens + written,
                None if money is None else self._spent + money,
            )
            self._held -= held
            self._changed.notify_all()

    @property
    def _spent(self) -> float:
        return self.usage.money or 0.0


class _Trouble(Exception):
    """Why there is no answer.

    `again`: another try may bring one. `fatal`: no other request will get one either.
    `gone`: fatal once every try has ended so. `wait`: what the server asks for, in seconds.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        fatal: bool = False,
        gone: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.again, self.fatal, self.gone = reason, again, fatal, gone
        self.wait = wait


class Server:
    """A server that answers JSON with JSON.

    Parameters
    ----------
    name : str
        For errors.
    base_url : str
        Up to what the paths are added to, as in 'http://localhost:8000/v1'.
    api_key : str, optional
        Sent as a bearer token; never shown.
    bill : Bill
    timeout : float
        Seconds of silence after which a request has failed.
    in_flight : int
        Requests that wait for an answer at a time.
    retries : int
        Further tries of a request.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None,
        bill: Bill,
        *,
        timeout: float = 60.0,
        in_flight: int = 32,
        retries: int = 6,
    ) -> None:
        url = httpx.URL(base_url)
        if url.userinfo:
            raise SettingError(f"{name}: base_url holds a password; pass api_key= instead")
        self.name, self.bill, self.in_flight, self.retries = name, bill, in_flight, retries
        self._headers = httpx.Headers({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self._client = httpx.Client(
            base_url=url,
            headers=self._headers,
            timeout=timeout,
            limits=httpx.Limits(max_connections=in_flight),
        )
        weakref.finalize(self, self._client.close)
        self._chance = Random()  # of waits alone: no answer depends on it
        self._open_at = 0.0

    def __repr__(self) -> str:
        return f"Server({str(self._client.base_url)!r})"

    def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return what the server says at `path`; None where it has no such page.

        Raises
        ------
        ModelError
            If it cannot be asked.
        """
        try:
            return self._patiently(lambda: self._send("GET", path, None), Event())
        except _Trouble as trouble:
            if trouble.reason.startswith("HTTP 404"):
                return None
            raise ModelError(f"{self.name}: {trouble.reason}") from None

    def ask(
        self,
        path: str,
        bodies: Sequence[Mapping[str, Any]],
        read: Callable[[Any], T],
    ) -> list[T]:
        """Post each body, and return what `read` makes of each answer, in their order.

        Parameters
        ----------
        path : str
        bodies : sequence of mappings
        read : function of a JSON value
            A KeyError, IndexError, TypeError, ValueError, AttributeError or OverflowError says
            that the answer is broken.

        Raises
        ------
        IncompleteError
            If some got no answer; it holds the others.
        """
        stopped = Event()
        with ThreadPoolExecutor(self.in_flight) as threads:
            waiting = [threads.submit(self._one, path, body, read, stopped) for body in bodies]
            try:
                results = [future.result() for future in waiting]
            except BaseException:  # an interrupt: let the threads go
                stopped.set()
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        reasons = {i: said.reason for i, said in enumerate(results) if isinstance(said, _Trouble)}
        if reasons:
            raise self._incomplete(results, reasons)
        return results  # type: ignore[return-value]

    def _incomplete(
        self, results: Sequence[T | _Trouble], reasons: dict[int, str]
    ) -> IncompleteError[T]:
        first = next(iter(reasons))
        return IncompleteError(
            f"{self.name}: {len(reasons)} of {len(results)} requests got no answer "
            f"(request {first}: {reasons[first]}); ask for these again",
            [None if isinstance(said, _Trouble) else said for said in results],
            reasons,
        )

    def _one(
        self, path: str, body: Mapping[str, Any], read: Callable[[Any], T], stopped: Event
    ) -> T | _Trouble:
        again = False

        def attempt() -> T:
            nonlocal again
            held = self.bill.hold(*_at_most(body))
            used = None
            try:
                said = self._send("POST", path, body)
                used = said.get("usage") if isinstance(said, dict) else None
                return _read(said, read)
            finally:
                self.bill.settle(held, used, again=again)
                again = True

        try:
            return self._patiently(attempt, stopped)
        except _Trouble as trouble:
            if trouble.fatal:
                stopped.set()
            return trouble

    def _patiently(self, attempt: Callable[[], T], stopped: Event) -> T:
        """Try until there is an answer, or no hope of one."""
        trouble = _Trouble("not sent, as another had failed for good")
        for tried in range(self.retries + 1):
            if stopped.wait(max(0.0, self._open_at - time.monotonic())):
                raise trouble
            try:
                return attempt()
            except _Trouble as latest:
                trouble = latest
            if not trouble.again:
                raise trouble
            if tried < self.retries:
                stopped.wait(self._wait(trouble, tried))
        trouble.fatal = trouble.gone
        raise trouble

    def _wait(self, trouble: _Trouble, tried: int) -> float:
        if trouble.wait is not None:  # for all: who is told to wait speaks for the others
            self._open_at = max(self._open_at, time.monotonic() + trouble.wait)
            return trouble.wait
        return min(30.0, FIRST_WAIT * 2.0**tried) * self._chance.uniform(0.5, 1.0)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:  # noqa: ANN401
        try:
            response = self._client.request(method, path, json=body)
            if response.is_success:
                return response.json()
        except httpx.TimeoutException as error:
            raise _Trouble(f"no answer in time ({_kind(error)})", again=True) from None
        except httpx.ConnectError:
            where = f"cannot connect to {self._client.base_url}"
            raise _Trouble(where, again=True, gone=True) from None
        except httpx.TransportError as error:
            raise _Trouble(f"the answer broke off ({_kind(error)})", again=True) from None
        except httpx.DecodingError:
            raise _Trouble("the answer cannot be unpacked", again=True) from None
        except (ValueError, RecursionError):
            raise _Trouble("the answer is not JSON", again=True) from None
        raise self._refused(response)

    def _refused(self, response: httpx.Response) -> _Trouble:
        said = _short(self._hidden(_message(response)))
        status = response.status_code
        reason = f"HTTP {status}" + (f", {said}" if said else "")
        if status in _FATAL or "insufficient_quota" in response.text:
            return _Trouble(reason, fatal=True)
        if status not in _PASSING and status < 500:
            return _Trouble(reason)
        wait = _retry_after(response.headers.get("Retry-After"))
        if wait is not None and wait > LONGEST_WAIT:
            return _Trouble(f"{reason}; it asks to wait {wait:.0f} s", fatal=True)
        return _Trouble(reason, again=True, wait=wait)

    def _hidden(self, text: str) -> str:
        """Return `text` without the key, which some servers repeat."""
        key = self._headers.get("Authorization", "").removeprefix("Bearer ")
        return text.replace(key, "***") if key else text


def _read(said: Any, read: Callable[[Any], T]) -> T:  # noqa: ANN401
    try:
        return read(said)
    except _BROKEN as error:
        raise _Trouble(
            f"the answer lacks what it should hold ({_kind(error)})", again=True
        ) from None


def _count(used: object, kind: str) -> int:
    """Return how many tokens were used, as a server says; 0 where it says no number."""
    said = used.get(kind) if isinstance(used, Mapping) else None
    return max(0, said) if isinstance(said, int) else 0


def _at_most(body: Mapping[str, Any]) -> tuple[int, int]:
    """Return the tokens a request can read and write at most: no token is under a byte."""
    text = [str(body.get(part) or "") for part in ("prompt", "messages", "input")]
    written = body.get("max_tokens") or body.get("max_completion_tokens") or 0
    return sum(len(part.encode()) for part in text), int(written) * int(body.get("n") or 1)


def _message(response: httpx.Response) -> str:
    """Return what a server says of an error."""
    text = response.text
    try:
        told = response.json()
        told = told.get("error", told)
        text = str(told.get("message", told) if isinstance(told, dict) else told)
    except (ValueError, AttributeError, RecursionError):
        pass  # not JSON: the text itself
    return text


def _short(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(line.split())[:200]


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After, given as such or as a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass  # then it is a date
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _kind(error: Exception) -> str:
    return type(error).__name__
