"""Sixty-four bytes of text at a time: what each of them is, as one bit of a 64-bit number.

A loop over bytes spends its time deciding where words end. A processor compares 64 bytes with
a letter in one or two instructions; where words begin and end is then a matter of shifting
numbers, and of a step for each word instead of one for each byte.

These are LLVM's own vector instructions, so they become whatever the processor at hand has.
Only ASCII can be told this way: a byte of a longer character has its bit in `beyond_ascii`.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "BLOCK",
    "SPARE",
    "beyond_ascii",
    "blank",
    "controls",
    "copy_lower",
    "first_one",
    "four_bytes",
    "letters",
    "list_ones",
    "ones",
    "only_first",
    "symbols",
    "within",
    "wordlike",
]

BLOCK = 64
SPARE = 4  # places that are written without asking whether there are so many
_ONE, _ALL, _63 = np.uint64(1), ~np.uint64(0), np.uint64(63)
_BYTES = ir.VectorType(ir.IntType(8), BLOCK)
_BITS = ir.IntType(BLOCK)


def _of_bytes(builder: Any, byte: Any) -> Any:  # noqa: ANN401 - llvmlite has no types
    """Return a vector that has the same byte everywhere."""
    undefined = ir.Constant(_BYTES, ir.Undefined)
    alone = builder.insert_element(undefined, byte, ir.IntType(32)(0))
    nowhere = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), None)
    return builder.shuffle_vector(alone, undefined, nowhere)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:  # noqa: ANN401
    """Return a pointer to 64 bytes of an array."""
    start = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(start, [at]), _BYTES.as_pointer())


def _low_byte(builder: Any, value: Any) -> Any:  # noqa: ANN401
    return builder.trunc(value, ir.IntType(8)) if value.type.width > 8 else value


@intrinsic  # type: ignore[untyped-decorator]
def within(typing: Any, data: Any, at: Any, first: Any, count: Any) -> Any:  # noqa: ANN401
    """Say which of `data[at : at + 64]` are one of the `count` bytes from `first` on.

    Nothing is checked: all 64 must be there. Bit j of the uint64 is byte `at + j`.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        array, place, lowest, number = values
        block = builder.load(_place(context, builder, signature.args[0], array, place), align=1)
        above = builder.sub(block, _of_bytes(builder, _low_byte(builder, lowest)))
        limit = _of_bytes(builder, _low_byte(builder, number))
        return builder.bitcast(builder.icmp_unsigned("<", above, limit), _BITS)

    return types.uint64(data, at, first, count), code


@intrinsic  # type: ignore[untyped-decorator]
def four_bytes(typing: Any, data: Any, at: Any) -> Any:  # noqa: ANN401
    """Return `data[at : at + 4]`, unchecked, as a uint64 whose lowest byte is the last."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        array, place = values
        start = context.make_array(signature.args[0])(context, builder, array).data
        four = builder.bitcast(builder.gep(start, [place]), ir.IntType(32).as_pointer())
        in_order = builder.load(four, align=1)
        return builder.zext(
            builder.bswap(in_order) if sys.byteorder == "little" else in_order, _BITS
        )

    return types.uint64(data, at), code


@intrinsic  # type: ignore[untyped-decorator]
def copy_lower(typing: Any, data: Any, at: Any, text: Any, to: Any) -> Any:  # noqa: ANN401
    """Write `data[at : at + 64]`, A to Z as a to z, over `text[to : to + 64]`, unchecked."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        array, place, out, start = values
        block = builder.load(_place(context, builder, signature.args[0], array, place), align=1)
        byte = ir.IntType(8)
        above = builder.sub(block, _of_bytes(builder, byte(ord("A"))))
        capital = builder.icmp_unsigned("<", above, _of_bytes(builder, byte(26)))
        lower = builder.or_(block, _of_bytes(builder, byte(0x20)))
        there = _place(context, builder, signature.args[2], out, start)
        builder.store(builder.select(capital, lower, block), there, align=1)
        return context.get_dummy_value()

    return types.void(data, at, text, to), code


@intrinsic  # type: ignore[untyped-decorator]
def first_one(typing: Any, bits: Any) -> Any:  # noqa: ANN401
    """Return the place of the lowest one in a uint64; 64 if there is none."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        return builder.cttz(values[0], ir.IntType(1)(0))

    return types.int64(types.uint64), code


@intrinsic  # type: ignore[untyped-decorator]
def ones(typing: Any, bits: Any) -> Any:  # noqa: ANN401
    """Return how many ones a uint64 has."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        return builder.ctpop(values[0])

    return types.int64(types.uint64), code


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def only_first(count: int) -> np.uint64:
    """Return a number whose lowest `count` bits are one: 1 to 64 of them."""
    return np.uint64(_ALL >> np.uint64(BLOCK - count))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def beyond_ascii(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which bytes are of characters beyond ASCII."""
    return np.uint64(within(data, at, 0x80, 0x80))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def letters(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which bytes are A to Z or a to z."""
    return np.uint64(within(data, at, 0x41, 26) | within(data, at, 0x61, 26))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def wordlike(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    r"""Say which bytes are letters, digits or '_': `\\w` in ASCII."""
    return np.uint64(letters(data, at) | within(data, at, 0x30, 10) | within(data, at, 0x5F, 1))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def blank(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which bytes are spaces, tabs or what ends lines and pages."""
    return np.uint64(within(data, at, 0x20, 1) | within(data, at, 0x09, 5))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def symbols(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which bytes are one of $ + < = > ^ ` | ~: category S in ASCII."""
    one = within(data, at, 0x24, 1) | within(data, at, 0x2B, 1) | within(data, at, 0x3C, 3)
    other = within(data, at, 0x5E, 1) | within(data, at, 0x60, 1)
    return np.uint64(one | other | within(data, at, 0x7C, 1) | within(data, at, 0x7E, 1))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def controls(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Say which bytes are control characters and not `blank`."""
    return np.uint64(
        within(data, at, 0x00, 9) | within(data, at, 0x0E, 18) | within(data, at, 0x7F, 1)
    )


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def list_ones(bits: np.uint64, base: int, places: npt.NDArray[np.int64], count: int) -> int:
    """Write `base` and the place of each one to `places[count:]`; return the new count.

    Some are written together, up to `SPARE` more than there are: to ask after each whether it
    was the last is to be wrong once a block, and that costs as much as writing ten.
    """
    end: int = count + ones(bits)
    while True:
        for i in range(SPARE):
            places[np.uint64(count) + np.uint64(i)] = base + first_one(bits)
            bits &= bits - _ONE
        count += SPARE
        if count >= end:
            return end
