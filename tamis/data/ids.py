"""An example's id is its content: the same words have the same id in every file and run.

What counts is what is said: the turns of the conversation, each a role and a content. A
prompt is a user's turn, a response an assistant's, plain text a turn without a role; a turn
with no content does not count. So an example has one id whether it is written as Alpaca, as
prompt and completion or as messages. Other columns do not count, nor does where an Alpaca
instruction ends and its input begins.

The id is BLAKE2b with 16 bytes of digest over, turn by turn, the lengths of role and content
(two int64, little-endian) and their UTF-8 bytes. Bytes count as they are: no Unicode
normalisation, no stripping of white space.
"""

import binascii
from collections import OrderedDict, defaultdict
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.table import MemoryMappedTable

from tamis.data import formats
from tamis.data.batches import map_batches
from tamis.data.scratch import Filling, roomy
from tamis.errors import DataError

__all__ = ["batch_ids", "example_ids", "id_array", "id_texts", "ids_of"]

_MEMORY = 4
_MANY = 1000  # fewer rows are not worth waking numba for: half a second, once a process
_NOTHING = pa.scalar(b"", pa.large_binary())
_known: OrderedDict[str, npt.NDArray[np.void]] = OrderedDict()
_at_work: defaultdict[str, Lock] = defaultdict(Lock)


def example_ids(pool: Dataset) -> npt.NDArray[np.void]:
    """Return the id of every row: V16 array of shape (len(pool),), read-only.

    Notes
    -----
    The ids of the last four pools asked for are remembered, by their fingerprints; some rows
    of one of them are looked up there.
    """
    table = _table_key(pool)
    key = table if table and pool._indices is None else pool._fingerprint
    with _at_work[key]:  # who asks while another computes them waits for that one's
        ids = _known.pop(key, None)
        if ids is None:
            ids = _computed(pool, _known.get(table))
        _known[key] = ids
        while len(_known) > _MEMORY:
            _known.popitem(last=False)
    return ids


def _computed(pool: Dataset, known: npt.NDArray[np.void] | None) -> npt.NDArray[np.void]:
    """Return the ids of a pool; `known` are those of the whole table that its rows are of."""
    if pool._indices is not None and known is not None:
        ids = roomy((len(pool),), "V16")
        np.take(known, pool._indices.column(0).to_numpy(), out=ids, mode="clip")
    else:
        filling = Filling((len(pool),), "V16")
        for part in map_batches(pool, batch_ids, label="ids"):
            filling.add(part)
        ids = filling.whole()
    ids.setflags(write=False)
    return ids


def _table_key(pool: Dataset) -> str:
    """Return what tells the table that a pool's rows are of from others; '' for one in memory."""
    table = pool.data
    if not isinstance(table, MemoryMappedTable):
        return ""
    changes = [change for change in table.replays if change[0] != "replace_schema_metadata"]
    return f"{table.path} {Path(table.path).stat().st_mtime_ns} {changes}"


def batch_ids(batch: pa.Table) -> npt.NDArray[np.void]:
    """Return the id of every row of a batch: V16 array of shape (batch.num_rows,)."""
    offsets, data = formats.buffers(_serialised(batch))
    if batch.num_rows >= _MANY:
        from tamis.kernels.blake2b import blake2b_128  # numba, which a few rows do not want

        return blake2b_128(offsets, data)
    content, bounds = data.data, offsets.tolist()
    digests = [
        blake2b(content[begin:end], digest_size=16).digest() for begin, end in pairwise(bounds)
    ]
    return np.frombuffer(b"".join(digests), "V16")


def id_texts(ids: npt.NDArray[np.void]) -> pa.StringArray:
    """Return ids as text: 32 hexadecimal digits each.

    >>> id_texts(np.frombuffer(bytes(range(16)), "V16")).to_pylist()
    ['000102030405060708090a0b0c0d0e0f']
    """
    digits = binascii.hexlify(np.ascontiguousarray(ids).tobytes())
    offsets = np.arange(0, 32 * len(ids) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))


def ids_of(texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.void]:
    """Return the ids that `id_texts` wrote: V16 array.

    Raises
    ------
    DataError
        If a text is not 32 hexadecimal digits.
    """
    column = formats.texts(texts, "example_id")
    lengths = pc.binary_length(column)
    wrong = pc.index(pc.equal(lengths, 32), False).as_py()
    if wrong < 0:
        offsets, data = formats.buffers(column)
        try:
            return np.frombuffer(binascii.unhexlify(data[offsets[0] : offsets[-1]].data), "V16")
        except binascii.Error:
            digits = pc.match_substring_regex(column, "^[0-9a-fA-F]{32}$")
            wrong = pc.index(digits, False).as_py()
    raise DataError(f"{column[wrong].as_py()!r} is no example id; ids have 32 hexadecimal digits")


def id_array(ids: npt.NDArray[np.void]) -> pa.FixedSizeBinaryArray:
    """Return ids as an Arrow array of 16 bytes each."""
    buffer = pa.py_buffer(np.ascontiguousarray(ids))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, buffer])


def _serialised(batch: pa.Table) -> pa.LargeBinaryArray:
    """Write the turns of each row as bytes that no other turns give."""
    form = formats.of(batch)
    if form.conversational:
        says = formats.turns(batch)
        turns = _joined(*_written(says.roles, says.contents))
        starts, _ = formats.buffers(turns)
        rows = pa.py_buffer(starts[says.offsets])
        return pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), batch.num_rows, [None, rows, turns.buffers()[2]]
        )
    if form.name == "text":
        return _joined(*_written("", formats.fields(batch).text))
    prompt, response = formats.exchange(batch)
    return _joined(*_written(formats.USER, prompt), *_written(formats.ASSISTANT, response))


def _written(
    roles: pa.LargeStringArray | str, contents: pa.LargeStringArray
) -> tuple[pa.LargeBinaryArray, pa.LargeBinaryArray]:
    """Return one turn a row in two parts: lengths and role, and content; '' where it is ''."""
    if isinstance(roles, str):
        roles = pa.repeat(pa.scalar(roles, pa.large_string()), len(contents))
    sizes = np.empty((len(contents), 2), "<i8")
    sizes[:, 0], sizes[:, 1] = pc.binary_length(roles), pc.binary_length(contents)
    lengths = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(contents), [None, pa.py_buffer(sizes)]
    )
    head = _joined(lengths.cast(pa.large_binary()), roles.cast(pa.large_binary()))
    said = pa.array(sizes[:, 1] > 0)
    return pc.if_else(said, head, _NOTHING), contents.cast(pa.large_binary())


def _joined(*parts: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    return pc.binary_join_element_wise(*parts, _NOTHING)
