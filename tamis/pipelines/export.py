"""Publish the curated set of a run, in the form that a trainer reads."""

from collections.abc import Collection
from pathlib import Path

from tamis.data.save import save
from tamis.data.sources import HUB
from tamis.pipelines.outgoing import Exported, exports, note_export, prepared
from tamis.pipelines.publish import push_to_hub
from tamis.pipelines.runs import Run

__all__ = ["export_run"]


def export_run(
    run: Run,
    to: str,
    form: str = "parquet",
    *,
    allow: Collection[str] | None = None,
    mask: bool | None = None,
    private: bool = True,
    test: float = 0.0,
    languages: Collection[str] = (),
) -> Exported:
    """Write the curated set of `run`, best first, and record where it went.

    Parameters
    ----------
    run : Run
    to : str
        A file, whose suffix says how it is written; a folder, which gets `<recipe>.parquet`;
        or a data set of the hub, 'hf://org/name'.
    form : str
        'parquet' keeps the pool's own columns; a format's name turns rows into it.
    allow : collection of str, optional
        Licences that rows may have; by default any.
    mask : bool, optional
        Put the kind in the place of personal data; by default as the recipe says.
    private, test, languages
        For the hub: see `tamis.push_to_hub`.

    Raises
    ------
    SettingError
        For a form that does not exist.
    DataError
        If the place cannot be written.
    HubError
        If the hub refuses, or does not answer.
    """
    if to.startswith(HUB):
        push_to_hub(
            run, to, private=private, format=form, allow=allow, mask=mask, test=test,
            languages=languages,
        )  # fmt: skip
        return exports(run)[-1]
    rows, left_out = prepared(run, form, allow=allow, mask=mask)
    path = Path(to)
    if not path.suffix or to.endswith("/"):
        path = path / f"{run.record.recipe}.parquet"
    save(rows, path)
    return note_export(run, Exported(str(path.absolute()), form, len(rows), left_out))
