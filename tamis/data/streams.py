"""The bytes of a file, unpacked, cut where lines end; never the whole file at a time."""

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import zstandard

from tamis.data.pieces import Unreadable, shown

__all__ = ["LARGEST_ROW", "Cut", "Lines", "ahead", "blocks", "line_chunks", "occurrences"]

Item = TypeVar("Item")

LARGEST_ROW = 2**30
"""Bytes that a line of a text file may have; one that is longer is set aside."""

_BLOCK = 2**22
_PIECE = 2**16
_BITE = 2**13  # zstd can make a block 30,000 times larger: small bites bound the memory
_BOM = b"\xef\xbb\xbf"
_BOMS_OF_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Cut(Exception):
    """A file that cannot be read to its end; the text says why."""


class Lines(NamedTuple):
    """Whole lines of a file, the first of which is line `first`, counted from 1.

    There are `ends` ends of lines: the last may lack its own.
    """

    first: int
    data: bytes
    ends: int


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


_UNPACKERS: dict[str, Callable[[], _Unpacker]] = {
    "gz": lambda: zlib.decompressobj(wbits=31),
    "zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}

_CODECS = {"gz": "gzip", "zst": "zstd"}


def blocks(path: Path, packing: str, moved: Callable[[int], object]) -> Iterator[bytes]:
    """Yield the bytes of a file, some megabytes at a time.

    Parameters
    ----------
    path : Path
    packing : 'gz', 'zst' or ''
    moved : function
        Called with the number of bytes, as they lie on the disk, after each read.

    Raises
    ------
    Cut
        If compressed data end too soon or are damaged. All before was yielded.
    """
    given = 0
    if packing:
        with suppress(pa.ArrowInvalid, OSError):  # then again with care, up to the fault
            for block in _unpacked_at_once(path, packing, moved):
                yield block
                given += len(block)
            return
    with path.open("rb", buffering=0) as file:
        read = _read(partial(file.read, _BITE if packing else _BLOCK), moved)
        yield from _grouped(_beyond(given, _unpacked(read, packing))) if packing else read


def line_chunks(
    stream: Iterator[bytes], *, largest: int = LARGEST_ROW
) -> Iterator[Lines | Unreadable]:
    """Cut a stream of bytes into chunks of whole lines, without a leading byte order mark.

    The last line may lack its end. A line of more than `largest` bytes is set aside, and so
    is the one within which the stream breaks off.
    """
    line, rest, too_long = 1, bytearray(), False
    try:
        for block in _marked(stream):
            if too_long:
                _, newline, block = block.partition(b"\n")
                line, too_long = line + len(newline), not newline
            end = block.rfind(b"\n") + 1
            if end:
                data = b"".join((rest, memoryview(block)[:end]))
                ends = occurrences(data, b"\n")
                yield Lines(line, data, ends)
                line += ends
                rest.clear()
            rest += memoryview(block)[end:]
            if not end and len(rest) > largest:
                yield Unreadable(line, f"longer than {largest} bytes", shown(bytes(rest[:4000])))
                rest, too_long = bytearray(), True
        if rest:
            yield Lines(line, bytes(rest), 0)
    except Cut as cut:
        yield Unreadable(line, str(cut), shown(bytes(rest[:4000])))


def occurrences(data: bytes, sign: bytes, bits: int = 0) -> int:
    """Return how many bytes of `data` are `sign`, with so many bits set.

    In vectors, and a piece at a time, which stays in the cache: five times as fast as
    `bytes.count`.

    >>> occurrences(b"[{}]", b"{", ord("[") ^ ord("{"))
    2
    """
    found = 0
    for start in range(0, len(data), _PIECE):
        piece = np.frombuffer(data, np.uint8, min(_PIECE, len(data) - start), start)
        found += int(np.count_nonzero((piece | bits if bits else piece) == sign[0]))
    return found


def ahead(items: Iterator[Item], depth: int = 4) -> Iterator[Item]:
    """Yield what an iterator yields, got by a thread of its own while the caller works.

    At most `depth` items wait. What the iterator raises, the caller gets in its place.
    """
    waiting: Queue[Future[Item]] = Queue(depth)
    closed = Event()
    getting = Thread(target=copy_context().run, args=(_get_all, items, waiting, closed))
    getting.start()
    try:
        while True:
            try:
                yield waiting.get().result()
            except _End:
                return
    finally:
        closed.set()
        while getting.is_alive():  # it may wait for room
            with suppress(Empty):
                waiting.get(timeout=0.01)


class _End(Exception):
    """An iterator has no more items."""


def _get_all(items: Iterator[Item], waiting: "Queue[Future[Item]]", closed: Event) -> None:
    ended = False
    while not (ended or closed.is_set()):
        got: Future[Item] = Future()
        try:
            got.set_result(next(items))
        except StopIteration:
            got.set_exception(_End())
            ended = True
        except BaseException as error:
            got.set_exception(error)
            ended = True
        waiting.put(got)


def _read(read: Callable[[], bytes], moved: Callable[[int], object]) -> Iterator[bytes]:
    while block := read():
        moved(len(block))
        yield block


def _unpacked_at_once(path: Path, packing: str, moved: Callable[[int], object]) -> Iterator[bytes]:
    """Unpack a file in large blocks; what comes right before a fault in it is not given.

    Twice as fast as bite by bite: the interpreter's lock is asked for once a block.
    """
    with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, _CODECS[packing]) as stream:
        before = 0
        while block := stream.read(_BLOCK):
            moved(file.tell() - before)
            before = file.tell()
            yield block


def _beyond(given: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the first bytes, so many."""
    for block in blocks:
        if given < len(block):
            yield block[given:]
        given = max(given - len(block), 0)


def _unpacked(packed: Iterator[bytes], packing: str) -> Iterator[bytes]:
    """Unpack a file that may be several compressed ones, one after the other."""
    unpacker = None
    for bite in packed:
        while bite:
            unpacker = unpacker or _UNPACKERS[packing]()
            try:
                yield unpacker.decompress(bite)
            except (zlib.error, zstandard.ZstdError) as error:
                raise Cut(f"damaged .{packing} data, the rest cannot be read ({error})") from error
            bite = b""
            if unpacker.eof:
                bite = unpacker.unused_data.lstrip(b"\0")  # gzip allows zeros at the end
                unpacker = None
    if unpacker is not None:
        raise Cut(f"the .{packing} file is truncated, the rest is missing")


def _grouped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Join small blocks to large ones."""
    held: list[bytes] = []
    size = 0
    try:
        for block in blocks:
            held.append(block)
            size += len(block)
            if size >= _BLOCK:
                yield b"".join(held)
                held, size = [], 0
    except Cut:
        yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _marked(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Take the byte order mark off."""
    first = next(stream, b"")
    if first.startswith(_BOMS_OF_UTF16):
        raise Cut("not UTF-8 but UTF-16; convert the file")
    yield first.removeprefix(_BOM)
    yield from stream
