"""Data sets of the hub: files go up whole or not at all, and only those that changed.

A push looks at what is there, sends what differs, and makes one commit of it. So a second
push of the same files does nothing, one that was cut off sends what is missing, and a reader
never sees half of it. What may pass by itself (no connection, a busy server, a limit on
requests) is tried again, with a wait that doubles or that the server names; if a commit's
answer is lost, the next look sees that it was made.

Large files go by whatever transfer the client has: Xet, or LFS.
"""

import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tamis.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["Pushed", "may_pass", "push", "read_text", "repository_of"]

T = TypeVar("T")

TRIES = 6
FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 300.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests")
_BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes
    ----------
    url : str
        Of the data set's page.
    commit : str
        The newest one, whether this push made it or not.
    changed : tuple of str
        Files that were sent or removed; none where all was there.
    """

    url: str
    commit: str
    changed: tuple[str, ...]


def repository_of(name: str) -> str:
    """Return the repository that a name means, 'hf://org/name' or 'org/name'.

    Raises
    ------
    HubError
        If it means none.
    """
    repository = name.removeprefix("hf://").removeprefix("datasets/").rstrip("/")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repository, re.ASCII):
        raise HubError(f"{name}: no repository of the hub; give hf://OWNER/NAME")
    return repository


def push(
    repository: str,
    files: Mapping[str, Path | str],
    *,
    private: bool,
    ours: re.Pattern[str],
    message: str,
) -> Pushed:
    """Make the files of a data set on the hub what is given.

    Parameters
    ----------
    repository : str
        'org/name'; made if it is not there.
    files : mapping
        Path in the repository to a local file, or to text.
    private : bool
        For a repository that is made. One that is there and public is refused where private
        is asked for.
    ours : re.Pattern
        Files of the repository that fit it and are not given are removed.
    message : str
        The commit's.

    Raises
    ------
    HubError
        If the hub refuses, or does not answer for minutes.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()

    def once() -> Pushed:
        _make(api, repository, private)
        there = dict(_there(api, repository))
        sent = [path for path, content in files.items() if not _is(there.get(path), content)]
        stale = sorted(path for path in there if ours.fullmatch(path) and path not in files)
        if sent or stale:
            api.create_commit(
                repository,
                [
                    *(CommitOperationAdd(path, _plain(files[path])) for path in sent),
                    *(CommitOperationDelete(path) for path in stale),
                ],
                commit_message=message,
                repo_type="dataset",
            )
        commit = api.dataset_info(repository).sha or ""
        changed.extend(path for path in (*sent, *stale) if path not in changed)
        return Pushed(f"{api.endpoint}/datasets/{repository}", commit, tuple(changed))

    changed: list[str] = []  # over all tries: one may have sent what the next one finds there
    return _patiently(once, repository)


def read_text(repository: str, path: str) -> str | None:
    """Return a file of a data set on the hub; None where there is no such file or data set.

    Raises
    ------
    HubError
        If the hub does not answer for minutes.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    def once() -> str | None:
        try:
            held = HfApi().hf_hub_download(repository, path, repo_type="dataset")
        except (EntryNotFoundError, RepositoryNotFoundError):
            return None
        return Path(held).read_text(encoding="utf-8")

    return _patiently(once, repository)


def _make(api: "HfApi", repository: str, private: bool) -> None:
    api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
    if private and not api.dataset_info(repository).private:
        raise HubError(
            f"hf://{repository}: it is public; say --public to push to it, or make it private"
        )


def _there(api: "HfApi", repository: str) -> Iterator[tuple[str, str]]:
    """Yield path and digest of each file: SHA-256 of a large one, git's digest of a small one."""
    from huggingface_hub.hf_api import RepoFile

    for entry in api.list_repo_tree(repository, repo_type="dataset", recursive=True):
        if isinstance(entry, RepoFile):
            yield entry.path, entry.lfs.sha256 if entry.lfs else entry.blob_id


def _is(known: str | None, content: Path | str) -> bool:
    """Return whether a file of the hub with this digest holds just this content."""
    if known is None:
        return False
    if len(known) == 40:  # a small file: git's digest of its length and its bytes
        raw = _plain(content)
        held = raw if isinstance(raw, bytes) else Path(raw).read_bytes()
        header = f"blob {len(held)}\0".encode()
        return hashlib.sha1(header + held, usedforsecurity=False).hexdigest() == known
    digest = hashlib.sha256()
    if isinstance(content, str):
        digest.update(content.encode())
    else:
        with content.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest() == known


def _plain(content: Path | str) -> bytes | str:
    """Return text as bytes, and a file as its path, as the client takes them."""
    return content.encode() if isinstance(content, str) else str(content)


def _patiently(attempt: Callable[[], T], repository: str) -> T:
    """Try until it works, the hub says no, or it was tried often enough."""
    wait = FIRST_WAIT_SECONDS
    for tried in range(1, TRIES + 1):
        try:
            return attempt()
        except HubError:
            raise
        except Exception as error:
            passing, reason, named = _explained(error)
            if reason is None:
                raise
            if not passing or tried == TRIES:
                mend = "run it again: what was sent stays" if passing else _mend(reason)
                raise HubError(f"hf://{repository}: {reason}; {mend}", retryable=passing) from None
            time.sleep(min(named or wait * random.uniform(0.5, 1.5), _LONGEST_WAIT_SECONDS))
            wait *= 2
    raise AssertionError("the last try returns or raises")


def may_pass(error: BaseException) -> bool:
    """Return whether an error is a network's or a busy server's, and may pass by itself.

    >>> may_pass(ConnectionResetError()), may_pass(KeyError("a defect"))
    (True, False)
    """
    return _explained(error)[0]


def _explained(error: BaseException) -> tuple[bool, str | None, float | None]:
    """Return whether an error may pass, what to call it, and the wait that the hub names.

    What it is called is None where it is not the hub's, nor that of the way there.
    """
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        status = getattr(response, "status_code", None)
        if status is not None:
            after = response.headers.get("Retry-After", "") if response is not None else ""
            named = float(after) if after.isdigit() else None
            said = getattr(seen, "server_message", None) or ""
            reason = " ".join(f"HTTP {status} {said}".split())[:300]
            return status in _PASSING, reason, named
        if type(seen).__module__.partition(".")[0] in _CLIENTS or isinstance(
            seen, ConnectionError | TimeoutError
        ):
            return True, f"no answer ({type(seen).__name__})", None
        if type(seen).__name__ == "LocalTokenNotFoundError":
            return False, "HTTP 401 no token", None
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, _BROKEN):
        return False, f"an answer that no hub gives ({type(error).__name__})", None
    return False, None, None


def _mend(reason: str) -> str:
    if "401" in reason or "403" in reason:
        return "log in with `hf auth login`, by a token that may write there"
    if "no hub" in reason:
        return "look at what HF_ENDPOINT names"
    return "check the name, and that you may write there"
