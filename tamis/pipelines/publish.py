"""Push the curated set of a run to the hub: sharded Parquet, splits, and a card."""

import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from datasets import Dataset

from tamis.data import hub
from tamis.data.files import home
from tamis.data.ids import ids_of
from tamis.data.save import save
from tamis.errors import SettingError
from tamis.kernels.draws import uniforms
from tamis.pipelines.card import card
from tamis.pipelines.outgoing import UNKNOWN, Exported, note_export, prepared
from tamis.pipelines.runs import Run, find

__all__ = ["push_to_hub"]

SHARD_BYTES = 500_000_000
_SPLIT = 0x5EED_0F_7E57  # no recipe's seed: a draw of rows must not foretell their split
_OURS = re.compile(r"data/(train|test)-\d{5}-of-\d{5}\.parquet")


def push_to_hub(
    run: Run | str,
    repository: str,
    *,
    private: bool = True,
    format: str = "parquet",
    test: float = 0.0,
    allow: Collection[str] | None = None,
    mask: bool | None = None,
    languages: Collection[str] = (),
    shard_bytes: int = SHARD_BYTES,
) -> str:
    """Push what a run kept to the hub, best first, with a card that says how it was made.

    Pushed again, nothing changes. Cut off, it goes on where it was. Of a card that is there,
    what others wrote stays: see `tamis.pipelines.card`.

    Parameters
    ----------
    run : Run or str
        A finished run, or its id.
    repository : str
        'org/name', or 'hf://org/name'; made if it is not there.
    private : bool
        False makes it public, and asks that the licence of every row be known.
    format : str
        'parquet' (the pool's own columns), 'alpaca', 'messages', 'sharegpt' or
        'prompt-completion' (as TRL reads it), 'question-answer', 'text'.
    test : float
        Share of the rows in a split 'test', drawn by their ids; the rest is 'train'.
    allow : collection of str, optional
        Licences that rows may have; the others stay behind. By default any.
    mask : bool, optional
        Put '[email]' and the like in the place of personal data; by default as the recipe says.
    languages : collection of str
        ISO 639-1 codes for the card, such as 'en'; nobody guesses them.
    shard_bytes : int
        Of rows in memory, a file.

    Returns
    -------
    str
        The address of the data set's page.

    Raises
    ------
    SettingError
        If rows of unknown licence are to be public, or `test` is no share.
    HubError
        If the hub refuses, or does not answer for minutes.
    """
    run = find(run) if isinstance(run, str) else run
    repository = hub.repository_of(repository)
    rows, left_out = prepared(run, format, allow=allow, mask=mask)
    _check_licences(rows, private)
    splits = _split(rows, test)
    text = card(
        run, splits, left_out=left_out, languages=languages,
        earlier=hub.read_text(repository, "README.md"), masked=bool(mask or run.recipe.mask),
    )  # fmt: skip
    scratch = home() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        pushed = hub.push(
            repository,
            {"README.md": text, **_shards(splits, Path(folder), shard_bytes)},
            private=private,
            ours=_OURS,
            message=f"{run.record.recipe}: {len(rows):,} rows by run {run.id}",
        )
    note_export(run, Exported(f"hf://{repository}", format, len(rows), left_out))
    return pushed.url


def _check_licences(rows: Dataset, private: bool) -> None:
    unknown = sum(licence == UNKNOWN for licence in rows["tamis_licence"][:])
    if unknown and not private:
        raise SettingError(
            f"push: the licence of {unknown:,} of {len(rows):,} rows is unknown; name it in the "
            "recipe (`licences: {source: licence}`), leave them out with --allow LICENCE, or push "
            "privately"
        )


def _split(rows: Dataset, test: float) -> dict[str, Dataset]:
    """Return the rows by split; which one a row is in belongs to its id, whatever the run."""
    if not 0 <= test < 1:
        raise SettingError(f"push: test={test}; give a share from 0, below 1")
    if not test:
        return {"train": rows}
    ids = ids_of(rows.with_format("arrow")["tamis_id"][:])
    is_test = uniforms(ids, _SPLIT) < test
    splits = {
        "train": rows.select(np.flatnonzero(~is_test)),
        "test": rows.select(np.flatnonzero(is_test)),
    }
    return {name: split for name, split in splits.items() if len(split)}


def _shards(splits: Mapping[str, Dataset], folder: Path, most: int) -> dict[str, Path]:
    """Write each split in files of about as many bytes; the same rows give the same files."""
    files = {}
    for name, split in splits.items():
        count = max(1, -(-split.with_format("arrow")[:].nbytes // most))
        count = min(count, len(split))
        for number in range(count):
            path = f"data/{name}-{number:05}-of-{count:05}.parquet"
            shard = split.shard(count, number, contiguous=True)
            files[path] = save(shard, folder / path)
    return files
