"""Rows that someone asked to have deleted: which they are, and files without them.

`forgotten` in TAMIS_HOME holds the ids, nothing else of the rows. A pool that is read later
is read without them, so that a source that still has such a row does not bring it back.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tamis.data.files import home, written_aside

__all__ = ["Ids", "add", "is_among", "known", "without"]

Ids = npt.NDArray[np.void]


def known() -> Ids:
    """Return the ids of all rows to forget: V16 array, ascending."""
    path = home() / "forgotten"
    if not path.exists():
        return np.empty(0, "V16")
    lines = path.read_text(encoding="ascii").split()
    return np.unique(np.frombuffer(bytes.fromhex("".join(lines)), "V16"))


def add(ids: Ids) -> None:
    """Remember ids to forget."""
    every = np.unique(np.concatenate([known(), ids]))
    with written_aside(home() / "forgotten") as aside:
        aside.write_text("".join(f"{one.tobytes().hex()}\n" for one in every), encoding="ascii")


def is_among(ids: Ids, wanted: Ids) -> npt.NDArray[np.bool_]:
    """Return which ids are among the wanted ones, which ascend."""
    if not len(wanted):
        return np.zeros(len(ids), bool)
    at = np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)
    return np.asarray(wanted[at] == ids)


def without(path: Path, unwanted: Callable[[pa.Table], npt.NDArray[np.bool_]]) -> int:
    """Write a pool's Arrow file anew, without some rows; return how many they were.

    Parameters
    ----------
    path : Path
    unwanted : function of pyarrow.Table
        Says of each row of a batch whether it goes.
    """
    gone = 0
    with (
        written_aside(path) as aside,
        pa.OSFile(str(path)) as file,
        pa.ipc.open_stream(file) as stream,
        pa.ipc.new_stream(str(aside), stream.schema) as sink,
    ):
        for batch in stream:
            table = pa.Table.from_batches([batch])
            goes = unwanted(table)
            gone += int(goes.sum())
            sink.write_table(table.filter(pa.array(~goes)))
    return gone
