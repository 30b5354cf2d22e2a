"""What is known of each run: `runs/<run>/run.json`, the truth that the catalogue indexes."""

import json
import warnings
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Literal, Self, get_args

from tamis.data import files
from tamis.errors import CatalogError, did_you_mean

__all__ = ["RunRecord", "Status", "runs", "write_record"]

Status = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the catalogue knows of a run.

    Parameters
    ----------
    run_id : str
        Also the name of the run's folder.
    recipe : str
        The recipe's name.
    status : str
        'running', 'done', 'failed' or 'cancelled'.
    started, finished : datetime
        With a time zone.
    seed : int, optional
    pool : str, optional
        Key of the pool: its folder's name under `pools`.
    settings : str
        The recipe as it was run.
    versions : dict of str to str
        Of tamis, Python and the packages behind the result.
    cost : dict of str to float
        Seconds, rows, tokens, …
    error : str, optional
        Why it failed, in one line.
    """

    run_id: str
    recipe: str
    status: Status
    started: datetime
    finished: datetime | None = None
    seed: int | None = None
    pool: str | None = None
    settings: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def __post_init__(self) -> None:
        for what, name in (("run_id", self.run_id), ("pool", self.pool)):
            if name is not None and not _names_a_folder(name):
                raise CatalogError(f"{what}={name!r} cannot name a folder; give it without slashes")
        if self.status not in get_args(Status):
            raise CatalogError(
                f"run {self.run_id}: no status '{self.status}'; "
                f"{did_you_mean(self.status, get_args(Status))}"
            )
        for when in (self.started, self.finished):
            if when is not None and when.tzinfo is None:
                raise CatalogError(f"run {self.run_id}: {when} has no time zone; give one")

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(asdict(self), default=datetime.isoformat, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the record that `to_json` wrote; keys of later versions are left out."""
        known = {setting.name for setting in fields(cls)}
        values = {name: value for name, value in json.loads(text).items() if name in known}
        for name in ("started", "finished"):
            if values.get(name):
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


def write_record(run: RunRecord, home: Path | None = None) -> None:
    """Write what is known of a run, in place of what was known of it before.

    Raises
    ------
    DataError
        If run.json cannot be written.
    """
    path = (home or files.home()) / "runs" / run.run_id / "run.json"
    with files.written_aside(path) as aside:
        aside.write_text(run.to_json(), encoding="utf-8")


def runs(home: Path | None = None) -> list[RunRecord]:
    """Return every run, oldest first; a run.json that cannot be read is left out, and named."""
    found = []
    for path in (home or files.home()).glob("runs/*/run.json"):
        try:
            found.append(RunRecord.from_json(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, AttributeError, CatalogError) as error:
            warnings.warn(f"{path}: no record of a run ({error}); left out", stacklevel=2)
    return sorted(found, key=lambda run: (run.started, run.run_id))


def _names_a_folder(name: str) -> bool:
    if not name or name.startswith(".") or set(name) & {"/", "\\", "\0"}:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in name)  # half a pair is no text
