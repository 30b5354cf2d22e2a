"""What a generation did, round by round, in files: a killed one goes on where it stopped.

    TAMIS_HOME/generated/<key>/
        about.json          method, settings, model, what it started from
        round-00001.json    requests with prompts and answers, rows kept, what was refused and why
        account.json        how the last call ended

The key is a digest of the method, its settings, the model and the content it started from;
not of how many are wanted: more rounds follow those that are there. A round appears whole or
not at all.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from datasets import Dataset
from filelock import FileLock, Timeout

from tamis.data.files import home, written_aside
from tamis.errors import RunError
from tamis.models.metered import Spent

__all__ = ["Journal", "Round", "account_of"]

_TEXT = pa.large_string()
_TASK = {"instruction": _TEXT, "input": _TEXT, "output": _TEXT}
_WHENCE = {"request": pa.string(), "seeds": pa.list_(pa.string()), "model": _TEXT}
_ROWS = {**_TASK, "source": pa.string(), "task": pa.string(), **_WHENCE, "journal": pa.string()}
_REFUSED = {**_TASK, "filter": pa.string(), "detail": _TEXT, **_WHENCE}
_REQUESTS = {
    "request": pa.string(), "purpose": pa.string(), "prompt": _TEXT, "answer": _TEXT,
    "finish": pa.string(),
}  # fmt: skip


@dataclass
class Round:
    """What one round asked, kept and refused.

    Attributes
    ----------
    requests, rows, refused : list of dict
        As the columns of the journal's tables.
    memory : list
        What later rounds have to know, as JSON values.
    spent : Spent
    """

    requests: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    memory: list[Any] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `Journal.write` wrote."""
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(**told | {"spent": Spent(**told["spent"])})


class Journal:
    """The rounds of one generation.

    Parameters
    ----------
    key : str
    columns : mapping, optional
        Of the method's rows, beside those that every method's have, with their types.
    """

    def __init__(self, key: str, columns: Mapping[str, pa.DataType] | None = None) -> None:
        self.key = key
        self.columns = dict(columns or {})

    def __repr__(self) -> str:
        return f"<Journal {self.key}: {len(self.rounds)} rounds, {self.tasks} tasks>"

    @property
    def folder(self) -> Path:
        """Where the rounds lie."""
        return home() / "generated" / self.key

    @cached_property
    def rounds(self) -> list[Round]:
        """Every round so far."""
        paths = sorted(self.folder.glob("round-*.json"))
        return [Round.read(path) for path in paths]

    @property
    def tasks(self) -> int:
        """How many tasks were kept; a task has one row or more."""
        return sum(len({row["task"] for row in one.rows}) for one in self.rounds)

    @property
    def spent(self) -> Spent:
        """What all the rounds spent."""
        return sum((one.spent for one in self.rounds), Spent())

    @property
    def requests(self) -> Dataset:
        """Every request: its prompt, the answer (bounded), and how that ended."""
        return _table((row for one in self.rounds for row in one.requests), _REQUESTS)

    @property
    def refused(self) -> Dataset:
        """Everything that was refused, and by which filter."""
        return _table((row for one in self.rounds for row in one.refused), _REFUSED)

    def rows(self, n: int | None = None) -> Dataset:
        """Return the rows of the first `n` tasks, or of all, in the order they were made."""
        kept: list[dict[str, Any]] = []
        tasks: set[str] = set()
        for row in (row for one in self.rounds for row in one.rows):
            tasks.add(row["task"])
            if n is not None and len(tasks) > n:
                break
            kept.append({**row, "journal": self.key})
        return _table(kept, _ROWS | self.columns)

    @contextmanager
    def held(self, about: Mapping[str, Any]) -> Iterator[None]:
        """Hold the journal: two processes must not write one.

        Raises
        ------
        RunError
            If another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"generation {self.key}: another process is at it; wait for it"
            ) from None
        try:
            _write(self.folder / "about.json", about)
            yield
        finally:
            lock.release()

    def write(self, one: Round) -> None:
        """Add a round."""
        _write(self.folder / f"round-{len(self.rounds) + 1:05}.json", asdict(one))
        self.rounds.append(one)

    def close(self, wanted: int | None, ended: str, counted_by: str) -> dict[str, Any]:
        """Write how a call ended; return its account."""
        refused = Counter(row["filter"] for one in self.rounds for row in one.refused)
        account = {
            "journal": self.key,
            "wanted": wanted,
            "tasks": self.tasks if wanted is None else min(wanted, self.tasks),
            "rows": len(self.rows(wanted)),
            "rounds": len(self.rounds),
            "refused": dict(refused.most_common()),
            "ended": ended,
            **asdict(self.spent),
            "tokens_counted_by": counted_by,
        }
        _write(self.folder / "account.json", account)
        return account


def account_of(pool: Dataset) -> dict[str, Any]:
    """Return the account of the generation that made `pool`: what it kept, refused and spent.

    Raises
    ------
    RunError
        If its journal is not in this home folder.
    """
    keys = pool.unique("journal") if "journal" in pool.column_names else []
    path = home() / "generated" / str(keys[0] if len(keys) == 1 else "") / "account.json"
    if not path.is_file():
        raise RunError(f"no journal of these rows in {home()}; generate them again")
    account: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return account


def _table(rows: Iterable[dict[str, Any]], columns: Mapping[str, pa.DataType]) -> Dataset:
    return Dataset(pa.Table.from_pylist([*rows], pa.schema(dict(columns))))


def _write(path: Path, document: Mapping[str, Any]) -> None:
    with written_aside(path) as aside:
        aside.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
