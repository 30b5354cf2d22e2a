"""Publish the curated set of a run, in the form that a trainer reads."""

from pathlib import Path

from tamis.data.formats import convert
from tamis.data.save import save
from tamis.pipelines.runs import Run

__all__ = ["export_run"]


def export_run(run: Run, to: str, form: str) -> tuple[Path, int]:
    """Write the curated set of `run`, best first; return the file and its rows.

    Parameters
    ----------
    run : Run
    to : str
        A file, whose suffix says how it is written, or a folder, which gets
        `<recipe>.parquet`.
    form : str
        'parquet' keeps the pool's own columns; a format's name turns rows into it.

    Raises
    ------
    SettingError
        For a form that does not exist.
    """
    path = Path(to)
    if not path.suffix or to.endswith("/"):
        path = path / f"{run.record.recipe}.parquet"
    curated = run.dataset
    save(curated if form == "parquet" else convert(curated, form), path)
    return path, len(curated)
